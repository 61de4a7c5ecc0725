"""Folding waits and releases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.attempts import answered, owe_attempt, request, running
from hikeshi.core.commands import AwaitSignal, FindHolds, WaitUntil
from hikeshi.core.settle import end
from hikeshi.core.state import Node, RunState, Todo
from hikeshi.core.status import StepStatus
from hikeshi.playbook.model import EventWait, ReadWait, WaitStep

__all__ = ["WAIT_FOLDS", "wait_is_over"]


def _wait_started(state: RunState, event: ev.WaitStarted) -> None:
    node = running(state, event.path)
    node.due_at = event.due_at
    if event.action is not None:
        node.at = tuple(state.routes[event.action].instances)
        request(state, node, event.action, event.arguments)
    elif event.signal is not None:
        _owe_signal(state, node, event.signal)
    else:
        state.owe(WaitUntil(node.path, event.due_at))


def _owe_signal(state: RunState, node: Node, name: str) -> None:
    assert state.started_at is not None
    assert node.due_at is not None
    state.owe(AwaitSignal(node.path, name, state.started_at, node.signal, node.due_at))


def wait_is_over(state: RunState, node: Node) -> None:
    """Go on after the time of a wait: it is what was waited for, or nothing else came in time."""
    assert isinstance(node.step, WaitStep)
    if isinstance(node.step.wait, EventWait | ReadWait):
        state.todo[Todo.TIME_OVER, node.path] = None
    else:
        end(state, node, StepStatus.SUCCEEDED)


def _signal_arrived(state: RunState, event: ev.SignalArrived) -> None:
    node = answered(state, event.path)
    node.signal, node.arrived = event.signal, event.data
    state.todo[Todo.LOOK, node.path] = None


def _signal_passed(state: RunState, event: ev.SignalPassed) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.LOOK, event.path]
    node.signal, node.arrived = event.signal, None
    assert isinstance(node.step, WaitStep)
    assert isinstance(node.step.wait, EventWait)
    _owe_signal(state, node, node.step.wait.event)


def _wait_ended(state: RunState, event: ev.WaitEnded) -> None:
    node = state.nodes[event.path]
    del state.todo[Todo.LOOK, event.path]
    node.output, node.arrived, node.error = event.output, None, None
    end(state, node, StepStatus.SUCCEEDED)


def _release_requested(state: RunState, event: ev.ReleaseRequested) -> None:
    running(state, event.path)
    state.owe(FindHolds(event.path, event.targets))


def _holds_found(state: RunState, event: ev.HoldsFound) -> None:
    node = answered(state, event.path)
    node.parts_left = len(event.holds)
    if not event.holds:
        node.output = []
        end(state, node, StepStatus.SUCCEEDED)
        return
    for hold in event.holds:
        part = Node(f"{node.path}[{hold['hold']}]", node.step, node.frame, group=node, maybe=node.maybe)
        part.item, part.has_item, part.status = hold["label"], True, StepStatus.RUNNING
        part.at, part.releases = tuple(hold["at"]), hold["hold"]
        state.nodes[part.path] = part
        node.add_part(part)
        part.action, part.arguments, part.attempts = hold["action"], hold["arguments"], 1
        owe_attempt(state, part)


def _hold_released(state: RunState, event: ev.HoldReleased) -> None:
    """Change nothing here: holds live in the ledger, a projection."""


def _hold_extended(state: RunState, event: ev.HoldExtended) -> None:
    """Change nothing here: holds live in the ledger, a projection."""


WAIT_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.WaitStarted: _wait_started,
    ev.SignalArrived: _signal_arrived,
    ev.SignalPassed: _signal_passed,
    ev.WaitEnded: _wait_ended,
    ev.ReleaseRequested: _release_requested,
    ev.HoldsFound: _holds_found,
    ev.HoldReleased: _hold_released,
    ev.HoldExtended: _hold_extended,
}
