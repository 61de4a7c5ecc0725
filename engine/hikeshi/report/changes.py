"""What a run did to the world, or tried to: every change of one target and every message, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hikeshi.capabilities import Effect
from hikeshi.core import Node, RunState, StepStatus, decode_event
from hikeshi.core import events as ev
from hikeshi.journal import Record
from hikeshi.playbook.unknown import Stored
from hikeshi.report.tree import tree

__all__ = ["Change", "changes", "targets"]

Outcome = Literal["done", "already", "carried", "failed", "unknown", "open", "not reached"]

_READERS = ("channel", "to", "email", "title")  # whom a message is for, or what it is about

_OUTCOMES: Mapping[StepStatus, Outcome] = {
    StepStatus.SUCCEEDED: "done",
    StepStatus.FAILED: "failed",
    StepStatus.UNKNOWN: "unknown",
    StepStatus.RUNNING: "open",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One target of a change, or one message. `target` is what people call it: of a message, where it goes.

    `already`: it was so before, and nothing was sent. `carried`: the run that this one retries did it. `open`: the run
    is not that far yet. `not reached`: something that it needs went wrong.
    """

    path: str
    action: str
    effect: Effect
    connector: str
    target: str
    outcome: Outcome
    error: str | None
    attempts: int
    possibly_repeated: bool


def changes(state: RunState, records: Iterable[Record]) -> Iterator[Change]:
    """Give every change and message of a run, in the order of the playbook."""
    settled, labels, carried = _recorded(records)
    for _, node in tree(state):
        if node.action is None or node.parts or state.effect_of(node.action) is Effect.READ:
            continue
        named = targets(state, node)
        fates = list(settled.get(node.path, {}).values())
        if len(named) == 1 and len(fates) > 1:  # the list of targets is stored elsewhere, for it is long
            named = [(fate.target, named[0][1]) for fate in fates]
        for number, (label, connector) in enumerate(named):
            fate = fates[number] if len(fates) == len(named) else None
            known = labels.get((node.path, fate.target)) if fate is not None else None
            change = _change(state, node, known or label, connector, fate)
            yield replace(change, outcome="carried") if node.path in carried else change


def targets(state: RunState, node: Node) -> list[tuple[str, str]]:
    """Return what an action of a run is aimed at, for people, each with the connector that it goes to."""
    assert node.action is not None
    connector = ", ".join(node.at)
    if node.releases is not None:  # the inverse of a change is not among the routes of the run that releases it
        return [(_label(node.item), connector)]
    route = state.routes[node.action]
    arguments = node.arguments or {}
    if route.target is None:
        reader = next((name for name in _READERS if name in arguments), next(iter(arguments), ""))
        return [(_label(arguments.get(reader, "")), connector)]
    value = arguments.get(route.target)
    entries = value if isinstance(value, list) else [value]
    return [(_label(entry), _owner(entry) or connector) for entry in entries]


def _recorded(
    records: Iterable[Record],
) -> tuple[dict[str, dict[str, ev.SettledTarget]], dict[tuple[str, str], str], set[str]]:
    """Return the last word about each target of each path, what targets were called, and what was taken over."""
    settled: dict[str, dict[str, ev.SettledTarget]] = {}
    labels: dict[tuple[str, str], str] = {}
    carried: set[str] = set()
    for record in records:
        if record.kind not in ("ActionIntended", "ActionSucceeded", "TargetsSettled", "StepResolved"):
            continue
        event = decode_event(record.kind, record.path, record.data)
        if isinstance(event, ev.TargetsSettled):
            settled.setdefault(record.path, {}).update({each.target: each for each in event.settled})
        elif isinstance(event, ev.StepResolved):
            outcome: Literal["done", "failed"] = "done" if event.happened else "failed"
            for target, fate in settled.get(record.path, {}).items():
                if fate.outcome == "unknown":
                    settled[record.path][target] = fate._replace(outcome=outcome, error=None)
        elif isinstance(event, ev.ActionIntended):
            labels.update({(record.path, each["identity"]): each["label"] for each in event.targets})
        elif isinstance(event, ev.ActionSucceeded) and event.carried_from is not None:
            carried.add(record.path)
    return settled, labels, carried


def _change(state: RunState, node: Node, label: str, connector: str, fate: ev.SettledTarget | None) -> Change:
    assert node.action is not None
    outcome = _OUTCOMES.get(node.status, "not reached")
    error = node.error.message if node.error is not None and outcome in ("failed", "unknown") else None
    if fate is not None and outcome != "open":
        outcome = fate.outcome
        error = fate.error.message if fate.error is not None else None
    elif outcome == "done" and node.already:
        outcome = "already"
    return Change(
        node.path,
        node.action,
        state.effect_of(node.action),
        connector,
        label,
        outcome,
        error,
        node.attempts,
        node.possibly_repeated,
    )


def _label(value: Any) -> str:
    # Values may be unknown in a plan, and an unknown is neither true nor false.
    if isinstance(value, Mapping):
        named = (value[key] for key in ("name", "number", "value", "id") if isinstance(value.get(key), str))
        return next((text for text in named if text), "?")
    return f"a value of {value.size_bytes} bytes" if isinstance(value, Stored) else str(value)


def _owner(value: Any) -> str | None:
    owner = value.get("connector") if isinstance(value, Mapping) else None
    return owner if isinstance(owner, str) else None
