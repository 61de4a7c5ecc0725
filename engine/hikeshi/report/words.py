"""One line of plain words for each kind of event, and how much it matters. Times are in UTC, as in the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from hikeshi.core import events as ev

__all__ = ["words_for"]

_MOST = 3
_WEIGHTS = {"failed": "bad", "unknown": "warning", "done": "good", "already": "detail"}  # the worst first

Words = tuple[str, str]


def words_for(event: ev.Event) -> Words:
    """Return the words for an event and its weight: `detail`, `normal`, `good`, `warning`, `bad`."""
    return _WORDS[type(event)](event)


def _few(texts: Iterable[str]) -> str:
    listed = list(texts)
    rest = f" and {len(listed) - _MOST} more" if len(listed) > _MOST else ""
    return ", ".join(listed[:_MOST]) + rest


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _name(target: Any) -> str:
    """Return what people call a target: an entity, an indicator, or a text."""
    if isinstance(target, dict):
        return next((str(target[key]) for key in ("label", "name", "value", "id") if target.get(key)), "?")
    return str(target)


# --- the run ----------------------------------------------------------------------------------------------


def _started(event: ev.RunStarted) -> Words:
    what = "dry run" if event.mode == "plan" else "run"
    again = f", once more for what failed in {event.retry_of}" if event.retry_of is not None else ""
    why = f": {event.reason}" if event.reason is not None else ""
    return f"{what} of {event.playbook!r} started by {event.actor}{again}{why}", "normal"


def _parked(event: ev.RunParked) -> Words:
    waits = []
    if event.queued:
        waits.append("until no other run has its key")
    waits += [f"for the signal {name!r}" for name, *_ in event.signals]
    if event.wake_at is not None:
        waits.append(f"until {_at(event.wake_at)}")
    return "waits " + (", or ".join(waits) if waits else "for people"), "detail"


def _key_refused(event: ev.KeyRefused) -> Words:
    if event.joined:
        return f"joins run {event.holder}, which has the key {event.key!r} and does the same", "normal"
    return f"run {event.holder} has the key {event.key!r} and is under way", "bad"


def _joined(event: ev.RunJoined) -> Words:
    return f"{event.actor} asked for the same; this run goes on for both", "normal"


def _finished(event: ev.RunFinished) -> Words:
    reason = "" if event.error is None else f": {event.error.message}"
    failed = f"; failed: {', '.join(event.failures)}" if event.failures else ""
    return f"run {event.status}{reason}{failed}", "good" if event.status == "succeeded" else "bad"


# --- actions ----------------------------------------------------------------------------------------------


def _requested(event: ev.ActionRequested) -> Words:
    return f"{event.action} requested" + (" (maybe)" if event.maybe else ""), "detail"


def _fanned_out(event: ev.FannedOut) -> Words:
    return f"{event.action} goes to {', '.join(event.calls)}", "detail"


def _intended(event: ev.ActionIntended) -> Words:
    shown = _few(target["label"] for target in event.targets)
    again = " (possibly a repeat)" if event.possibly_repeated else ""
    what = f"about to send {event.action}" + (f" for {shown}" if shown else "")
    return f"{what} to {event.instance}{again}", "normal"


def _holds_opened(event: ev.HoldsOpened) -> Words:
    until = "" if event.expires_at is None else f" until {_at(event.expires_at)}"
    shown = _few(each.label for each in event.opened)
    if len(event.opened) == 1:
        return f"hold {event.opened[0].hold} opened on {shown}{until}", "detail"
    return f"{len(event.opened)} holds opened on {shown}{until}", "detail"


def _targets_settled(event: ev.TargetsSettled) -> Words:
    by_outcome = {each: [target for target in event.settled if target.outcome == each] for each in _WEIGHTS}
    told = [_outcome(name, targets) for name, targets in by_outcome.items() if targets]
    return "; ".join(told), next(_WEIGHTS[name] for name, targets in by_outcome.items() if targets)


def _outcome(name: str, targets: Sequence[ev.SettledTarget]) -> str:
    """Return what became of targets, all in the same way; a reason that they share stands once."""
    reasons = {None if each.error is None else each.error.message for each in targets}
    if len(reasons) > 1:
        shown = _few(each.target if each.error is None else f"{each.target} ({each.error.message})" for each in targets)
        return f"{shown}: {name}"
    return ": ".join([_few(each.target for each in targets), name, *filter(None, reasons)])


def _succeeded(event: ev.ActionSucceeded) -> Words:
    if event.carried_from is not None:
        return f"done by run {event.carried_from}; taken over from there", "good"
    again = " (possibly a repeat)" if event.possibly_repeated else ""
    return ("it was so already; nothing was sent" if event.already else f"succeeded{again}"), "good"


def _planned(event: ev.ActionPlanned) -> Words:
    if event.already:
        return f"{event.action}: it is so already; nothing would be sent", "normal"
    return f"{event.action} would send {len(event.requests)} request(s) to {event.connector or 'unknown'}", "normal"


def _undo_set(event: ev.UndoSet) -> Words:
    if event.error is not None:
        return f"how to undo it could not be computed: {event.error.message}", "warning"
    return "how to undo it is computed", "detail"


def _resolved(event: ev.StepResolved) -> Words:
    return f"{event.actor} says that it {'happened' if event.happened else 'did not happen'}", "normal"


def _stop(event: ev.StopReached) -> Words:
    reason = "" if event.message is None else f": {event.message}"
    return f"stops the playbook as {event.status}{reason}", "normal"


# --- people -----------------------------------------------------------------------------------------------


def _asked(event: ev.QuestionAsked) -> Words:
    who = ", ".join(event.by)
    if event.kind == "form":
        return f"asks {who} until {_at(event.due_at)}: {event.question}", "normal"
    votes = f"{event.quorum} of " if event.quorum > 1 else ""
    again = "again, for targets that were not shown before" if event.approval is not None else ""
    targets = f" ({len(event.shows)} target{'' if len(event.shows) == 1 else 's'})"
    words = " ".join(filter(None, ("asks", votes + who, "to approve", again)))
    return f"{words}{targets} until {_at(event.due_at)}: {event.question}", "normal"


def _vote(event: ev.VoteCast) -> Words:
    note = f": {event.note}" if event.note else ""
    verb, weight = ("approves", "good") if event.decision == "approve" else ("REJECTS", "bad")
    return f"{event.by} {verb}{note}", weight


def _answered(event: ev.FormAnswered) -> Words:
    return f"{event.by} answers: {_few(f'{name} = {_value(value)}' for name, value in event.answers.items())}", "good"


def _not_shown(event: ev.TargetsNotShown) -> Words:
    targets = _few(_name(target) for target in event.targets)
    return f"nothing was sent: the approval {event.approval!r} did not show {targets}", "warning"


def _message_refused(event: ev.MessageRefused) -> Words:
    return f"{event.request} by {event.by} was refused: {event.reason}", "warning"


def _step_planned(event: ev.StepPlanned) -> Words:
    kinds = {"approve": "would ask for approval", "ask": "would ask", "release": "would release"}
    for shown in event.shows:
        for key, verb in kinds.items():
            if isinstance(shown, dict) and key in shown:
                return f"{verb}: {_what(shown[key])}" + (" (maybe)" if event.maybe else ""), "normal"
    return "would wait" + (" (maybe)" if event.maybe else ""), "normal"


def _what(value: Any) -> str:
    return _few(_name(each) for each in value) if isinstance(value, list) else _name(value)


# --- waits and holds --------------------------------------------------------------------------------------


def _wait_started(event: ev.WaitStarted) -> Words:
    if event.action is not None:
        return f"waits until {event.action} says so, at longest until {_at(event.due_at)}", "normal"
    if event.signal is not None:
        return f"waits for the signal {event.signal!r}, at longest until {_at(event.due_at)}", "normal"
    return f"waits until {_at(event.due_at)}", "normal"


def _while_ended(event: ev.WhileEnded) -> Words:
    return (
        "whether there are more passes is not known" if event.more_unknown else "no further pass is needed"
    ), "detail"


def _holds_found(event: ev.HoldsFound) -> Words:
    if not event.holds:
        return "there is nothing to release", "normal"
    return f"releases {len(event.holds)} hold(s): {_few(_name(hold) for hold in event.holds)}", "normal"


def _hold_released(event: ev.HoldReleased) -> Words:
    if event.outcome == "passed_on":
        return f"hold {event.hold} ended; {event.to or 'another one'} keeps its target", "normal"
    return f"hold {event.hold} released", "good"


def _hold_extended(event: ev.HoldExtended) -> Words:
    return f"{event.actor} lets hold {event.hold} go on until {_at(event.expires_at)}: {event.reason}", "normal"


def _change_refused(event: ev.ChangeRefused) -> Words:
    end = "; nothing more starts in this run" if event.stops else ""
    return f"refused ({event.code}, {event.rule}): {event.why}; {event.lift} may lift this{end}", "bad"


_WORDS: dict[type[ev.Event], Callable[[Any], Words]] = {
    ev.RunStarted: _started,
    ev.RunTakenOver: lambda e: (f"taken over by process {e.owner[:8]} after the last one ended", "warning"),
    ev.RunParked: _parked,
    ev.RunJoined: _joined,
    ev.KeyAcquired: lambda e: (f"has the key {e.key!r}; no other run has it meanwhile", "detail"),
    ev.KeyRefused: _key_refused,
    ev.VariablesSet: lambda e: (e.error.message, "bad") if e.error else ("variables computed", "detail"),
    ev.StepSkipped: lambda e: (f"{'waived' if e.waived else 'skipped'}: {e.reason}", "normal"),
    ev.StepStarted: lambda _: ("block started", "detail"),
    ev.StepPlanned: _step_planned,
    ev.StepCancelled: lambda _: ("cancelled before it had ended", "warning"),
    ev.LoopStarted: lambda e: (f"loop over {len(e.items)} item(s)", "normal"),
    ev.PassStarted: lambda e: (f"pass {e.number + 1} began", "normal"),
    ev.WhileEnded: _while_ended,
    ev.ActionRequested: _requested,
    ev.FannedOut: _fanned_out,
    ev.PlaybookEntered: lambda _: ("sub-playbook started", "normal"),
    ev.PlaybookFinished: lambda e: (e.error.message, "bad") if e.error else ("sub-playbook ended", "normal"),
    ev.ValuesSet: lambda e: (f"set {', '.join(e.values)}", "detail"),
    ev.StopReached: _stop,
    ev.DecisionFailed: lambda e: (f"failed before anything was sent: {e.error.message}", "bad"),
    ev.ApprovalHeld: lambda e: (f"waits for the approval {e.approval!r}", "normal"),
    ev.ApprovalBegan: lambda _: ("plans what the approval would allow, to show it", "detail"),
    ev.QuestionAsked: _asked,
    ev.QuestionEscalated: lambda e: (
        f"nobody decided in time; now asks {', '.join(e.by)} until {_at(e.due_at)}",
        "warning",
    ),
    ev.VoteCast: _vote,
    ev.FormAnswered: _answered,
    ev.MessageRefused: _message_refused,
    ev.TargetsNotShown: _not_shown,
    ev.ChangeRefused: _change_refused,
    ev.ConsentNeeded: lambda event: (f"{event.rule} wants people to decide: {event.question}", "warning"),
    ev.TargetsCounted: lambda event: (f"counts under {_few(sorted({use['rule'] for use in event.uses}))}", "detail"),
    ev.PlanSaved: lambda event: (f"saved by {event.actor}, to be applied until {_at(event.expires_at)}", "normal"),
    ev.PlanDenied: lambda event: (f"{event.actor} may not apply it: {'; '.join(event.reasons)}", "warning"),
    ev.PlanTaken: lambda event: (f"applied by {event.actor} as run {event.run}", "normal"),
    ev.ActionIntended: _intended,
    ev.HoldsOpened: _holds_opened,
    ev.UndoSet: _undo_set,
    ev.TargetsSettled: _targets_settled,
    ev.ActionSucceeded: _succeeded,
    ev.ActionFailed: lambda e: (f"attempt {e.attempt} failed: {e.error.message}", "warning"),
    ev.ActionUnknown: lambda e: (f"OUTCOME UNKNOWN: {e.error.message}", "bad"),
    ev.ActionPlanned: _planned,
    ev.RetryScheduled: lambda e: (f"attempt {e.attempt} at {e.due_at:%H:%M:%S} UTC", "normal"),
    ev.TimerFired: lambda _: ("the time is over", "detail"),
    ev.WaitStarted: _wait_started,
    ev.SignalArrived: lambda e: (f"signal {e.signal} arrived", "normal"),
    ev.SignalPassed: lambda e: (f"signal {e.signal} is not the one; waits on", "detail"),
    ev.WaitEnded: lambda _: ("what it waited for is there", "good"),
    ev.ReleaseRequested: lambda e: (f"looks for holds on {_few(_name(target) for target in e.targets)}", "detail"),
    ev.HoldsFound: _holds_found,
    ev.HoldReleased: _hold_released,
    ev.HoldExtended: _hold_extended,
    ev.StepFailed: lambda e: (f"failed: {e.error.message}", "bad"),
    ev.StepResolved: _resolved,
    ev.CancelRequested: lambda e: (f"{e.actor} cancels the run: {e.reason}", "warning"),
    ev.PauseRequested: lambda e: (f"{e.actor} pauses the run", "warning"),
    ev.RunResumed: lambda e: (f"{e.actor} resumes the run", "normal"),
    ev.HandlerStarted: lambda _: ("on_error started", "normal"),
    ev.OnFailureStarted: lambda _: ("on_failure started", "normal"),
    ev.FinallyStarted: lambda _: ("finally started", "detail"),
    ev.RunFinished: _finished,
}
