"""Playbook text to the types of the language."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from hikeshi.playbook import Playbook, Position, load_playbook
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    EventWait,
    MaxFailures,
    Phase,
    PlaybookStep,
    ReadWait,
    ReleaseStep,
    Retry,
    SetStep,
    StopStep,
    WaitStep,
)

LANGUAGE = Path(__file__).resolve().parents[3] / "docs" / "language.md"


def load(text: str) -> Playbook:
    playbook, problems = load_playbook(text, "p.yaml")
    assert [str(problem) for problem in problems] == []
    assert playbook is not None
    return playbook


def test_everything_at_the_top_is_read() -> None:
    """Each key of a playbook comes out as its type."""
    playbook = load("""
id: contain-all
name: Contain all
version: 3
description: Does it
phase: contain
severity: high
attack: [T1486, T1059.001]
owner: soc@example.com
tags: [ransomware]
references: ["https://example.com/r"]
inputs:
  hostname: {type: hostname, description: The host}
  ports: {type: list, items: {type: integer, minimum: 1}, default: [443]}
vars: {channel: "#{{ inputs.hostname }}"}
steps: [{set: {n: 1 + 1}}]
on_failure: [{set: {f: "1"}}]
finally: [{set: {e: "2"}}]
outputs: {n: "{{ vars.n }}"}
timeout: 2h
concurrency: {key: "{{ inputs.hostname }}", on_conflict: reject}
""")

    assert (playbook.id, playbook.name, playbook.version, playbook.phase) == (
        "contain-all",
        "Contain all",
        3,
        Phase.CONTAIN,
    )
    assert (playbook.severity, playbook.attack, playbook.owner) == ("high", ("T1486", "T1059.001"), "soc@example.com")
    assert (playbook.tags, playbook.references) == (("ransomware",), ("https://example.com/r",))
    hostname, ports = playbook.inputs.values()
    assert (hostname.type, hostname.required, hostname.description) == ("hostname", True, "The host")
    assert ports.default == [443]
    assert not ports.required
    assert ports.constraints.items is not None
    assert ports.constraints.items.constraints.minimum == 1
    assert playbook.timeout_s == 7200
    assert playbook.concurrency is not None
    assert playbook.concurrency.on_conflict == "reject"
    assert playbook.vars["channel"].evaluate({"inputs": {"hostname": "pc7"}}) == "#pc7"
    assert [step.key for step in playbook.on_failure] == ["on_failure[0]"]
    assert [step.key for step in playbook.finally_] == ["finally[0]"]


def test_what_is_left_out_has_its_default() -> None:
    """The least playbook has an ID and a step."""
    playbook = load("id: p\nsteps: [{action: edr.list_alerts}]")

    assert (playbook.name, playbook.version, playbook.description, playbook.phase) == ("p", 1, "", None)
    assert (playbook.triggers, playbook.attack, len(playbook.on_failure)) == ((), (), 0)
    step = playbook.steps.by_key["steps[0]"]
    assert isinstance(step, ActionStep)
    assert step.arguments.evaluate({}) == {}
    assert (step.retry, step.loop, step.on_error, step.after) == (None, None, None, ())


def test_the_source_is_pinned_by_its_digest() -> None:
    """A run can prove which text it ran."""
    text = "id: p\nsteps: [{action: edr.list_alerts}]"

    playbook = load(text)

    assert playbook.source == text
    assert playbook.digest == hashlib.sha256(text.encode()).hexdigest()
    assert playbook.position == Position("p.yaml", 1, 1)


def test_an_action_step_keeps_all_its_keys() -> None:
    """Durations are seconds, shares are per cent."""
    step = load("""
id: p
steps:
  - id: block
    name: Block them
    action: fw_hq.block_indicators
    with: {indicators: "{{ item }}", reason: x}
    retry: {attempts: 5, wait: 2s, factor: 1.5, max_wait: 1m, kinds: [rate_limited]}
    timeout: 30s
    hold: 8h
    undo: none
    at: "['fw_hq']"
    for_each: inputs.list
    as: entry
    concurrency: 3
    batch: 50
    max_failures: 10%
    stop_after: 4
    on_error: continue
    phase: contain
""").steps.by_key["block"]

    assert isinstance(step, ActionStep)
    assert (step.action, step.label, step.timeout_s, step.phase) == (
        "fw_hq.block_indicators",
        "Block them",
        30,
        "contain",
    )
    assert step.retry == Retry(5, 2, 1.5, 60, frozenset({"rate_limited"}))
    assert step.hold is not None
    assert step.hold.evaluate({}) == "8h"
    assert step.undo is not None
    assert step.undo.action is None
    assert step.loop is not None
    assert (step.loop.name, step.loop.concurrency, step.loop.batch, step.loop.stop_after) == ("entry", 3, 50, 4)
    assert step.loop.max_failures == MaxFailures(percent=10)
    assert step.on_error is not None
    assert (step.on_error.then_continue, step.on_error.steps) == (True, None)


def test_every_kind_of_step_is_read() -> None:
    """Each kind becomes its own type."""
    playbook = load("""
id: p
steps:
  - {id: sub, playbook: other-one, with: {a: 1}}
  - {id: ok, approve: "Go?", by: [role:lead], within: 15m, quorum: 2, escalate: {to: [ciso], within: 1h}, covers: [c]}
  - {id: task, ask: Look, form: {found: {type: boolean}}, by: [ann], within: 1d}
  - {id: pause, wait: 5m}
  - {id: pause2, wait: "{{ inputs.n }}m"}
  - {id: poll, wait: {action: edr.isolation_of, with: {host: x}, until: result.ok, every: 5s, at_most: 2m}}
  - {id: signal, wait: {event: done, when: event.ok, at_most: 1h}}
  - {id: vals, set: {a: 1, b: "'x'"}}
  - {id: rel, release: steps.c}
  - {id: blk, steps: [{id: c, set: {d: "1"}}, {set: {e: "2"}}]}
  - {id: par, parallel: [{set: {f: "1"}}, {set: {g: "2"}}]}
  - {id: rep, while: "true", at_most: 3, steps: [{set: {h: "1"}}]}
  - {id: end, stop: {status: failed, message: "because {{ vars.a }}"}}
""")
    steps = playbook.steps.by_key

    assert isinstance(steps["sub"], PlaybookStep)
    approve = steps["ok"]
    assert isinstance(approve, ApproveStep)
    assert (approve.by, approve.within_s, approve.quorum, approve.covers) == (("role:lead",), 900, 2, ("c",))
    assert approve.escalate is not None
    assert (approve.escalate.to, approve.escalate.within_s) == (("ciso",), 3600)
    assert isinstance(steps["task"], AskStep)
    assert steps["task"].form["found"].type == "boolean"
    waits = [step.wait for step in playbook.steps if isinstance(step, WaitStep)]
    assert waits[0] == 300
    assert isinstance(waits[2], ReadWait)
    assert (waits[2].every_s, waits[2].at_most_s) == (5, 120)
    assert isinstance(waits[3], EventWait)
    assert isinstance(steps["vals"], SetStep)
    assert {name: value.text for name, value in steps["vals"].values.items()} == {"a": "1", "b": "'x'"}
    assert isinstance(steps["rel"], ReleaseStep)
    assert isinstance(steps["blk"], BlockStep)
    assert list(steps["blk"].children.by_key) == ["c", "steps[1]"]
    assert isinstance(steps["par"], BlockStep)
    assert steps["par"].children.parallel
    assert isinstance(steps["rep"], BlockStep)
    assert steps["rep"].repeat is not None
    assert isinstance(steps["end"], StopStep)
    assert steps["end"].status == "failed"


def test_a_step_needs_the_one_before_unless_it_says_otherwise() -> None:
    """In a parallel block nothing waits; `needs` names siblings, also those written later."""
    playbook = load("""
id: p
steps:
  - {id: a, set: {a: "1"}}
  - {set: {b: "1"}}
  - {id: c, set: {c: "1"}, needs: [e]}
  - {id: d, set: {d: "1"}, needs: []}
  - {id: e, set: {e: "1"}, needs: [a, d]}
  - id: f
    parallel: [{id: g, set: {g: "1"}}, {id: h, set: {h: "1"}}, {id: i, set: {i: "1"}, needs: [g]}]
""")
    block = playbook.steps.by_key["f"]

    assert isinstance(block, BlockStep)
    assert {step.key: step.after for step in (*playbook.steps, *block.children)} == {
        "a": (),
        "steps[1]": ("a",),
        "c": ("e",),
        "d": (),
        "e": ("a", "d"),
        "f": ("e",),
        "g": (),
        "h": (),
        "i": ("g",),
    }


def test_handlers_are_lists_of_their_own() -> None:
    """A handler's steps have keys by its name, and may let what follows go on."""
    step = load("""
id: p
steps:
  - id: a
    action: edr.list_alerts
    on_error: {steps: [{set: {x: "1"}}, {id: b, set: {y: "1"}}], then: continue}
""").steps.by_key["a"]

    assert step.on_error is not None
    assert step.on_error.then_continue
    assert step.on_error.steps is not None
    assert list(step.on_error.steps.by_key) == ["on_error[0]", "b"]


def test_triggers_are_read() -> None:
    """Each kind of trigger keeps its source and its rules."""
    cron, every, hook, poll = load("""
id: p
triggers:
  - {id: nightly, schedule: "0 2 * * mon-fri", timezone: Asia/Tokyo, missed: run_once}
  - {id: often, schedule: {every: 5m}, enabled: false}
  - {id: hook, webhook: siem, when: event.ok, inputs: {h: "{{ event.host }}"}, dedupe: event.id, window: 1h}
  - {id: poll, poll: {action: edr.list_alerts, with: {severity: high}, every: 1m}, mode: plan, by: [role:lead]}
inputs: {h: {type: string}}
steps: [{set: {a: "1"}}]
""").triggers

    assert (cron.kind, cron.source, cron.timezone, cron.missed) == (
        "schedule",
        {"cron": "0 2 * * mon-fri"},
        "Asia/Tokyo",
        "run_once",
    )
    assert (every.source, every.enabled, every.missed) == ({"every_s": 300}, False, "skip")
    assert (hook.kind, hook.source, hook.window_s, list(hook.inputs)) == ("webhook", {"source": "siem"}, 3600, ["h"])
    assert (poll.source["action"], poll.source["every_s"], poll.mode, poll.by) == (
        "edr.list_alerts",
        60,
        "plan",
        ("role:lead",),
    )


def test_steps_know_their_place_and_the_way_to_them() -> None:
    """Positions are those of the step's map; chains lead through blocks and handlers."""
    playbook = load("""id: p
steps:
  - id: a
    steps:
      - action: edr.list_alerts
        on_error:
          - id: b
            set: {x: "1"}
""")

    assert playbook.steps.by_key["a"].position == Position("p.yaml", 3, 5)
    assert playbook.chains["b"] == ("a", "steps[0]", "on_error", "b")


def test_every_example_of_the_language_page_is_a_playbook() -> None:
    """The documentation shows nothing that the parser refuses."""
    examples = [text for text in re.findall(r"```yaml\n(.*?)```", LANGUAGE.read_text(), re.DOTALL) if "id:" in text]

    assert len(examples) >= 4
    for text in examples:
        load(text)


@pytest.mark.parametrize("text", ["id: p\nsteps: &s\n  - &one {set: {a: '1'}}\nfinally: [{set: {b: '2'}}]"])
def test_anchors_do_not_get_in_the_way(text: str) -> None:
    """A playbook may use them for what it repeats."""
    assert len(load(text).steps) == 1
