"""Deciding: what is to happen next, from what is known. Evaluates expressions, changes nothing.

Each thing that waits for a decision gets exactly one event. Deciding one never depends on another that waits at the
same time: the language's checks see to it that a step reads only what surely ran before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.core.program import Routing
from hikeshi.core.retry import next_attempt_at
from hikeshi.core.scope import frame_scope, scope_of
from hikeshi.core.state import Frame, Node, RunState, Todo
from hikeshi.playbook.expression import Expression, evaluate_condition
from hikeshi.playbook.inputs import WrongInputs, accept_inputs
from hikeshi.playbook.model import ActionStep, BlockStep, PlaybookStep, SetStep, StopStep
from hikeshi.playbook.plain_data import EvaluationError, describe
from hikeshi.playbook.unknown import Unknown, find_unknown, to_json

__all__ = ["decide", "instead_of"]

_AFTER = frozenset({"on_error", "on_failure", "finally"})
_AT_ONCE = 500  # decisions in one go, so that a large fan-out is stored in portions


class _Refused(Exception):
    """A decision cannot be made, and the step fails for it."""

    def __init__(self, message: str, kind: str = "invalid") -> None:
        super().__init__(message)
        self.kind = kind


def decide(state: RunState) -> list[Event]:
    """Return an event for each thing that waits for a decision; an empty list if nothing does.

    The caller stores them, folds them with `evolve`, and asks again.
    """
    return [_DECISIONS[todo](state, path) for todo, path in islice(state.todo, _AT_ONCE)]


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
    if _stopped(node):
        return ev.StepSkipped(path, "the playbook was stopped")
    try:
        return _begin(state, node)
    except EvaluationError as exc:
        return ev.DecisionFailed(path, ErrorRecord("expression", f"{node.step.position}: {exc}"))
    except WrongInputs as exc:
        return ev.DecisionFailed(path, ErrorRecord("invalid", str(exc)))
    except _Refused as exc:
        return ev.DecisionFailed(path, ErrorRecord(exc.kind, str(exc)))


def _begin(state: RunState, node: Node) -> Event:
    scope = scope_of(state, node)
    if getattr(node.step, "loop", None) is not None and node.group is None:
        return _begin_loop(node, scope)
    maybe = node.maybe or _maybe_stopped(node.frame)
    if node.step.when is not None:
        holds = evaluate_condition(node.step.when, scope)
        if holds is False:
            return ev.StepSkipped(node.path, f"`when: {node.step.when.text}` is false")
        maybe = maybe or isinstance(holds, Unknown)
    return _begin_kind(state, node, scope, maybe)


def _begin_kind(state: RunState, node: Node, scope: dict[str, Any], maybe: bool) -> Event:
    match node.step:
        case ActionStep():
            return _begin_action(state, node, node.step, scope, maybe)
        case BlockStep():
            return ev.StepStarted(node.path, maybe)
        case PlaybookStep():
            given = _map(node.step.arguments.evaluate(scope))
            called = state.program.playbooks[node.step.playbook]
            return ev.PlaybookEntered(node.path, accept_inputs(called, given), maybe)
        case SetStep():
            values = {name: expr.evaluate(scope) for name, expr in node.step.values.items()}
            return ev.ValuesSet(node.path, values, maybe)
        case StopStep():
            message = None if node.step.message is None else node.step.message.evaluate(scope)
            return ev.StopReached(node.path, node.step.status, message, maybe)
        case _:
            # Refused before a run starts; a journal of a newer version could lead here.
            raise _Refused(f"this version cannot run {type(node.step).__name__}", "unsupported")


def _begin_loop(node: Node, scope: dict[str, Any]) -> Event:
    loop = getattr(node.step, "loop")  # noqa: B009 - the caller looked
    items = loop.items.evaluate(scope)
    if isinstance(items, Unknown):
        one: Any = Unknown("item", items.why)
        return ev.LoopStarted(node.path, [[one] if loop.batch else one], more_unknown=True)
    if not isinstance(items, list):
        raise EvaluationError(f"`for_each` gave {describe(items)}; it needs a list")
    _refuse_duplicates(items)
    if loop.batch is not None:
        items = [items[at : at + loop.batch] for at in range(0, len(items), loop.batch)]
    return ev.LoopStarted(node.path, items)


def _refuse_duplicates(items: list[Any]) -> None:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        if find_unknown(item) is not None:
            continue
        known = json.dumps(to_json(item), sort_keys=True)
        if known in seen:
            raise _Refused(
                f"`for_each` has the same item twice, at {seen[known]} and {index}: {describe(item)}; use `| unique`"
            )
        seen[known] = index


def _begin_action(state: RunState, node: Node, step: ActionStep, scope: dict[str, Any], maybe: bool) -> Event:
    arguments = _map(step.arguments.evaluate(scope))
    routing = state.routes[step.action]
    at = None if step.at is None else _limited(step.at, scope, routing)
    if not routing.fan_out:
        return ev.ActionRequested(node.path, step.action, arguments, at, maybe)
    calls = _calls(routing, list(routing.instances) if at is None else at, arguments)
    return ev.FannedOut(node.path, step.action, calls, maybe)


def _limited(at: Expression, scope: dict[str, Any], routing: Routing) -> list[str]:
    value = at.evaluate(scope)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise EvaluationError(f"`at` gave {describe(value)}; it needs the name of a connector, or a list of names")
    unknown = [name for name in names if name not in routing.instances]
    if unknown:
        raise _Refused(
            f"`at` names {', '.join(map(str, unknown))}; known here: {', '.join(routing.instances)}", "not_found"
        )
    return [str(name) for name in names]


def _calls(routing: Routing, instances: list[str], arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each instance is asked to do: an indicator goes to every instance that takes its kind."""
    if routing.effect is not Effect.CHANGE or routing.target is None:
        return dict.fromkeys(instances, arguments)
    target = arguments.get(routing.target)
    if target is None or target == []:
        raise _Refused(f"{routing.target!r} is empty, and an empty target never means everything")
    if find_unknown(target) is not None:
        return dict.fromkeys(instances, arguments)
    wanted = target if isinstance(target, list) else [target]
    _refuse_homeless(wanted, [routing.instances[instance] for instance in instances])
    calls: dict[str, dict[str, Any]] = {}
    for instance in instances:
        kinds = routing.instances[instance]
        taken = [entry for entry in wanted if _takes(kinds, entry)]
        if taken:
            calls[instance] = {**arguments, routing.target: taken if isinstance(target, list) else taken[0]}
    return calls


def _takes(kinds: frozenset[str] | None, entry: Any) -> bool:
    return kinds is None or not isinstance(entry, dict) or entry.get("kind") in kinds


def _refuse_homeless(wanted: list[Any], kinds: list[frozenset[str] | None]) -> None:
    homeless = [entry for entry in wanted if not any(_takes(taken, entry) for taken in kinds)]
    if homeless:
        first = homeless[0]
        raise _Refused(
            f"no connector takes {len(homeless)} of the indicators, such as {first['value']} ({first['kind']})",
            "unsupported",
        )


def _variables(state: RunState, path: str) -> Event:
    frame = _frame(state, path)
    scope = frame_scope(state, frame)
    values: dict[str, Any] = {}
    for name, template in frame.playbook.vars.items():
        try:
            values[name] = template.evaluate({**scope, "vars": values})
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
    assert isinstance(node.step, ActionStep)
    assert node.error is not None
    assert state.now is not None
    effect = state.routes[node.step.action].effect
    due_at = next_attempt_at(state.run, path, node.attempts, node.error, effect, node.step.retry, state.now)
    if due_at is None:
        return ev.StepFailed(path, node.error)
    return ev.RetryScheduled(path, node.attempts + 1, due_at)


def _finish(state: RunState, path: str) -> Event:
    frame = _frame(state, path)
    failed = frame.failed or (path == "" and bool(state.failures))
    outputs, error = _outputs(state, frame, failed)
    if path != "":
        return ev.PlaybookFinished(path, outputs, error)
    if frame.stopped == "failed":
        said = frame.stop_message
        error = ErrorRecord("stopped", "the playbook stopped as failed" if said is None else str(said))
    status = "failed" if failed or error is not None else "succeeded"
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


def _map(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise EvaluationError(f"`with` gave {describe(value)}; it needs a map of arguments")


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
    Todo.HANDLER: lambda _, path: ev.HandlerStarted(path),
    Todo.ON_FAILURE: lambda _, path: ev.OnFailureStarted(path),
    Todo.FINALLY: lambda _, path: ev.FinallyStarted(path),
    Todo.OUTPUTS: _finish,
}
