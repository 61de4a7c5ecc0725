"""Moves that several events share: a step begins, its action is owed, it fails."""

from __future__ import annotations

from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.core.commands import StartAction
from hikeshi.core.cover import approvals_over
from hikeshi.core.events import ErrorRecord
from hikeshi.core.settle import end
from hikeshi.core.state import Node, RunState, Todo
from hikeshi.core.status import StepStatus, check_move

__all__ = ["answered", "decided", "fail", "forget_todo", "owe_attempt", "request", "running"]


def decided(state: RunState, path: str) -> Node:
    """Return the node that was waiting for a decision; it has one now."""
    del state.todo[Todo.START, path]
    return state.nodes[path]


def running(state: RunState, path: str) -> Node:
    """Return the node of a step that begins."""
    node = decided(state, path)
    check_move(path, node.status, StepStatus.RUNNING)
    node.status = StepStatus.RUNNING
    return node


def answered(state: RunState, path: str) -> Node:
    """Return the node whose command was carried out; it is owed no longer."""
    del state.owed[path]
    node = state.nodes[path]
    node.intent = None
    return node


def forget_todo(state: RunState, path: str) -> None:
    """A step that has begun is decided otherwise, so nothing else is to be decided of it."""
    for todo in (Todo.RETRY, Todo.LOOK, Todo.WHILE, Todo.TIME_OVER, Todo.ASK_AGAIN):
        state.todo.pop((todo, path), None)


def fail(state: RunState, node: Node, error: ErrorRecord) -> None:
    """End a step as failed. What people said no to, nothing continues."""
    node.error = error
    node.rejected = node.rejected or error.kind == "rejected"
    end(state, node, StepStatus.FAILED)


def request(state: RunState, node: Node, action: str, arguments: dict[str, Any]) -> None:
    """Owe the first attempt of an action."""
    node.action, node.arguments = action, arguments
    node.attempts = 1
    owe_attempt(state, node)


def owe_attempt(state: RunState, node: Node) -> None:
    """Owe an attempt of a node's action."""
    assert node.action is not None
    assert node.arguments is not None
    undo = getattr(node.step, "undo", None)
    state.owe(
        StartAction(
            node.path,
            node.attempts,
            node.action,
            node.at,
            node.arguments,
            _timeout_s(state, node),
            node.maybe,
            node.possibly_repeated,
            hold_s=node.hold_s,
            keeps=undo is not None and undo.action is None,
            releases=node.releases,
            approvals=_approvals(state, node),
            consents=node.consents,
        )
    )


def _timeout_s(state: RunState, node: Node) -> float | None:
    timeout_s: float | None = getattr(node.step, "timeout_s", None)
    if node.due_at is None:
        return timeout_s
    assert state.now is not None
    return max(1.0, (node.due_at - state.now).total_seconds())  # a read of a wait may not outlast the wait


def _approvals(state: RunState, node: Node) -> tuple[Any, ...]:
    """Return what each approval over a change allows. An approval that was given without a question allows nothing."""
    if state.mode == "plan" or state.effect_of(node.action or "") is not Effect.CHANGE:
        return ()
    given = (path for path, standing in approvals_over(state, node) if standing == "given")
    return tuple((path, question.allowed) for path in given if (question := state.nodes[path].question) is not None)
