"""Looking ahead from the middle of a run: what would follow if an approval were given."""

from __future__ import annotations

from hikeshi.core.commands import StartAction
from hikeshi.core.cover import approvals_over
from hikeshi.core.settle import end, settle
from hikeshi.core.state import Node, RunState, Todo
from hikeshi.core.status import ENDED, StepStatus
from hikeshi.playbook.unknown import Unknown

__all__ = ["assume_approved", "covered_by"]


def assume_approved(state: RunState, approval: str) -> None:
    """Turn a copy of a live run's state into a plan of what comes after this approval.

    What is under way or waits for something else counts as done with an outcome that is not known.
    """
    state.mode = "plan"
    state.fresh.clear()
    for path, command in list(state.owed.items()):
        del state.owed[path]
        if path == "":
            continue
        node = state.nodes[path]
        why = "it was under way when this was planned" if isinstance(command, StartAction) else "it was waited for"
        node.output = Unknown("output", "it is being asked for" if path == approval else why)
        node.intent = None
        _mark_planned(node)
        end(state, node, StepStatus.SUCCEEDED)
    for waiting in list(state.held):
        for path in state.held.pop(waiting):
            state.todo[Todo.START, path] = None
    settle(state)


def covered_by(state: RunState, approval: str) -> list[Node]:
    """Return the planned changes that an approval covers, in the order in which they were planned."""
    found = (node for node in state.nodes.values() if node.plan is not None and node.plan.effect == "change")
    return [node for node in found if any(path == approval for path, _ in approvals_over(state, node))]


def _mark_planned(node: Node) -> None:
    at: Node | None = node
    while at is not None and not at.planned and at.status not in ENDED:
        at.planned, at = True, at.parent
