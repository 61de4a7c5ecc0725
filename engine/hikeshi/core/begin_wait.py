"""Steps that wait: for people, for time, for what happens outside, for another pass. Evaluates, changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.begin_action import arguments_of, duration_of, hold_back
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.core.large import present
from hikeshi.core.retry import DEFAULT_KINDS
from hikeshi.core.scope import scope_of
from hikeshi.core.state import Node, Question, RunState
from hikeshi.playbook.durations import format_duration
from hikeshi.playbook.expression import evaluate_condition
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    EventWait,
    InputDeclaration,
    ReadWait,
    ReleaseStep,
    WaitStep,
)
from hikeshi.playbook.plain_data import EvaluationError, describe
from hikeshi.playbook.unknown import Unknown, to_json

__all__ = [
    "ask_again",
    "begin_wait",
    "digest_of",
    "look",
    "look_again",
    "next_pass",
    "time_over",
    "undo_of",
]


def begin_wait(state: RunState, node: Node, scope: dict[str, Any], maybe: bool) -> Event:
    """Return the event that begins an approval, a question, a wait or a release. Raises EvaluationError, Refused."""
    match node.step:
        case ApproveStep():
            return _approval(state, node, node.step, scope, maybe)
        case AskStep():
            return _form(state, node, node.step, scope, maybe)
        case WaitStep():
            return _wait(state, node, node.step, scope, maybe)
        case ReleaseStep():
            return _release(state, node, node.step, scope, maybe)
    raise AssertionError(type(node.step))


def digest_of(run: str, path: str, number: int, question: str, shows: Sequence[Any], not_known: Sequence[str]) -> str:
    """Return what binds an answer to exactly what people were shown: SHA-256 in hexadecimal."""
    shown = json.dumps([run, path, number, question, list(shows), list(not_known)], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()


def _approval(state: RunState, node: Node, step: ApproveStep, scope: dict[str, Any], maybe: bool) -> Event:
    question = step.question.evaluate(scope)
    if state.mode == "plan":
        decided = Unknown("approval", "nobody has been asked yet")
        what = {"approve": _shown(question), "by": list(step.by), "quorum": step.quorum}
        return ev.StepPlanned(node.path, decided, [what], maybe)
    return ev.ApprovalBegan(node.path, str(question))


def _form(state: RunState, node: Node, step: AskStep, scope: dict[str, Any], maybe: bool) -> Event:
    question = step.question.evaluate(scope)
    if state.mode == "plan":
        answers = {name: Unknown(field.type, "nobody has answered yet") for name, field in step.form.items()}
        return ev.StepPlanned(node.path, answers, [{"ask": _shown(question), "by": list(step.by)}], maybe)
    fields = [_field(declaration) for declaration in step.form.values()]
    digest = digest_of(state.run, node.path, 1, str(question), fields, [])
    due_at = _after(state, step.within_s)
    return ev.QuestionAsked(node.path, "form", str(question), list(step.by), 1, due_at, digest, fields=fields)


def _field(declaration: InputDeclaration) -> dict[str, Any]:
    """Return a field of a form as plain data: what a face needs to draw it."""
    limits = {name: value for name, value in asdict(declaration.constraints).items() if value is not None}
    return {
        "name": declaration.name,
        "type": declaration.type,
        "required": declaration.required,
        "default": declaration.default,
        "description": declaration.description,
        "limits": json.loads(json.dumps(limits, default=list)),
    }


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, Unknown) else value


def _after(state: RunState, seconds: float) -> datetime:
    assert state.now is not None
    return state.now + timedelta(seconds=seconds)


def _wait(state: RunState, node: Node, step: WaitStep, scope: dict[str, Any], maybe: bool) -> Event:
    if state.mode == "plan":
        why = "a dry run does not wait"
        timed = not isinstance(step.wait, ReadWait | EventWait)
        return ev.StepPlanned(node.path, None if timed else Unknown("result", why), [], maybe)
    match step.wait:
        case ReadWait(action=action, arguments=arguments, at_most_s=at_most_s):
            given = arguments_of(arguments.evaluate(scope))
            return ev.WaitStarted(node.path, _after(state, at_most_s), action, given)
        case EventWait(event=name, at_most_s=at_most_s):
            return ev.WaitStarted(node.path, _after(state, at_most_s), signal=name)
        case float() | int() as seconds:
            return ev.WaitStarted(node.path, _after(state, seconds))
        case template:
            return ev.WaitStarted(node.path, _after(state, duration_of(template, scope, "wait")))


def _release(state: RunState, node: Node, step: ReleaseStep, scope: dict[str, Any], maybe: bool) -> Event:
    held = hold_back(state, node)
    if held is not None:
        return held
    value = step.targets.evaluate(scope)
    if state.mode == "plan":
        what = {"release": to_json(value)}
        return ev.StepPlanned(node.path, Unknown("list", "a dry run releases nothing"), [what], maybe)
    targets = value if isinstance(value, list) else [value]
    if any(target is None or target in ("", {}) for target in targets):
        raise EvaluationError(f"`release` gave {describe(value)}; it needs targets, and an empty one is none")
    return ev.ReleaseRequested(node.path, targets)


def look(state: RunState, node: Node) -> Event:
    """Decide whether what has arrived is what the wait waits for. Raises EvaluationError."""
    assert isinstance(node.step, WaitStep)
    if state.is_cancelled(node):
        return ev.StepCancelled(node.path)
    wait = node.step.wait
    scope, arrived = scope_of(state, node), present(state, node.arrived)
    if isinstance(wait, EventWait):
        if wait.when is not None and not evaluate_condition(wait.when, ChainMap({"event": arrived}, scope)):
            return ev.SignalPassed(node.path, node.signal)
        return ev.WaitEnded(node.path, node.arrived)
    assert isinstance(wait, ReadWait)
    if evaluate_condition(wait.until, ChainMap({"result": arrived}, scope)):
        return ev.WaitEnded(node.path, node.arrived)
    return _next_look(state, node, wait)


def _next_look(state: RunState, node: Node, wait: ReadWait, asked_s: float = 0.0) -> Event:
    due_at = _after(state, max(wait.every_s, asked_s))
    assert node.due_at is not None
    if due_at > node.due_at:
        return ev.StepFailed(node.path, _too_late(wait.at_most_s))
    return ev.RetryScheduled(node.path, node.attempts + 1, due_at)


def look_again(state: RunState, node: Node) -> Event:
    """Decide what follows a failed read of a wait: one that may pass is made again, as long as the wait lasts."""
    assert isinstance(node.step, WaitStep)
    assert isinstance(node.step.wait, ReadWait)
    assert node.error is not None
    if node.error.kind not in DEFAULT_KINDS:
        return ev.StepFailed(node.path, node.error)
    return _next_look(state, node, node.step.wait, node.error.retry_after_s or 0.0)


def _too_late(within_s: float) -> ErrorRecord:
    return ErrorRecord("timeout", f"what it waits for did not come within {format_duration(within_s)}")


def time_over(state: RunState, node: Node) -> Event:
    """Decide what follows when a wait or a question has lasted as long as it may."""
    match node.step:
        case WaitStep(wait=ReadWait(at_most_s=seconds) | EventWait(at_most_s=seconds)):
            return ev.StepFailed(node.path, _too_late(seconds))
        case AskStep(within_s=seconds):
            error = ErrorRecord("timeout", f"nobody answered within {format_duration(seconds)}")
            return ev.StepFailed(node.path, error)
    question = node.question
    assert question is not None
    if question.rule is not None:
        return ev.StepFailed(node.path, _undecided(question.within_s or 0, question))
    step = state.nodes[question.approval].step if question.approval is not None else node.step
    assert isinstance(step, ApproveStep)
    if step.escalate is not None and not question.escalated:
        by = [*question.by, *(each for each in step.escalate.to if each not in question.by)]
        return ev.QuestionEscalated(node.path, by, _after(state, step.escalate.within_s))
    waited_s = step.within_s + (step.escalate.within_s if step.escalate is not None else 0)
    return ev.StepFailed(node.path, _undecided(waited_s, question))


def _undecided(waited_s: float, question: Question) -> ErrorRecord:
    votes = f" ({len(question.votes)} of {question.quorum} had approved)" if question.votes else ""
    return ErrorRecord("rejected", f"nobody decided within {format_duration(waited_s)}{votes}")


def ask_again(state: RunState, node: Node) -> Event:
    """Ask about targets that the approval of a change did not show, or that a guardrail wants people to see."""
    asked = node.question
    assert asked is not None
    if state.is_cancelled(node):
        return ev.StepCancelled(node.path)
    if asked.rule is not None:
        return _ask_for_rule(state, node, asked)
    assert asked.approval is not None
    approval = state.nodes[asked.approval]
    step = approval.step
    assert isinstance(step, ApproveStep)
    assert approval.question is not None
    text, number = approval.question.text, asked.round + 1
    return ev.QuestionAsked(
        node.path,
        "approval",
        text,
        list(step.by),
        step.quorum,
        _after(state, step.within_s),
        digest_of(state.run, node.path, number, text, asked.shows, []),
        asked.shows,
        approval=asked.approval,
        round=number,
    )


def _ask_for_rule(state: RunState, node: Node, asked: Question) -> Event:
    number = asked.round + 1
    return ev.QuestionAsked(
        node.path,
        "approval",
        asked.text,
        list(asked.by),
        asked.quorum,
        _after(state, asked.within_s or 0),
        digest_of(state.run, node.path, number, asked.text, asked.shows, []),
        asked.shows,
        round=number,
        rule=asked.rule,
        within_s=asked.within_s,
    )


def next_pass(state: RunState, node: Node) -> Event:
    """Decide whether a `while` block is done once more. Raises EvaluationError."""
    assert isinstance(node.step, BlockStep)
    repeat = node.step.repeat
    assert repeat is not None
    if state.is_cancelled(node):
        return ev.StepCancelled(node.path)
    again = evaluate_condition(repeat.condition, scope_of(state, node.parts[-1]))
    if isinstance(again, Unknown):
        # A second pass may differ from the first in nothing that a plan can know, so one shows them all.
        return ev.WhileEnded(node.path, more_unknown=True)
    if not again:
        return ev.WhileEnded(node.path)
    if len(node.parts) >= repeat.at_most:
        text = f"`while: {repeat.condition.text}` is still true after {len(node.parts)} passes, the most it may take"
        return ev.StepFailed(node.path, ErrorRecord("limit", text))
    return ev.PassStarted(node.path, len(node.parts))


def undo_of(state: RunState, node: Node) -> Event:
    """Compute the inverse that the playbook declares, now that it can read what the change gave."""
    assert isinstance(node.step, ActionStep)
    override = node.step.undo
    assert override is not None
    assert override.arguments is not None
    try:
        arguments = arguments_of(override.arguments.evaluate(scope_of(state, node, after_itself=True)))
    except EvaluationError as exc:
        text = f"{node.step.position}: the change was made, but what undoes it could not be worked out: {exc}"
        return ev.UndoSet(node.path, None, ErrorRecord("expression", text))
    return ev.UndoSet(node.path, {"action": override.action, "arguments": arguments})
