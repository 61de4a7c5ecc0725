"""The nodes of a run in the order of the playbook, parents first."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.core import Node, RunState
from hikeshi.core.state import Frame, ListRun

__all__ = ["tree"]


def tree(state: RunState) -> Iterator[tuple[int, Node]]:
    """Give each node with its depth. A stack instead of recursion: a run may be deep."""
    stack: list[tuple[int, Node]] = [(0, node) for node in reversed(list(_of_frame(state.root)))]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        stack.extend((depth + 1, child) for child in reversed(list(_inside(node))))


def _inside(node: Node) -> Iterator[Node]:
    yield from _of_list(node.children)
    yield from _of_frame(node.inner)
    yield from node.parts
    yield from _of_list(node.handler)


def _of_frame(frame: Frame | None) -> Iterator[Node]:
    if frame is not None:
        for steps in (frame.body, frame.on_failure, frame.finally_):
            yield from _of_list(steps)


def _of_list(steps: ListRun | None) -> Iterator[Node]:
    if steps is not None:
        yield from steps.nodes.values()
