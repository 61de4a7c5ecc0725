"""Deciding: what is to happen next, from what is known. Evaluates expressions, changes nothing.

Each thing that waits for a decision gets exactly one event. Deciding one never depends on another that waits at the
same time: the language's checks see to it that a step reads only what surely ran before.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.begin_action import arguments_of, begin_action, begin_loop
from hikeshi.core.begin_wait import (
    ask_again,
    begin_wait,
    look,
    look_again,
    next_pass,
    time_over,
    undo_of,
)
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.core.large import NotLoaded
from hikeshi.core.refusal import Refused
from hikeshi.core.retry import next_attempt_at, release_policy
from hikeshi.core.scope import about_run, frame_scope, scope_of
from hikeshi.core.state import Frame, Node, RunState, Todo
from hikeshi.playbook.expression import evaluate_condition
from hikeshi.playbook.inputs import WrongInputs, accept_inputs
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    Playbook,
    PlaybookStep,
    ReleaseStep,
    SetStep,
    StopStep,
    WaitStep,
)
from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.unknown import Unknown

__all__ = ["decide", "instead_of", "key_of"]

_AFTER = frozenset({"on_error", "on_failure", "finally"})
_AT_ONCE = 500  # decisions in one go, so that a large fan-out is stored in portions


def decide(state: RunState) -> list[Event]:
    """Return an event for each thing that waits for a decision; an empty list if nothing does.

    The caller stores them, folds them with `evolve`, and asks again. If values are in `state.wanted` then, it brings
    them into `state.loaded` first.
    """
    if state.paused:
        return []
    if not state.has_stored:
        return [_DECISIONS[todo](state, path) for todo, path in islice(state.todo, _AT_ONCE)]
    return list(_with_large_values(state))


def _with_large_values(state: RunState) -> Iterator[Event]:
    """Give the decisions that can be made with the values that are there, and note which others are wanted."""
    for todo, path in islice(state.todo, _AT_ONCE):
        try:
            yield _DECISIONS[todo](state, path)
        except NotLoaded as exc:
            state.wanted.add(exc.stored.sha256)


def instead_of(decision: Event, why: str) -> Event:
    """Return what is recorded where a decision holds data that has no stored form, such as nested too deep."""
    error = ErrorRecord("expression", why)
    match decision:
        case ev.VariablesSet():
            return ev.VariablesSet(decision.path, {}, error)
        case ev.PlaybookFinished():
            return ev.PlaybookFinished(decision.path, dict.fromkeys(decision.outputs), decision.error or error)
        case ev.RunFinished():
            nothing = dict.fromkeys(decision.outputs)
            return ev.RunFinished("", "failed", nothing, decision.failures, decision.error or error)
        case _:
            return ev.DecisionFailed(decision.path, error)


def _start(state: RunState, path: str) -> Event:
    node = state.nodes[path]
    if state.is_cancelled(node):
        return ev.StepCancelled(path)
    if _stopped(node):
        return ev.StepSkipped(path, "the playbook was stopped")
    return _or_failure(state, path, lambda: _begin(state, node))


def _or_failure(
    state: RunState,
    path: str,
    decision: Callable[[], Event],
    failed: type[ev.DecisionFailed | ev.StepFailed] = ev.DecisionFailed,
) -> Event:
    """Return the decision, or that it failed: before the step began, or while it was under way."""
    node = state.nodes[path]
    try:
        return decision()
    except EvaluationError as exc:
        return failed(path, ErrorRecord("expression", f"{node.step.position}: {exc}"))
    except WrongInputs as exc:
        return failed(path, ErrorRecord("invalid", str(exc)))
    except Refused as exc:
        return failed(path, ErrorRecord(exc.kind, str(exc)))


def _under_way(state: RunState, path: str, decision: Callable[[RunState, Node], Event]) -> Event:
    return _or_failure(state, path, lambda: decision(state, state.nodes[path]), ev.StepFailed)


def _begin(state: RunState, node: Node) -> Event:
    scope = scope_of(state, node)
    if getattr(node.step, "loop", None) is not None and node.group is None:
        return begin_loop(node, scope)
    maybe = node.maybe or _maybe_stopped(node.frame)
    if node.step.when is not None:
        holds = evaluate_condition(node.step.when, scope)
        if holds is False:
            return ev.StepSkipped(node.path, f"`when: {node.step.when.text}` is false", waived=True)
        maybe = maybe or isinstance(holds, Unknown)
    return _begin_kind(state, node, scope, maybe)


def _begin_kind(state: RunState, node: Node, scope: dict[str, Any], maybe: bool) -> Event:
    match node.step:
        case ActionStep():
            return begin_action(state, node, node.step, scope, maybe)
        case BlockStep(repeat=repeat):
            return ev.StepStarted(node.path, maybe) if repeat is None else ev.PassStarted(node.path, 0, maybe)
        case PlaybookStep():
            return _enter(state, node, node.step, scope, maybe)
        case SetStep():
            values = {name: expr.evaluate(scope) for name, expr in node.step.values.items()}
            return ev.ValuesSet(node.path, values, maybe)
        case StopStep():
            message = None if node.step.message is None else node.step.message.evaluate(scope)
            return ev.StopReached(node.path, node.step.status, message, maybe)
        case ApproveStep() | AskStep() | WaitStep() | ReleaseStep():
            return begin_wait(state, node, scope, maybe)


def _enter(state: RunState, node: Node, step: PlaybookStep, scope: dict[str, Any], maybe: bool) -> Event:
    called = state.program.playbooks[step.playbook]
    inputs = accept_inputs(called, arguments_of(step.arguments.evaluate(scope)))
    key = None if state.mode == "plan" else key_of(called, inputs, state)
    return ev.PlaybookEntered(node.path, inputs, maybe, key)


def key_of(playbook: Playbook, inputs: dict[str, Any], state: RunState | None = None) -> str | None:
    """Return the key of `concurrency`, or None if the playbook has none. Raises EvaluationError."""
    if playbook.concurrency is None:
        return None
    about = {} if state is None else {"run": about_run(state)}
    value = playbook.concurrency.key.evaluate({"inputs": inputs, "vars": {}, **about})
    return f"{playbook.id}:{value}"


def _variables(state: RunState, path: str) -> Event:
    frame = _frame(state, path)
    scope = frame_scope(state, frame)
    values: dict[str, Any] = {}
    for name, template in frame.playbook.vars.items():
        try:
            values[name] = template.evaluate(ChainMap({"vars": values}, scope))
        except EvaluationError as exc:
            where = f"variable {name!r} of {frame.playbook.id!r}"
            return ev.VariablesSet(path, values, ErrorRecord("expression", f"{where}: {exc}"))
    return ev.VariablesSet(path, values)


def _frame(state: RunState, path: str) -> Frame:
    frame = state.root if path == "" else state.nodes[path].inner
    assert frame is not None
    return frame


def _retry(state: RunState, path: str) -> Event:
    node = state.nodes[path]
    assert node.error is not None
    assert node.action is not None
    assert state.now is not None
    if state.is_cancelled(node):
        return ev.StepFailed(path, node.error)
    if isinstance(node.step, WaitStep):
        return look_again(state, node)
    released = isinstance(node.step, ReleaseStep)
    policy = release_policy(state.reason) if released else getattr(node.step, "retry", None)
    effect = state.effect_of(node.action)
    # Holds that a product did not release together are tried again together.
    spread_by = node.group.path if released and node.group is not None else path
    due_at = next_attempt_at(state.run, spread_by, node.attempts, node.error, effect, policy, state.now)
    if due_at is None:
        return ev.StepFailed(path, node.error)
    return ev.RetryScheduled(path, node.attempts + 1, due_at)


def _finish(state: RunState, path: str) -> Event:
    if path == "" and state.root is None:  # it never began
        status = "failed" if state.cancelling is None else "cancelled"
        return ev.RunFinished("", status, {}, [], state.error or state.cancelling)  # type: ignore[arg-type]
    frame = _frame(state, path)
    failed = frame.failed or (path == "" and bool(state.failures))
    outputs, error = _outputs(state, frame, failed)
    if path != "":
        return ev.PlaybookFinished(path, outputs, error)
    if frame.stopped == "failed":
        said = frame.stop_message
        error = ErrorRecord("stopped", "the playbook stopped as failed" if said is None else str(said))
    status = "failed" if failed or error is not None else "succeeded"
    if state.cancelling is not None:
        status, error = "cancelled", state.cancelling
    return ev.RunFinished("", status, outputs, list(state.failures), error)  # type: ignore[arg-type]  # one of two


def _outputs(state: RunState, frame: Frame, failed: bool) -> tuple[dict[str, Any], ErrorRecord | None]:
    """Return what a playbook gives. After a failure an output that cannot be computed is null."""
    scope = frame_scope(state, frame)
    outputs: dict[str, Any] = {}
    error = None
    for name, template in frame.playbook.outputs.items():
        try:
            outputs[name] = template.evaluate(scope)
        except EvaluationError as exc:
            outputs[name] = None
            if not failed and frame.stopped is None:
                error = error or ErrorRecord("expression", f"output {name!r} of {frame.playbook.id!r}: {exc}")
    return outputs, error


def _stopped(node: Node) -> bool:
    """Say whether a `stop` keeps this step from starting. What runs after the steps is not kept from it."""
    at: Node | None = node
    frame: Frame | None = node.frame
    after = False
    while frame is not None:
        while at is not None and at.frame is frame:
            after = after or (at.siblings is not None and at.siblings.role in _AFTER)
            at = at.parent
        if frame.stopped is not None and not after:
            return True
        frame, after = (at.frame, False) if at is not None else (None, False)
    return False


def _maybe_stopped(frame: Frame | None) -> bool:
    while frame is not None:
        if frame.maybe_stopped:
            return True
        frame = frame.owner.frame if frame.owner is not None else None
    return False


_DECISIONS: dict[Todo, Callable[[RunState, str], Event]] = {
    Todo.VARIABLES: _variables,
    Todo.START: _start,
    Todo.RETRY: _retry,
    Todo.LOOK: lambda state, path: _or_failure(state, path, lambda: look(state, state.nodes[path]), ev.StepFailed),
    Todo.WHILE: lambda state, path: _or_failure(
        state, path, lambda: next_pass(state, state.nodes[path]), ev.StepFailed
    ),
    Todo.UNDO: lambda state, path: undo_of(state, state.nodes[path]),
    Todo.TIME_OVER: lambda state, path: time_over(state, state.nodes[path]),
    Todo.ASK_AGAIN: lambda state, path: ask_again(state, state.nodes[path]),
    Todo.HANDLER: lambda _, path: ev.HandlerStarted(path),
    Todo.ON_FAILURE: lambda _, path: ev.OnFailureStarted(path),
    Todo.FINALLY: lambda _, path: ev.FinallyStarted(path),
    Todo.OUTPUTS: _finish,
}
