"""Folding: what each event means for the state. Evaluates no expression, reads no clock, decides nothing.

Everything an event causes in the tree (a list begins, what needed a step becomes ready or blocked, a block ends) is
done here, from a queue, so that a chain of any length costs no recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.core import events as ev
from hikeshi.core.attempts import answered, decided, fail, forget_todo, owe_attempt, request, running
from hikeshi.core.commands import Intent, StartAction, TakeKey, WaitUntil
from hikeshi.core.events import ErrorRecord
from hikeshi.core.evolve_people import PEOPLE_FOLDS, cancel
from hikeshi.core.evolve_rules import RULE_FOLDS
from hikeshi.core.evolve_waits import WAIT_FOLDS, wait_is_over
from hikeshi.core.program import Routing
from hikeshi.core.settle import begin_body, begin_list, end, enter_frame, settle, start_parts, start_pass
from hikeshi.core.state import Frame, Node, RunState, Todo
from hikeshi.core.status import StepStatus, check_move
from hikeshi.playbook.durations import format_duration
from hikeshi.playbook.model import BlockStep, Playbook, PlaybookStep, WaitStep
from hikeshi.playbook.unknown import Unknown

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
    state.retry_of, state.retry_step = event.retry_of, event.retry_step
    state.reason, state.applies = event.reason, event.plan
    state.routes = {action: Routing.from_json(route) for action, route in event.routes.items()}
    concurrency = state.program.root.concurrency
    if event.key is not None and concurrency is not None:
        state.waiting_inputs = event.inputs
        state.owe(TakeKey("", event.key, concurrency.on_conflict))
    else:
        _begin_run(state, event.inputs)


def _begin_run(state: RunState, inputs: dict[str, Any]) -> None:
    state.root = enter_frame(state, "", state.program.root, inputs, owner=None)
    timeout_s = state.program.root.timeout_s
    if timeout_s is not None and state.mode == "live":
        assert state.now is not None
        state.owe(WaitUntil("", state.now + timedelta(seconds=timeout_s)))


def _run_taken_over(state: RunState, event: ev.RunTakenOver) -> None:
    """Note the new owner; a notification that an old one had begun may have been sent."""
    was_parked, state.parked, state.owner = state.parked, False, event.owner
    if was_parked:
        return  # nothing was under way
    for path, command in state.owed.items():
        if isinstance(command, StartAction) and state.effect_of(command.action) is Effect.NOTIFY:
            state.nodes[path].possibly_repeated = True
            state.owed[path] = replace(command, possibly_repeated=True)


def _run_parked(state: RunState, _: ev.RunParked) -> None:
    state.parked, state.owner = True, ""


def _key_acquired(state: RunState, event: ev.KeyAcquired) -> None:
    del state.owed[event.path]
    if event.path == "":
        _begin_run(state, state.waiting_inputs)
        return
    node = state.nodes[event.path]
    node.inner = enter_frame(state, node.path, _called(state, node), node.arguments or {}, owner=node)


def _key_refused(state: RunState, event: ev.KeyRefused) -> None:
    del state.owed[event.path]
    error = ErrorRecord("conflict", f"run {event.holder} has {event.key!r} and is under way")
    if event.path == "":
        state.error, state.joined = error, event.holder if event.joined else None
        state.cancelling = error if event.joined else None
        state.todo[Todo.OUTPUTS, ""] = None
        return
    node = state.nodes[event.path]
    node.error = error
    end(state, node, StepStatus.FAILED)


def _run_joined(state: RunState, event: ev.RunJoined) -> None:
    """Change nothing here: who asked for the run besides is for people to read."""


def _step_skipped(state: RunState, event: ev.StepSkipped) -> None:
    node = _decided(state, event.path)
    node.reason, node.waived = event.reason, event.waived
    end(state, node, StepStatus.SKIPPED)


def _step_started(state: RunState, event: ev.StepStarted) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    assert isinstance(node.step, BlockStep)
    node.children = begin_list(state, "block", node.step.children, node.frame, node)


def _loop_started(state: RunState, event: ev.LoopStarted) -> None:
    node = _running(state, event.path, maybe=event.more_unknown)
    node.is_loop, node.items, node.more_unknown = True, event.items, event.more_unknown
    node.parts_left = len(event.items)
    start_parts(state, node)


def _action_requested(state: RunState, event: ev.ActionRequested) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    node.at = tuple(state.routes[event.action].instances) if event.at is None else tuple(event.at)
    node.hold_s = event.hold_s
    request(state, node, event.action, event.arguments)


def _fanned_out(state: RunState, event: ev.FannedOut) -> None:
    node = _running(state, event.path, maybe=event.maybe)
    node.parts_left = len(event.calls)
    for instance, arguments in event.calls.items():
        part = Node(f"{node.path}[{instance}]", node.step, node.frame, group=node, maybe=node.maybe)
        part.item, part.has_item, part.at, part.status = instance, True, (instance,), StepStatus.RUNNING
        part.hold_s = event.hold_s
        state.nodes[part.path] = part
        node.add_part(part)
        request(state, part, event.action, arguments)


def _action_intended(state: RunState, event: ev.ActionIntended) -> None:
    node = state.nodes[event.path]
    command = state.owed[event.path]
    assert isinstance(command, StartAction)
    before = command.intent
    targets, prior = tuple(event.targets), event.prior
    if before is not None:
        # Sent again after a crash, and only to what was not seen as done: what the first intent named still counts.
        targets = (*before.targets, *(each for each in targets if each not in before.targets))
        prior = _with_earlier(before.prior, prior)
    node.intent = Intent(event.attempt, event.key, event.instance, targets, prior)
    node.possibly_repeated = node.possibly_repeated or event.possibly_repeated
    state.owed[event.path] = replace(command, intent=node.intent)


def _with_earlier(earlier: Any, later: Any) -> Any:
    """Return the prior states of two intents: what was there before the first one is what counts."""
    if not isinstance(earlier, list) or not isinstance(later, list):
        return earlier
    known = {entry["target"] for entry in earlier}
    return [*earlier, *(entry for entry in later if entry["target"] not in known)]


def _holds_opened(state: RunState, event: ev.HoldsOpened) -> None:
    """Change nothing here: holds live in the ledger, a projection."""


def _targets_settled(state: RunState, event: ev.TargetsSettled) -> None:
    """Change nothing here: what became of single targets lives in the ledger, a projection."""


def _action_succeeded(state: RunState, event: ev.ActionSucceeded) -> None:
    node = answered(state, event.path)
    if isinstance(node.step, WaitStep):
        node.arrived = event.output
        state.todo[Todo.LOOK, node.path] = None
        return
    node.output, node.already, node.error = event.output, event.already, None
    override = getattr(node.step, "undo", None)
    if override is not None and override.action is not None and not event.already and event.carried_from is None:
        state.todo[Todo.UNDO, node.path] = None
    else:
        end(state, node, StepStatus.SUCCEEDED)


def _undo_set(state: RunState, event: ev.UndoSet) -> None:
    """End the step. The inverse itself belongs to the hold, in the ledger; without one somebody has to know."""
    del state.todo[Todo.UNDO, event.path]
    node = state.nodes[event.path]
    if event.error is None:
        end(state, node, StepStatus.SUCCEEDED)
    else:
        fail(state, node, event.error)


def _action_planned(state: RunState, event: ev.ActionPlanned) -> None:
    node = answered(state, event.path)
    node.plan, node.output, node.already, node.error = event, event.output, event.already, None
    _mark_planned(node)
    end(state, node, StepStatus.SUCCEEDED)


def _step_planned(state: RunState, event: ev.StepPlanned) -> None:
    node = _decided(state, event.path)
    _mark_maybe(node, maybe=event.maybe)
    node.output = event.output
    _mark_planned(node)
    end(state, node, StepStatus.SUCCEEDED)


def _mark_planned(node: Node) -> None:
    at: Node | None = node
    while at is not None and not at.planned:
        at.planned, at = True, at.parent


def _action_failed(state: RunState, event: ev.ActionFailed) -> None:
    node = answered(state, event.path)
    node.error = event.error
    if event.error.applied == "maybe" and state.effect_of(node.action or "") is Effect.NOTIFY:
        node.possibly_repeated = True  # only people can be told twice; a change is read back
    state.todo[Todo.RETRY, node.path] = None


def _action_unknown(state: RunState, event: ev.ActionUnknown) -> None:
    node = answered(state, event.path)
    node.error = event.error
    check_move(node.path, node.status, StepStatus.UNKNOWN)
    node.status = StepStatus.UNKNOWN
    state.unknown.add(node.path)
    if state.is_cancelled(node):
        node.blocks = True
        state.settling.append(node)  # a cancelled run does not wait for people, who still have to look


def _step_resolved(state: RunState, event: ev.StepResolved) -> None:
    node = state.nodes[event.path]
    state.unknown.discard(node.path)
    node.output = event.output
    if event.happened:
        node.error = None
    status = StepStatus.SUCCEEDED if event.happened else StepStatus.FAILED
    if node.settled:  # the run went on, or ended, without it
        check_move(node.path, node.status, status)
        node.status = status
    else:
        end(state, node, status)


def _retry_scheduled(state: RunState, event: ev.RetryScheduled) -> None:
    node = state.nodes[event.path]
    forget_todo(state, event.path)
    node.attempts, node.arrived = event.attempt, None
    state.owe(WaitUntil(event.path, event.due_at))


def _timer_fired(state: RunState, event: ev.TimerFired) -> None:
    del state.owed[event.path]
    if event.path == "":
        seconds = state.program.root.timeout_s or 0
        cancel(state, ErrorRecord("timeout", f"the run took longer than {format_duration(seconds)}"))
        return
    node = state.nodes[event.path]
    if node.question is not None and node.action is None:
        state.todo[Todo.TIME_OVER, node.path] = None
    elif isinstance(node.step, WaitStep) and node.action is None:
        wait_is_over(state, node)
    elif node.question is not None and node.question.due_at is not None:
        state.todo[Todo.TIME_OVER, node.path] = None
    else:
        owe_attempt(state, node)


def _step_failed(state: RunState, event: ev.StepFailed) -> None:
    node = state.nodes[event.path]
    forget_todo(state, event.path)
    fail(state, node, event.error)


def _decision_failed(state: RunState, event: ev.DecisionFailed) -> None:
    fail(state, _decided(state, event.path), event.error)


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
            at.set_by = {**(at.set_by or {}), **dict.fromkeys(values, node)}
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
    called = _called(state, node)
    if event.key is None:
        node.inner = enter_frame(state, node.path, called, event.inputs, owner=node)
        return
    assert called.concurrency is not None
    node.arguments = event.inputs
    # A step needs its playbook's result, so it can only wait for another run, never join it.
    state.owe(TakeKey(node.path, event.key, "reject" if called.concurrency.on_conflict == "reject" else "queue"))


def _called(state: RunState, node: Node) -> Playbook:
    assert isinstance(node.step, PlaybookStep)
    return state.program.playbooks[node.step.playbook]


def _playbook_finished(state: RunState, event: ev.PlaybookFinished) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.OUTPUTS, event.path]
    node.output = event.outputs
    inner = node.inner
    assert inner is not None
    node.error = event.error
    failed = inner.failed or event.error is not None
    if failed and event.error is None and inner.cause is not None and inner.cause.status is StepStatus.CANCELLED:
        end(state, node, StepStatus.CANCELLED)
        return
    node.blocks, node.cause = inner.blocks or event.error is not None, inner.cause
    node.rejected = inner.rejected
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
    state.owed.pop("", None)  # the run's own time limit
    state.finished, state.outputs, state.error = event.status, event.outputs, event.error


def _frame(state: RunState, path: str) -> Frame:
    frame = state.root if path == "" else state.nodes[path].inner
    assert frame is not None
    return frame


def _pass_started(state: RunState, event: ev.PassStarted) -> None:
    if event.number == 0:
        node = _running(state, event.path, maybe=event.maybe)
    else:
        node = state.nodes[event.path]
        del state.todo[Todo.WHILE, event.path]
    start_pass(state, node)


def _while_ended(state: RunState, event: ev.WhileEnded) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.WHILE, event.path]
    node.more_unknown = event.more_unknown
    if event.more_unknown:
        node.output = Unknown("output", "a dry run cannot know how many passes there are")
        _mark_planned(node)
    end(state, node, StepStatus.SUCCEEDED)


def _mark_maybe(node: Node, *, maybe: bool) -> None:
    if maybe and not node.maybe:
        node.maybe = node.own_maybe = True


def _decided(state: RunState, path: str) -> Node:
    return decided(state, path)


def _running(state: RunState, path: str, *, maybe: bool) -> Node:
    node = running(state, path)
    _mark_maybe(node, maybe=maybe)
    return node


_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.RunTakenOver: _run_taken_over,
    ev.RunParked: _run_parked,
    ev.RunJoined: _run_joined,
    ev.KeyAcquired: _key_acquired,
    ev.KeyRefused: _key_refused,
    ev.StepSkipped: _step_skipped,
    ev.StepStarted: _step_started,
    ev.LoopStarted: _loop_started,
    ev.ActionRequested: _action_requested,
    ev.FannedOut: _fanned_out,
    ev.ActionIntended: _action_intended,
    ev.HoldsOpened: _holds_opened,
    ev.TargetsSettled: _targets_settled,
    ev.ActionSucceeded: _action_succeeded,
    ev.ActionPlanned: _action_planned,
    ev.StepPlanned: _step_planned,
    ev.UndoSet: _undo_set,
    ev.PassStarted: _pass_started,
    ev.WhileEnded: _while_ended,
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
    **PEOPLE_FOLDS,
    **WAIT_FOLDS,
    **RULE_FOLDS,
}
