"""`routing` of hikeshi.yaml: which instances an address or a name goes to, by capability."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Protocol

__all__ = ["TAG", "Destination", "routing_of"]

TAG = "tag:"
_KEYS = ("networks", "names", "to")


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class Destination:
    """What lies in one of `networks`, or has a name that fits one of `names`, goes to the connectors `to`."""

    networks: tuple[str, ...]
    names: tuple[str, ...]
    to: tuple[str, ...]


def routing_of(
    raw: Any, connectors: Sequence[str], tags: Mapping[str, Sequence[str]], problems: _Problems
) -> dict[str, tuple[Destination, ...]]:
    """Return the rules of each capability, in order, tags put in as names; with every problem of them."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        problems.add(("routing",), "'routing' is a map from a capability to a list of rules")
        return {}
    known: dict[str, tuple[str, ...]] = {name: (name,) for name in connectors}
    for tag in sorted({tag for given in tags.values() for tag in given}):
        known[f"{TAG}{tag}"] = tuple(name for name in connectors if tag in tags.get(name, ()))
    return {
        str(capability): _rules(("routing", capability), rules, known, problems) for capability, rules in raw.items()
    }


def _rules(
    where: tuple[Any, ...], raw: Any, known: Mapping[str, tuple[str, ...]], problems: _Problems
) -> tuple[Destination, ...]:
    if not isinstance(raw, list) or not all(isinstance(rule, Mapping) for rule in raw):
        problems.add(where, "needs a list of rules such as {networks: [10.1.0.0/16], to: [fw_plant]}")
        return ()
    found = []
    for rule in raw:
        for key in rule:
            problems.unknown(key, _KEYS, where)
        networks, names = (_texts(rule.get(key), key, where, problems) for key in ("networks", "names"))
        if not networks and not names:
            problems.add(where, "a rule needs 'networks' or 'names'; what no rule fits goes to every connector")
        to = _texts(rule.get("to"), "to", where, problems)
        if not to:
            problems.add(where, "a rule needs 'to': connectors, or tags of connectors such as tag:plant")
        found.append(Destination(_networks(networks, where, problems), names, _places(to, where, known, problems)))
    return tuple(found)


def _texts(raw: Any, key: str, where: tuple[Any, ...], problems: _Problems) -> tuple[str, ...]:
    listed = [] if raw is None else [raw] if isinstance(raw, str) else raw
    if isinstance(listed, list) and all(isinstance(each, str) and each for each in listed):
        return tuple(listed)
    problems.add(where, f"{key!r} is a text or a list of texts")
    return ()


def _networks(texts: Sequence[str], where: tuple[Any, ...], problems: _Problems) -> tuple[str, ...]:
    for text in texts:
        try:
            ip_network(text)
        except ValueError as exc:
            problems.add(where, f"{text!r} is no network: {exc}")
    return tuple(texts)


def _places(
    texts: Sequence[str], where: tuple[Any, ...], known: Mapping[str, tuple[str, ...]], problems: _Problems
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in texts:
        if text not in known:
            near = difflib.get_close_matches(text, list(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.add(where, f"there is no connector or tag {text!r}{hint}")
        found.update(dict.fromkeys(known.get(text, ())))
    return tuple(found)
