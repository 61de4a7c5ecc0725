"""What left for the products in a run: each change of a target and each message, with the last word about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from hikeshi.core import decode_event
from hikeshi.core import events as ev
from hikeshi.journal import Record
from hikeshi.quick_dataclass import dataclass

__all__ = ["Dispatch", "dispatches"]

# The engine itself held it back when its bytes were about to leave: the kill switch, or a route that is not declared.
_HELD_BACK = frozenset({"refused", "route_refused"})
_NOTIFY = "notify"


@dataclass(slots=True)
class Dispatch:
    """One change of one target, or one message to one instance.

    `outcome` is None if nothing is recorded of it yet. `hold` is what it opened, or closes if `releases`. `began_at` is
    when it was about to leave for the first time, `at` when the last word about it was recorded; both are UTC.
    """

    run: str
    playbook: str
    actor: str
    engine: str
    path: str
    action: str
    connector: str
    target: str
    label: str
    arguments: Mapping[str, Any]
    began_at: datetime
    at: datetime
    notifies: bool = False
    key: str = ""
    outcome: Literal["done", "failed", "unknown"] | None = None
    error: str | None = None
    hold: str | None = None
    expires_at: datetime | None = None
    undo: bool = False  # it opened a hold that has an inverse: something is contained from now on
    releases: bool = False
    reason: str | None = None
    resolved_by: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was to be called, before anybody knew whether it would be sent."""

    action: str
    arguments: Mapping[str, Any]
    instance: str = ""


_NOTHING = _Asked("", {})


@dataclass(slots=True)
class _Reading:
    """One run, as far as it was read."""

    run: str
    started: ev.RunStarted
    asked: dict[str, _Asked] = field(default_factory=dict)  # by path
    closes: dict[str, str] = field(default_factory=dict)  # the hold that a path releases
    sent: dict[tuple[str, str], Dispatch] = field(default_factory=dict)
    targets_at: dict[str, list[Dispatch]] = field(default_factory=dict)


def dispatches(records: Iterable[Record]) -> list[Dispatch]:
    """Return what was sent in a run, in the order in which it first was. A dry run and records of no run give none.

    What a rule refused, what was so already and what another run had done are not among it. Raises UnknownEvent for
    records of a newer version.
    """
    reading: _Reading | None = None
    for record in records:
        if record.kind != "RunStarted" and (reading is None or record.kind not in _READ):
            continue
        event = decode_event(record.kind, record.path, record.data)
        if isinstance(event, ev.RunStarted):
            reading = _Reading(record.run, event) if event.mode == "live" else None
        elif reading is not None:
            _READ[record.kind](reading, event, record.at)
    return [] if reading is None else list(reading.sent.values())


def _requested(reading: _Reading, event: ev.ActionRequested, _: datetime) -> None:
    arguments = _map(event.arguments)
    owners = (_map(value).get("connector") for value in arguments.values())
    routed = event.at or _map(_map(reading.started.routes.get(event.action)).get("instances"))
    instance = next((owner for owner in owners if isinstance(owner, str)), None) or next(iter(routed), "")
    reading.asked[event.path] = _Asked(event.action, arguments, instance)


def _fanned_out(reading: _Reading, event: ev.FannedOut, _: datetime) -> None:
    for instance, arguments in event.calls.items():
        reading.asked[f"{event.path}[{instance}]"] = _Asked(event.action, _map(arguments), instance)


def _holds_found(reading: _Reading, event: ev.HoldsFound, _: datetime) -> None:
    for each in event.holds:
        path = f"{event.path}[{each['hold']}]"
        reading.asked[path] = _Asked(each["action"], _map(each["arguments"]))
        reading.closes[path] = each["hold"]


def _intended(reading: _Reading, event: ev.ActionIntended, at: datetime) -> None:
    for target in event.targets:
        place = event.path, target["identity"]
        known = reading.sent.get(place)
        if known is None:
            known = _begun(reading, event.path, event.action, event.instance, target["identity"], target["label"], at)
        known.key = event.key


def _holds_opened(reading: _Reading, event: ev.HoldsOpened, _: datetime) -> None:
    for each in event.opened:
        sent = reading.sent.get((event.path, each.target))
        if sent is not None:
            sent.hold, sent.expires_at, sent.undo = each.hold, event.expires_at, event.undo is not None


def _undo_set(reading: _Reading, event: ev.UndoSet, _: datetime) -> None:
    for sent in reading.targets_at.get(event.path, ()):
        sent.undo = event.undo is not None


def _targets_settled(reading: _Reading, event: ev.TargetsSettled, at: datetime) -> None:
    for each in event.settled:
        _settled(reading, event.path, each, at)


def _settled(reading: _Reading, path: str, target: ev.SettledTarget, at: datetime) -> None:
    sent = reading.sent.get((path, target.target))
    if sent is None or target.outcome == "already":
        return
    if target.outcome == "failed" and target.error is not None and target.error.kind in _HELD_BACK:
        if sent.outcome is None:  # no earlier attempt left either
            del reading.sent[path, target.target]
            reading.targets_at[path].remove(sent)
        return
    sent.outcome, sent.at = target.outcome, at
    sent.error = None if target.error is None else target.error.message


def _resolved(reading: _Reading, event: ev.StepResolved, at: datetime) -> None:
    for sent in reading.targets_at.get(event.path, ()):
        if sent.outcome == "unknown":
            sent.outcome = "done" if event.happened else "failed"
            sent.error, sent.at, sent.resolved_by = None, at, event.actor


def _succeeded(reading: _Reading, event: ev.ActionSucceeded, at: datetime) -> None:
    if event.carried_from is None:
        _told(reading, event.path, at, "done")


def _failed(reading: _Reading, event: ev.ActionFailed, at: datetime) -> None:
    outcome: Literal["failed", "unknown"] = "unknown" if event.error.applied == "maybe" else "failed"
    _told(reading, event.path, at, outcome, event.error.message)


def _told(
    reading: _Reading, path: str, at: datetime, outcome: Literal["done", "failed", "unknown"], error: str | None = None
) -> None:
    """Note what became of a message. Changes are told of target by target."""
    asked = reading.asked.get(path, _NOTHING)
    if _map(reading.started.routes.get(asked.action)).get("effect") != _NOTIFY:
        return
    sent = reading.sent.get((path, asked.instance))
    if sent is None:
        texts = (asked.arguments.get(name) for name in ("channel", "to", "email", "title"))
        label = next((text for text in texts if isinstance(text, str)), asked.instance)
        sent = _begun(reading, path, asked.action, asked.instance, asked.instance, label, at)
        sent.notifies = True
    sent.outcome, sent.at, sent.error = outcome, at, error


def _begun(reading: _Reading, path: str, action: str, instance: str, target: str, label: str, at: datetime) -> Dispatch:
    started, hold = reading.started, reading.closes.get(path)
    arguments = reading.asked.get(path, _NOTHING).arguments
    reason = started.reason if hold is not None and started.reason else arguments.get("reason")
    sent = Dispatch(
        run=reading.run,
        playbook=started.playbook,
        actor=started.actor,
        engine=started.engine,
        path=path,
        action=action,
        connector=instance,
        target=target,
        label=label,
        arguments=arguments,
        began_at=at,
        at=at,
        hold=hold,
        releases=hold is not None,
        reason=reason if isinstance(reason, str) and reason.strip() else None,
    )
    reading.sent[path, target] = sent
    reading.targets_at.setdefault(path, []).append(sent)
    return sent


def _map(value: Any) -> Mapping[str, Any]:
    """Return a map; one that is stored elsewhere, for it is large, is left where it is."""
    return value if isinstance(value, Mapping) else {}


_READ: Mapping[str, Callable[[_Reading, Any, datetime], None]] = {
    "ActionRequested": _requested,
    "FannedOut": _fanned_out,
    "HoldsFound": _holds_found,
    "ActionIntended": _intended,
    "HoldsOpened": _holds_opened,
    "UndoSet": _undo_set,
    "TargetsSettled": _targets_settled,
    "StepResolved": _resolved,
    "ActionSucceeded": _succeeded,
    "ActionFailed": _failed,
}
