"""What is run and killed: playbooks, what goes wrong with the product meanwhile, and which effects there must be.

An effect is `what name@instance`, such as `isolate pc1@west`. Each step of a playbook has effects of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PLAYBOOKS", "Playbook"]

_HEAD = (
    "inputs:\n  bad: {type: list, items: indicator, default: [198.51.100.1, 198.51.100.2, bad.example, 203.0.113.9]}\n"
)
_BAD = ("198.51.100.1", "198.51.100.2", "bad.example", "203.0.113.9")


@dataclass(frozen=True)
class Playbook:
    """One playbook with its product. `group` is the class of recovery that it is about.

    `ends` is the status of its run where nobody had to be asked; `refused` are effects that the product refuses for
    good; `called` are the texts of playbooks that it runs.
    """

    id: str
    group: str
    steps: str
    effects: Sequence[str]
    faults: Sequence[Mapping[str, Any]] = ()
    behaviour: Mapping[str, int] = field(default_factory=dict)
    ends: str = "succeeded"
    called: Mapping[str, str] = field(default_factory=dict)
    later: Sequence[str] = ()  # effects that the engine has by itself after the run, each in a run of its own

    def files(self) -> dict[str, str]:
        """Return the texts of its files by name."""
        texts = {self.id: self.steps, **self.called}
        return {f"{name}.yaml": f"id: {name}\n{_HEAD}{text}" for name, text in texts.items()}


def _each(what: str, names: Sequence[str], *instances: str) -> list[str]:
    return [f"{what} {name}@{instance}" for name in names for instance in instances]


def _fault(instance: str, what: str, **does: Any) -> dict[str, Any]:
    return {"method": "POST", "path": f"/{instance}/{what}", **does}


_ISOLATE = """
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: act, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_SWEEP = """
steps:
  - id: sweep
    for_each: "['pc1', 'pc2', 'pc3', 'srv1', 'srv2', 'pc4']"
    concurrency: 3
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: act, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
"""
_BLOCK = """
steps:
  - {id: act, action: firewall.block_indicators, with: {indicators: "{{ inputs.bad }}", reason: r}}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_TAG = """
steps:
  - {id: act, action: west.tag, with: {names: [red]}}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_TAG_ALL = """
steps:
  - {id: act, action: box.tag, with: {names: [red, green, blue]}}
  - {id: more, for_each: "['a', 'b', 'c', 'd']", concurrency: 2, action: west.tag, with: {names: ["{{ item }}"]}}
"""
_WIPE = """
steps:
  - {id: act, action: west.wipe, with: {name: disk}}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_WIPE_ALL = """
steps:
  - {id: act, for_each: "['a', 'b', 'c', 'd', 'e']", concurrency: 3, action: west.wipe, with: {name: "{{ item }}"}}
  - {id: paper, action: box.shred, with: {names: [x, y, z]}}
"""
_POST = """
steps:
  - {id: tell, action: messaging.post, with: {channel: c, text: hi}}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_POST_ALL = """
steps:
  - id: tell
    for_each: "['a', 'b', 'c', 'd']"
    concurrency: 2
    action: messaging.post
    with: {channel: c, text: "{{ item }}"}
"""
_MIXED = """
steps:
  - id: find
    action: edr.get_host
    with: {name: pc1}
  - id: together
    parallel:
      - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
      - id: block
        for_each: inputs.bad
        batch: 2
        concurrency: 2
        action: firewall.block_indicators
        with: {indicators: "{{ item }}", reason: r}
      - {id: mark, action: west.tag, with: {names: [red]}}
      - {id: erase, action: east.wipe, with: {name: disk}}
      - {id: tell, action: messaging.post, with: {channel: c, text: begun}}
      - {id: inner, playbook: inner, with: {}}
  - id: count
    set: {blocked: "steps.together.block | length"}
finally:
  - {id: end, action: west.post, with: {channel: c, text: over}}
"""
_INNER = """
vars: {name: pc7}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ vars.name }}"}}
  - {id: act, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
"""
_HANDLED = """
steps:
  - id: act
    action: west.wipe
    with: {name: missing}
    on_error:
      - {id: instead, action: west.tag, with: {names: [failed]}}
      - {id: tell, action: west.post, with: {channel: c, text: failed}}
  - {id: never, action: west.tag, with: {names: [never]}}
on_failure:
  - {id: alarm, action: east.post, with: {channel: c, text: alarm}}
finally:
  - {id: end, action: west.tag, with: {names: [end]}}
"""

_RELEASED = """
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: act, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: pause, wait: 10s}
  - {id: undo, release: steps.find}
  - {id: after, action: edr.find_hosts, with: {name: srv9}}
"""
_UNBLOCKED = """
steps:
  - {id: act, action: firewall.block_indicators, with: {indicators: "{{ inputs.bad }}", reason: r}}
  - {id: undo, release: inputs.bad}
"""
_HELD = """
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: act, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, hold: 10s}
"""
_WATCHED = """
steps:
  - id: seen
    wait: {action: edr.find_hosts, with: {name: srv5}, until: result | length > 0, every: 5s, at_most: 1h}
  - {id: act, action: west.tag, with: {names: [red]}}
  - id: again
    while: steps.pass.n < 1
    at_most: 2
    steps:
      - {id: tell, action: west.post, with: {channel: c, text: once}}
      - {id: pass, set: {n: "1"}}
"""

_SWEPT = [*_each("isolate", ["pc1", "pc2", "pc3", "pc4"], "west"), *_each("isolate", ["srv1", "srv2"], "east")]
_TAGGED = [*_each("tag", ["red", "green", "blue"], "west", "east"), *_each("tag", ["a", "b", "c", "d"], "west")]
_WIPED = [*_each("wipe", ["a", "b", "c", "d", "e"], "west"), *_each("shred", ["x", "y", "z"], "west", "east")]
_MIXED_EFFECTS = [
    *_each("isolate", ["pc1", "pc7"], "west"),
    *_each("block", _BAD, "west", "east"),
    "tag red@west",
    "wipe disk@east",
    *_each("post", ["begun"], "west", "east"),
    "post over@west",
]

PLAYBOOKS: dict[str, Playbook] = {
    each.id: each
    for each in (
        Playbook("isolate", "verifiable", _ISOLATE, ["isolate pc1@west"]),
        Playbook("isolate-slow", "verifiable", _ISOLATE, ["isolate pc1@west"], behaviour={"looks": 4}),
        Playbook(
            "isolate-refused",
            "verifiable",
            _ISOLATE,
            ["isolate pc1@west"],
            [_fault("west", "isolate", status=503), _fault("west", "isolate", status=429)],
        ),
        Playbook(
            "isolate-lost", "verifiable", _ISOLATE, ["isolate pc1@west"], [_fault("west", "isolate", drop="after")]
        ),
        Playbook(
            "isolate-cut", "verifiable", _ISOLATE, ["isolate pc1@west"], [_fault("west", "isolate", drop="before")]
        ),
        Playbook(
            "isolate-lied", "verifiable", _ISOLATE, ["isolate pc1@west"], [_fault("*", "*", status=503, when="after")]
        ),
        Playbook("sweep", "verifiable", _SWEEP, _SWEPT),
        Playbook("block", "verifiable", _BLOCK, _each("block", _BAD, "west", "east")),
        Playbook("block-half", "verifiable", _BLOCK, _each("block", _BAD, "west", "east"), behaviour={"half": 2}),
        Playbook("tag", "idempotent", _TAG, ["tag red@west"]),
        Playbook(
            "tag-refused",
            "idempotent",
            _TAG,
            ["tag red@west"],
            [_fault("west", "tag", status=429, headers={"Retry-After": "2"}), _fault("west", "tag", status=503)],
        ),
        Playbook("tag-lost", "idempotent", _TAG, ["tag red@west"], [_fault("west", "tag", drop="after")]),
        Playbook("tag-all", "idempotent", _TAG_ALL, _TAGGED, [_fault("east", "tag", drop="after")]),
        Playbook("wipe", "manual", _WIPE, ["wipe disk@west"]),
        Playbook(
            "wipe-refused",
            "manual",
            _WIPE,
            ["wipe disk@west"],
            [_fault("west", "wipe", status=429, times=2, headers={"Retry-After": "1"})],
        ),
        Playbook("wipe-lost", "manual", _WIPE, ["wipe disk@west"], [_fault("west", "wipe", drop="after")]),
        Playbook("wipe-all", "manual", _WIPE_ALL, _WIPED, [_fault("west", "wipe", status=429)]),
        Playbook("post", "notification", _POST, _each("post", ["hi"], "west", "east")),
        Playbook(
            "post-refused",
            "notification",
            _POST,
            _each("post", ["hi"], "west", "east"),
            [_fault("west", "post", status=503), _fault("east", "post", status=429)],
        ),
        Playbook(
            "post-lost",
            "notification",
            _POST,
            _each("post", ["hi"], "west", "east"),
            [_fault("*", "post", drop="after")],
        ),
        Playbook("post-all", "notification", _POST_ALL, _each("post", ["a", "b", "c", "d"], "west", "east")),
        Playbook("mixed", "all", _MIXED, _MIXED_EFFECTS, called={"inner": _INNER}),
        Playbook(
            "mixed-rough",
            "all",
            _MIXED,
            _MIXED_EFFECTS,
            [
                _fault("west", "isolate", drop="after"),
                _fault("*", "block", status=503, times=2),
                _fault("west", "tag", drop="after"),
                _fault("*", "post", drop="after"),
            ],
            behaviour={"looks": 3},
            called={"inner": _INNER},
        ),
        Playbook("released", "undoing", _RELEASED, ["isolate pc1@west", "release pc1@west"]),
        Playbook(
            "unblocked",
            "undoing",
            _UNBLOCKED,
            [*_each("block", _BAD, "west", "east"), *_each("unblock", _BAD, "west", "east")],
        ),
        Playbook("held", "undoing", _HELD, ["isolate pc1@west", "release pc1@west"], later=["release pc1@west"]),
        Playbook("watched", "all", _WATCHED, ["tag red@west", "post once@west"]),
        Playbook(
            "handled",
            "all",
            _HANDLED,
            ["tag failed@west", "post failed@west", "post alarm@east", "tag end@west"],
            ends="failed",
        ),
    )
}
