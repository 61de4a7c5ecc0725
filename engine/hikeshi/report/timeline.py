"""The timeline of a run: what happened, when, in words that need no knowledge of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hikeshi.core import decode_event
from hikeshi.core import events as ev
from hikeshi.journal import Record

__all__ = ["TimelineEntry", "timeline"]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line. `at` is aware UTC; `weight` says how much it matters: `detail`, `normal`, `good`, `warning`, `bad`."""

    seq: int
    at: datetime
    path: str
    kind: str
    text: str
    weight: str

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "path": self.path,
            "kind": self.kind,
            "text": self.text,
        }


def timeline(records: Iterable[Record]) -> Iterator[TimelineEntry]:
    """Give one entry for each record, in order."""
    for record in records:
        event = decode_event(record.kind, record.path, record.data)
        text, weight = _WORDS[type(event)](event)
        yield TimelineEntry(record.seq, record.at, record.path, record.kind, text, weight)


def _started(event: ev.RunStarted) -> tuple[str, str]:
    what = "dry run" if event.mode == "plan" else "run"
    return f"{what} of {event.playbook!r} started by {event.actor}", "normal"


def _requested(event: ev.ActionRequested) -> tuple[str, str]:
    return f"{event.action} requested" + (" (maybe)" if event.maybe else ""), "detail"


def _fanned_out(event: ev.FannedOut) -> tuple[str, str]:
    return f"{event.action} goes to {', '.join(event.calls)}", "detail"


def _intended(event: ev.ActionIntended) -> tuple[str, str]:
    labels = [target["label"] for target in event.targets]
    shown = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
    again = " (possibly a repeat)" if event.possibly_repeated else ""
    return f"about to send {event.action}" + (
        f" for {shown}" if shown else ""
    ) + f" to {event.instance}{again}", "normal"


def _settled(event: ev.TargetSettled) -> tuple[str, str]:
    weight = {"done": "good", "already": "detail", "failed": "bad", "unknown": "warning"}[event.outcome]
    reason = "" if event.error is None else f": {event.error.message}"
    return f"{event.target}: {event.outcome}{reason}", weight


def _succeeded(event: ev.ActionSucceeded) -> tuple[str, str]:
    again = " (possibly a repeat)" if event.possibly_repeated else ""
    return ("it was so already; nothing was sent" if event.already else f"succeeded{again}"), "good"


def _planned(event: ev.ActionPlanned) -> tuple[str, str]:
    if event.already:
        return f"{event.action}: it is so already; nothing would be sent", "normal"
    return f"{event.action} would send {len(event.requests)} request(s) to {event.connector or 'unknown'}", "normal"


def _finished(event: ev.RunFinished) -> tuple[str, str]:
    reason = "" if event.error is None else f": {event.error.message}"
    failed = f"; failed: {', '.join(event.failures)}" if event.failures else ""
    return f"run {event.status}{reason}{failed}", "good" if event.status == "succeeded" else "bad"


def _stop(event: ev.StopReached) -> tuple[str, str]:
    reason = "" if event.message is None else f": {event.message}"
    return f"stops the playbook as {event.status}{reason}", "normal"


def _resolved(event: ev.StepResolved) -> tuple[str, str]:
    return f"{event.actor} says that it {'happened' if event.happened else 'did not happen'}", "normal"


_WORDS: dict[type[ev.Event], Callable[[Any], tuple[str, str]]] = {
    ev.RunStarted: _started,
    ev.RunTakenOver: lambda e: (f"taken over by process {e.owner[:8]} after the last one ended", "warning"),
    ev.VariablesSet: lambda e: (e.error.message, "bad") if e.error else ("variables computed", "detail"),
    ev.StepSkipped: lambda e: (f"skipped: {e.reason}", "normal"),
    ev.StepStarted: lambda _: ("block started", "detail"),
    ev.LoopStarted: lambda e: (f"loop over {len(e.items)} item(s)", "normal"),
    ev.ActionRequested: _requested,
    ev.FannedOut: _fanned_out,
    ev.PlaybookEntered: lambda _: ("sub-playbook started", "normal"),
    ev.PlaybookFinished: lambda e: (e.error.message, "bad") if e.error else ("sub-playbook ended", "normal"),
    ev.ValuesSet: lambda e: (f"set {', '.join(e.values)}", "detail"),
    ev.StopReached: _stop,
    ev.DecisionFailed: lambda e: (f"failed before anything was sent: {e.error.message}", "bad"),
    ev.ActionIntended: _intended,
    ev.HoldOpened: lambda e: (f"hold {e.hold} opened on {e.label}", "detail"),
    ev.TargetSettled: _settled,
    ev.ActionSucceeded: _succeeded,
    ev.ActionFailed: lambda e: (f"attempt {e.attempt} failed: {e.error.message}", "warning"),
    ev.ActionUnknown: lambda e: (f"OUTCOME UNKNOWN: {e.error.message}", "bad"),
    ev.ActionPlanned: _planned,
    ev.RetryScheduled: lambda e: (f"attempt {e.attempt} at {e.due_at:%H:%M:%S}", "normal"),
    ev.TimerFired: lambda _: ("the wait is over", "detail"),
    ev.StepFailed: lambda e: (f"failed: {e.error.message}", "bad"),
    ev.StepResolved: _resolved,
    ev.HandlerStarted: lambda _: ("on_error started", "normal"),
    ev.OnFailureStarted: lambda _: ("on_failure started", "normal"),
    ev.FinallyStarted: lambda _: ("finally started", "detail"),
    ev.RunFinished: _finished,
}
