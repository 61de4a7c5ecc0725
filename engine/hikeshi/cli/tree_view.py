"""The steps of a run as lines: what the live view redraws and what stands above the summary at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hikeshi.capabilities import Effect
from hikeshi.cli.text import Piece, Styled, cut, harmless, pad, width
from hikeshi.core import Node, RunState, StepStatus, WaitUntil
from hikeshi.core.state import Frame, ListRun
from hikeshi.report import targets

__all__ = ["lines_of", "tree_lines"]

MOST_PARTS = 6
"""So many parts of a loop are shown one by one; of a longer one those that need somebody's eye, and how many there
are of the others."""
_WORDS = max(map(len, StepStatus)) + 1
_NAMES = 44

_STYLES = {
    "done": "green",
    "already": "green",
    "planned": "cyan",
    "maybe": "cyan",
    "running": "yellow",
    "retrying": "yellow",
    "FAILED": "red",
    "UNKNOWN": "red",
    "blocked": "red",
    "cancelled": "red",
    "skipped": "dim",
    "waiting": "dim",
}
_CALM = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.WAITING})


@dataclass(frozen=True, slots=True)
class _Row:
    depth: int
    word: str
    name: str
    detail: str
    calm: bool = True


def tree_lines(state: RunState) -> list[_Row]:
    """Return a row for each step that was reached, parents first."""
    return list(_frame(state, state.root, 0))


def lines_of(rows: Sequence[_Row], columns: int | None = None) -> Iterator[list[Piece]]:
    """Give the rows as lines of at most so many columns."""
    wide = min(_NAMES, max((2 * row.depth + width(harmless(row.name)) for row in rows), default=0))
    for row in rows:
        name = cut("  " * row.depth + harmless(row.name, 200), _NAMES)
        detail = harmless(row.detail, 400)
        if columns is not None:
            detail = cut(detail, max(8, columns - 2 - _WORDS - wide - 3))
        yield ["  ", Styled(pad(row.word, _WORDS), _STYLES.get(row.word, "")), " ", pad(name, wide), "  ", detail]


def _frame(state: RunState, frame: Frame | None, depth: int) -> Iterator[_Row]:
    if frame is None:
        return
    yield from _list(state, frame.body, depth)
    for title, steps in (("if something failed", frame.on_failure), ("at the end", frame.finally_)):
        if steps is not None and steps.nodes:
            yield _Row(depth, "", title, "")
            yield from _list(state, steps, depth + 1)


def _list(state: RunState, steps: ListRun | None, depth: int) -> Iterator[_Row]:
    for node in steps.nodes.values() if steps is not None else ():
        yield from _node(state, node, depth)


def _node(state: RunState, node: Node, depth: int) -> Iterator[_Row]:
    """Give the rows of a node. Playbooks nest a few levels only, so recursion is bounded by their authors."""
    single = node.parts[0] if len(node.parts) == 1 and not node.is_loop else None
    yield _Row(depth, _word(node), _name(node), _detail(state, single or node), node.status in _CALM)
    yield from _list(state, node.children, depth + 1)
    yield from _frame(state, node.inner, depth + 1)
    if single is None:
        yield from _parts(state, node, depth + 1)
    if node.handler is not None:
        yield _Row(depth + 1, "", "if it failed", "")
        yield from _list(state, node.handler, depth + 2)


def _parts(state: RunState, node: Node, depth: int) -> Iterator[_Row]:
    shown = node.parts
    if len(shown) > MOST_PARTS:
        shown = [part for part in node.parts if part.status not in _CALM][:MOST_PARTS]
    for part in shown:
        yield from _node(state, part, depth)
    others = Counter(_word(part) for part in node.parts)
    others.subtract(_word(part) for part in shown)
    counts = ", ".join(f"{count} {word}" for word, count in others.items() if count > 0)
    if counts:
        yield _Row(depth, "", f"and {others.total()} more", counts)


def _word(node: Node) -> str:
    match node.status:
        case StepStatus.SUCCEEDED if node.plan is not None:
            return "already" if node.already else "maybe" if node.maybe else "planned"
        case StepStatus.SUCCEEDED:
            return "already" if node.already else "maybe" if node.own_maybe else "done"
        case StepStatus.FAILED | StepStatus.UNKNOWN:
            return node.status.upper()
        case StepStatus.RUNNING:
            return "retrying" if node.error is not None else "running"
    return node.status.value


def _name(node: Node) -> str:
    if not node.has_item:
        return node.step.label
    item = node.item
    if isinstance(item, list):
        return f"{len(item)} items" if len(item) > 1 else _item(item[0]) if item else "no items"
    return _item(item)


def _item(item: object) -> str:
    # Values may be unknown in a plan, and an unknown is neither true nor false.
    if isinstance(item, dict):
        return next((str(item[key]) for key in ("name", "value", "id") if isinstance(item.get(key), str)), str(item))
    return str(item)


def _detail(state: RunState, node: Node) -> str:
    if node.status is StepStatus.SKIPPED:
        return (node.reason or "").replace("`", "")
    parts = [_action(state, node)] if node.action is not None else []
    if node.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and node.error is not None and not node.parts:
        parts.append(node.error.message)
    elif node.status is StepStatus.RUNNING and node.error is not None:
        parts.append(_retry(state, node))
    return "  ".join(filter(None, parts))


def _action(state: RunState, node: Node) -> str:
    assert node.action is not None
    if state.routes[node.action].effect is Effect.READ:
        return node.action
    named = targets(state, node)
    labels = [label for label, _ in named]
    shown = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
    return "  ".join(filter(None, (node.action, shown, f"on {named[0][1]}" if named and named[0][1] else "")))


def _retry(state: RunState, node: Node) -> str:
    assert node.error is not None
    owed = state.owed.get(node.path)
    at = f" at {owed.due_at:%H:%M:%S} UTC" if isinstance(owed, WaitUntil) else ""
    return f"attempt {node.attempts}{at}, after: {node.error.message}"
