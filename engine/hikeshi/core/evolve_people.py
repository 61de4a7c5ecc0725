"""Folding what people do: approvals, answers, cancelling, pausing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.attempts import answered, decided, fail, forget_todo, owe_attempt, running
from hikeshi.core.commands import PlanCovered, StartAction, WaitUntil
from hikeshi.core.cover import approvals_over
from hikeshi.core.events import ErrorRecord
from hikeshi.core.settle import end, goes_on_without
from hikeshi.core.state import Node, Question, RunState, Todo
from hikeshi.core.status import StepStatus
from hikeshi.playbook.model import ApproveStep

__all__ = ["PEOPLE_FOLDS", "cancel", "target_key"]


def target_key(action: str, identity: str) -> str:
    """Return what an approval allows: this action on this target."""
    return f"{action}\0{identity}"


def _approval_held(state: RunState, event: ev.ApprovalHeld) -> None:
    node = decided(state, event.path)
    if (event.approval, "open") not in approvals_over(state, node):
        state.todo[Todo.START, node.path] = None  # it was decided at the same moment
        return
    node.reason = f"waits for the approval {event.approval!r}"
    state.held.setdefault(event.approval, []).append(node.path)


def _approval_began(state: RunState, event: ev.ApprovalBegan) -> None:
    node = running(state, event.path)
    step = node.step
    assert isinstance(step, ApproveStep)
    node.question = Question("approval", event.question, list(step.by), step.quorum)
    state.owe(PlanCovered(node.path, event.question, step.by, step.quorum, step.within_s))


def _question_asked(state: RunState, event: ev.QuestionAsked) -> None:
    if (Todo.START, event.path) in state.todo:
        running(state, event.path)
    forget_todo(state, event.path)
    state.owed.pop(event.path, None)
    state.nodes[event.path].question = Question(
        event.kind,
        event.question,
        list(event.by),
        event.quorum,
        event.due_at,
        event.digest,
        event.shows,
        event.not_known,
        event.fields,
        event.approval,
        event.round,
        event.rule,
        event.within_s,
    )
    state.owe(WaitUntil(event.path, event.due_at))


def _question_escalated(state: RunState, event: ev.QuestionEscalated) -> None:
    forget_todo(state, event.path)
    question = _question(state, event.path)
    question.by, question.due_at, question.escalated = list(event.by), event.due_at, True
    state.owe(WaitUntil(event.path, event.due_at))


def _vote_cast(state: RunState, event: ev.VoteCast) -> None:
    node, question = state.nodes[event.path], _question(state, event.path)
    question.votes[event.by] = event.decision
    if event.decision == "reject":
        _close_question(state, node)
        why = f": {event.note}" if event.note else ""
        fail(state, node, ErrorRecord("rejected", f"rejected by {event.by}{why}"))
    elif len(question.votes) >= question.quorum:
        _close_question(state, node)
        _approve(state, node, question, event)


def _close_question(state: RunState, node: Node) -> None:
    state.owed.pop(node.path, None)
    forget_todo(state, node.path)


def _approve(state: RunState, node: Node, question: Question, last: ev.VoteCast) -> None:
    shown = {target_key(each["action"], each["target"]) for each in question.shows}
    question.due_at = None
    if question.rule is not None:
        node.consents |= {f"{question.rule}\0{each}" for each in shown}
        owe_attempt(state, node)
        return
    if question.approval is None:
        question.allowed |= shown
        assert state.now is not None
        at = state.now.isoformat().replace("+00:00", "Z")
        by = sorted(question.votes)
        node.output = {"decision": "approved", "by": by, "at": at, "note": last.note}
        end(state, node, StepStatus.SUCCEEDED)
        return
    over = state.nodes[question.approval].question
    assert over is not None
    over.allowed |= shown
    owe_attempt(state, node)


def _form_answered(state: RunState, event: ev.FormAnswered) -> None:
    node = state.nodes[event.path]
    _close_question(state, node)
    node.output = event.answers
    end(state, node, StepStatus.SUCCEEDED)


def _message_refused(state: RunState, event: ev.MessageRefused) -> None:
    """Change nothing here: a refusal is for the one who asked, and for the record."""


def _targets_not_shown(state: RunState, event: ev.TargetsNotShown) -> None:
    node = answered(state, event.path)
    before = 0 if node.question is None else node.question.round
    node.question = Question("approval", "", [], shows=event.targets, approval=event.approval, round=before)
    state.todo[Todo.ASK_AGAIN, node.path] = None


def _question(state: RunState, path: str) -> Question:
    question = state.nodes[path].question
    assert question is not None
    return question


def _cancel_requested(state: RunState, event: ev.CancelRequested) -> None:
    cancel(state, ErrorRecord("cancelled", f"cancelled by {event.actor}: {event.reason}"))


def cancel(state: RunState, why: ErrorRecord) -> None:
    """Let nothing more start. What waits ends now; what was sent is finished."""
    state.cancelling = why
    _go_on(state)
    state.owed.pop("", None)
    for path, command in list(state.owed.items()):
        node = state.nodes[path]
        if not isinstance(command, StartAction) and not node.is_inside("finally"):
            del state.owed[path]
            _end_waiting(state, node)
    for approval in list(state.held):
        for path in state.held.pop(approval):
            state.todo[Todo.START, path] = None
    goes_on_without(state)
    if state.root is None:
        state.todo[Todo.OUTPUTS, ""] = None


def _end_waiting(state: RunState, node: Node) -> None:
    """End a step that waited: one that had failed and was to be tried again has failed."""
    if node.error is not None and node.action is not None and node.question is None:
        fail(state, node, node.error)
    else:
        end(state, node, StepStatus.CANCELLED)


def _pause_requested(state: RunState, _: ev.PauseRequested) -> None:
    state.paused = True


def _run_resumed(state: RunState, _: ev.RunResumed) -> None:
    _go_on(state)


def _go_on(state: RunState) -> None:
    """End a pause: what became owed meanwhile and was not begun may begin now."""
    if state.paused:
        state.paused = False
        state.fresh += [each for each in state.owed.values() if isinstance(each, StartAction) and each.intent is None]


def _step_cancelled(state: RunState, event: ev.StepCancelled) -> None:
    node = state.nodes[event.path]
    state.todo.pop((Todo.START, event.path), None)
    forget_todo(state, event.path)
    state.owed.pop(event.path, None)
    end(state, node, StepStatus.CANCELLED)


PEOPLE_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.ApprovalHeld: _approval_held,
    ev.ApprovalBegan: _approval_began,
    ev.QuestionAsked: _question_asked,
    ev.QuestionEscalated: _question_escalated,
    ev.VoteCast: _vote_cast,
    ev.FormAnswered: _form_answered,
    ev.MessageRefused: _message_refused,
    ev.TargetsNotShown: _targets_not_shown,
    ev.CancelRequested: _cancel_requested,
    ev.PauseRequested: _pause_requested,
    ev.RunResumed: _run_resumed,
    ev.StepCancelled: _step_cancelled,
}
