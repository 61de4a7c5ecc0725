"""Folding: what each event means for the state. Evaluates no expression, reads no clock, decides nothing.

Everything an event causes in the tree (a list begins, what needed a step becomes ready or blocked, a block ends) is
done here, from a queue, so that a chain of any length costs no recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.core import events as ev
from hikeshi.core.commands import Intent, StartAction, WaitUntil
from hikeshi.core.program import Routing
from hikeshi.core.settle import begin_body, begin_list, end, enter_frame, settle, start_parts
from hikeshi.core.state import Frame, Node, RunState, Todo
from hikeshi.core.status import StepStatus, check_move
from hikeshi.playbook.model import ActionStep, BlockStep

__all__ = ["evolve"]


def evolve(state: RunState, event: ev.Event, seq: int, at: datetime) -> None:
    """Fold one stored event into the state.

    Changes the state in place: it has one owner, and copying it would make each event cost the size of the run.
    Raises IllegalMove for an event that cannot follow.
    """
    state.seq = seq
    state.now = at
    _FOLDS[type(event)](state, event)
    settle(state)


def _run_started(state: RunState, event: ev.RunStarted) -> None:
    state.started_at = state.now
    state.actor = event.actor
    state.owner = event.owner
    state.mode = event.mode
    state.routes = {action: Routing.from_json(route) for action, route in event.routes.items()}
    state.root = enter_frame(state, "", state.program.root, event.inputs, owner=None)


def _run_taken_over(state: RunState, event: ev.RunTakenOver) -> None:
    """Note the new owner; a notification that the old one had begun may have been sent."""
    state.owner = event.owner
    for path, command in state.owed.items():
        if isinstance(command, StartAction) and state.routes[command.action].effect is Effect.NOTIFY:
            state.nodes[path].possibly_repeated = True
            state.owed[path] = replace(command, possibly_repeated=True)


def _step_skipped(state: RunState, event: ev.StepSkipped) -> None:
    node = _decided(state, event.path)
    node.reason = event.reason
    end(state, node, StepStatus.SKIPPED)


def _step_started(state: RunState, event: ev.StepStarted) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    assert isinstance(node.step, BlockStep)
    node.children = begin_list(state, "block", node.step.children, node.frame, node)


def _loop_started(state: RunState, event: ev.LoopStarted) -> None:
    node = _running(state, event.path, maybe=event.more_unknown)
    node.is_loop, node.items = True, event.items
    node.parts_left = len(event.items)
    start_parts(state, node)


def _action_requested(state: RunState, event: ev.ActionRequested) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    node.at = tuple(state.routes[event.action].instances) if event.at is None else tuple(event.at)
    _request(state, node, event.action, event.arguments)


def _fanned_out(state: RunState, event: ev.FannedOut) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    node.parts_left = len(event.calls)
    for instance, arguments in event.calls.items():
        part = Node(f"{node.path}[{instance}]", node.step, node.frame, group=node, maybe=node.maybe)
        part.item, part.has_item, part.at, part.status = instance, True, (instance,), StepStatus.RUNNING
        state.nodes[part.path] = part
        node.parts.append(part)
        _request(state, part, event.action, arguments)


def _request(state: RunState, node: Node, action: str, arguments: dict[str, Any]) -> None:
    node.action, node.arguments = action, arguments
    node.attempts = 1
    _owe_attempt(state, node)


def _owe_attempt(state: RunState, node: Node) -> None:
    assert isinstance(node.step, ActionStep)
    assert node.action is not None
    assert node.arguments is not None
    state.owe(
        StartAction(
            node.path,
            node.attempts,
            node.action,
            node.at,
            node.arguments,
            node.step.timeout_s,
            node.maybe,
            node.possibly_repeated,
        )
    )


def _action_intended(state: RunState, event: ev.ActionIntended) -> None:
    node = state.nodes[event.path]
    targets = tuple(event.targets)
    node.intent = Intent(event.attempt, event.key, event.instance, targets, event.prior)
    node.possibly_repeated = node.possibly_repeated or event.possibly_repeated
    command = state.owed[event.path]
    assert isinstance(command, StartAction)
    state.owed[event.path] = replace(command, intent=node.intent)


def _hold_opened(state: RunState, event: ev.HoldOpened) -> None:
    """Change nothing here: holds live in the ledger, a projection."""


def _target_settled(state: RunState, event: ev.TargetSettled) -> None:
    """Change nothing here: what became of single targets lives in the ledger, a projection."""


def _action_succeeded(state: RunState, event: ev.ActionSucceeded) -> None:
    node = _answered(state, event.path)
    node.output, node.already, node.error = event.output, event.already, None
    end(state, node, StepStatus.SUCCEEDED)


def _action_planned(state: RunState, event: ev.ActionPlanned) -> None:
    node = _answered(state, event.path)
    node.plan, node.output, node.already, node.error = event, event.output, event.already, None
    at: Node | None = node
    while at is not None and not at.planned:
        at.planned, at = True, at.parent
    end(state, node, StepStatus.SUCCEEDED)


def _action_failed(state: RunState, event: ev.ActionFailed) -> None:
    node = _answered(state, event.path)
    node.error = event.error
    if event.error.applied == "maybe" and state.routes[node.action or ""].effect is Effect.NOTIFY:
        node.possibly_repeated = True  # only people can be told twice; a change is read back
    state.todo[Todo.RETRY, node.path] = None


def _action_unknown(state: RunState, event: ev.ActionUnknown) -> None:
    node = _answered(state, event.path)
    node.error = event.error
    check_move(node.path, node.status, StepStatus.UNKNOWN)
    node.status = StepStatus.UNKNOWN
    state.unknown.add(node.path)


def _step_resolved(state: RunState, event: ev.StepResolved) -> None:
    node = state.nodes[event.path]
    state.unknown.discard(node.path)
    node.output = event.output
    if event.happened:
        node.error = None
    end(state, node, StepStatus.SUCCEEDED if event.happened else StepStatus.FAILED)


def _retry_scheduled(state: RunState, event: ev.RetryScheduled) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.RETRY, event.path]
    node.attempts = event.attempt
    state.owe(WaitUntil(event.path, event.due_at))


def _timer_fired(state: RunState, event: ev.TimerFired) -> None:
    del state.owed[event.path]
    _owe_attempt(state, state.nodes[event.path])


def _step_failed(state: RunState, event: ev.StepFailed) -> None:
    node = state.nodes[event.path]
    state.todo.pop((Todo.RETRY, event.path), None)
    node.error = event.error
    end(state, node, StepStatus.FAILED)


def _decision_failed(state: RunState, event: ev.DecisionFailed) -> None:
    node = _decided(state, event.path)
    node.error = event.error
    end(state, node, StepStatus.FAILED)


def _variables_set(state: RunState, event: ev.VariablesSet) -> None:
    del state.todo[Todo.VARIABLES, event.path]
    frame = _frame(state, event.path)
    frame.vars.update(event.values)
    if event.error is not None:
        frame.stopped, frame.stop_message = "failed", event.error.message
        state.failures.append(event.path)
    begin_body(state, frame)


def _values_set(state: RunState, event: ev.ValuesSet) -> None:
    node = _decided(state, event.path)
    _mark_maybe(node, maybe=event.maybe)
    node.output = event.values
    _set_variables(node, event.values)
    end(state, node, StepStatus.SUCCEEDED)


def _set_variables(node: Node, values: dict[str, Any]) -> None:
    """Set a step's variables: in the item of the loop it is in, else in its playbook."""
    at: Node | None = node
    while at is not None and at.frame is node.frame:
        if at.vars is not None:
            at.vars.update(values)
            at.set_by.update(dict.fromkeys(values, node))
            return
        at = at.parent
    node.frame.vars.update(values)
    node.frame.set_by.update(dict.fromkeys(values, node))


def _stop_reached(state: RunState, event: ev.StopReached) -> None:
    node = _decided(state, event.path)
    node.output = {"status": event.status, "message": event.message}
    _mark_maybe(node, maybe=event.maybe)
    if event.maybe:
        node.frame.maybe_stopped = True
    else:
        node.frame.stopped, node.frame.stop_message = event.status, event.message
        if event.status == "failed":
            state.failures.append(event.path)
    end(state, node, StepStatus.SUCCEEDED)


def _playbook_entered(state: RunState, event: ev.PlaybookEntered) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    playbook = state.program.playbooks[getattr(node.step, "playbook")]  # noqa: B009 - only PlaybookStep has it
    node.inner = enter_frame(state, node.path, playbook, event.inputs, owner=node)


def _playbook_finished(state: RunState, event: ev.PlaybookFinished) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.OUTPUTS, event.path]
    node.output = event.outputs
    inner = node.inner
    assert inner is not None
    node.error = event.error
    failed = inner.failed or event.error is not None
    node.blocks, node.cause = inner.blocks or event.error is not None, inner.cause
    end(state, node, StepStatus.FAILED if failed else StepStatus.SUCCEEDED)


def _handler_started(state: RunState, event: ev.HandlerStarted) -> None:
    del state.todo[Todo.HANDLER, event.path]
    node = state.nodes[event.path]
    assert node.step.on_error is not None
    assert node.step.on_error.steps is not None
    node.handler = begin_list(state, "on_error", node.step.on_error.steps, node.frame, node)


def _on_failure_started(state: RunState, event: ev.OnFailureStarted) -> None:
    del state.todo[Todo.ON_FAILURE, event.path]
    frame = _frame(state, event.path)
    frame.on_failure = begin_list(state, "on_failure", frame.playbook.on_failure, frame, None)


def _finally_started(state: RunState, event: ev.FinallyStarted) -> None:
    del state.todo[Todo.FINALLY, event.path]
    frame = _frame(state, event.path)
    frame.finally_ = begin_list(state, "finally", frame.playbook.finally_, frame, None)


def _run_finished(state: RunState, event: ev.RunFinished) -> None:
    del state.todo[Todo.OUTPUTS, ""]
    state.finished, state.outputs, state.error = event.status, event.outputs, event.error


def _frame(state: RunState, path: str) -> Frame:
    frame = state.root if path == "" else state.nodes[path].inner
    assert frame is not None
    return frame


def _decided(state: RunState, path: str) -> Node:
    """Return the node that was waiting for a decision; it has one now."""
    del state.todo[Todo.START, path]
    return state.nodes[path]


def _running(state: RunState, path: str, *, maybe: bool) -> Node:
    node = _decided(state, path)
    check_move(path, node.status, StepStatus.RUNNING)
    node.status = StepStatus.RUNNING
    _mark_maybe(node, maybe=maybe)
    return node


def _mark_maybe(node: Node, *, maybe: bool) -> None:
    if maybe and not node.maybe:
        node.maybe = node.own_maybe = True


def _answered(state: RunState, path: str) -> Node:
    """Return the node whose command was carried out; it is owed no longer."""
    del state.owed[path]
    node = state.nodes[path]
    node.intent = None
    return node


_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.RunTakenOver: _run_taken_over,
    ev.StepSkipped: _step_skipped,
    ev.StepStarted: _step_started,
    ev.LoopStarted: _loop_started,
    ev.ActionRequested: _action_requested,
    ev.FannedOut: _fanned_out,
    ev.ActionIntended: _action_intended,
    ev.HoldOpened: _hold_opened,
    ev.TargetSettled: _target_settled,
    ev.ActionSucceeded: _action_succeeded,
    ev.ActionPlanned: _action_planned,
    ev.ActionFailed: _action_failed,
    ev.ActionUnknown: _action_unknown,
    ev.StepResolved: _step_resolved,
    ev.RetryScheduled: _retry_scheduled,
    ev.TimerFired: _timer_fired,
    ev.StepFailed: _step_failed,
    ev.DecisionFailed: _decision_failed,
    ev.VariablesSet: _variables_set,
    ev.ValuesSet: _values_set,
    ev.StopReached: _stop_reached,
    ev.PlaybookEntered: _playbook_entered,
    ev.PlaybookFinished: _playbook_finished,
    ev.HandlerStarted: _handler_started,
    ev.OnFailureStarted: _on_failure_started,
    ev.FinallyStarted: _finally_started,
    ev.RunFinished: _run_finished,
}
