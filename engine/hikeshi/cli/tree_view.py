"""The steps of a run as lines: what the live view redraws and what stands above the summary at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hikeshi.capabilities import Effect
from hikeshi.cli.moments import clock_time, duration
from hikeshi.cli.text import Piece, Styled, cut, harmless, pad, width
from hikeshi.core import Node, RunState, StepStatus, WaitUntil
from hikeshi.core.state import Frame, ListRun
from hikeshi.playbook.model import ApproveStep, AskStep, BlockStep, ReleaseStep, WaitStep
from hikeshi.playbook.unknown import Stored
from hikeshi.report import Times, targets

__all__ = ["lines_of", "tree_lines"]

MOST_PARTS = 6
"""So many parts of a loop are shown one by one; of a longer one those that need somebody's eye, and how many there
are of the others."""
_WORDS = max(map(len, StepStatus)) + 1
_NAMES = 44
_SHORTEST_S = 0.1

_STYLES = {
    "done": "green",
    "already": "green",
    "planned": "cyan",
    "maybe": "cyan",
    "running": "yellow",
    "retrying": "yellow",
    "asks": "yellow",
    "waits": "yellow",
    "held": "yellow",
    "FAILED": "red",
    "UNKNOWN": "red",
    "blocked": "red",
    "cancelled": "red",
    "skipped": "dim",
    "waiting": "dim",
}
_DECIDED_ELSEWHERE = (ApproveStep, AskStep, WaitStep, ReleaseStep)
_CALM = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.WAITING})


@dataclass(frozen=True, slots=True)
class _Row:
    depth: int
    word: str
    name: str
    detail: str
    calm: bool = True
    took: str = ""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A run as it stands at a time."""

    state: RunState
    times: Times
    now: datetime

    def took(self, node: Node) -> str:
        seconds = self.times.took_s(node, self.now)
        return "" if seconds is None or seconds < _SHORTEST_S else duration(seconds)


def tree_lines(state: RunState, times: Times | None = None, now: datetime | None = None) -> list[_Row]:
    """Return a row for each step that was reached, parents first; with `times` each says how long it took until now."""
    at = now or state.now or datetime.now(UTC)
    return list(_frame(_Moment(state, times or Times(), at), state.root, 0))


def lines_of(rows: Sequence[_Row], columns: int | None = None) -> Iterator[list[Piece]]:
    """Give the rows as lines of at most so many columns."""
    wide = min(_NAMES, max((2 * row.depth + width(harmless(row.name)) for row in rows), default=0))
    times = max((len(row.took) for row in rows), default=0)
    times += 2 if times else 0
    for row in rows:
        name = cut("  " * row.depth + harmless(row.name, 200), _NAMES)
        detail = harmless(row.detail, 400)
        if columns is not None:
            detail = cut(detail, max(8, columns - 2 - _WORDS - wide - times - 3))
        took = Styled(row.took.rjust(times), "dim")
        yield ["  ", Styled(pad(row.word, _WORDS), _STYLES.get(row.word, "")), " ", pad(name, wide), took, "  ", detail]


def _frame(at: _Moment, frame: Frame | None, depth: int) -> Iterator[_Row]:
    if frame is None:
        return
    yield from _list(at, frame.body, depth)
    for title, steps in (("if something failed", frame.on_failure), ("at the end", frame.finally_)):
        if steps is not None and steps.nodes:
            yield _Row(depth, "", title, "")
            yield from _list(at, steps, depth + 1)


def _list(at: _Moment, steps: ListRun | None, depth: int) -> Iterator[_Row]:
    for node in steps.nodes.values() if steps is not None else ():
        yield from _node(at, node, depth)


def _node(at: _Moment, node: Node, depth: int) -> Iterator[_Row]:
    """Give the rows of a node. Playbooks nest a few levels only, so recursion is bounded by their authors."""
    single = node.parts[0] if len(node.parts) == 1 and not node.is_loop else None
    shown = single if single is not None and not _is_pass(single) else node
    yield _Row(depth, _word(node), _name(node), _detail(at, shown), node.status in _CALM, at.took(node))
    yield from _list(at, node.children, depth + 1)
    yield from _frame(at, node.inner, depth + 1)
    if single is None:
        yield from _parts(at, node, depth + 1)
    else:
        yield from _list(at, single.children, depth + 1)
    if node.handler is not None:
        yield _Row(depth + 1, "", "if it failed", "")
        yield from _list(at, node.handler, depth + 2)


def _parts(at: _Moment, node: Node, depth: int) -> Iterator[_Row]:
    shown = node.parts
    if len(shown) > MOST_PARTS:
        shown = [part for part in node.parts if part.status not in _CALM][:MOST_PARTS]
    for part in shown:
        yield from _node(at, part, depth)
    others = Counter(_word(part) for part in node.parts)
    others.subtract(_word(part) for part in shown)
    counts = ", ".join(f"{count} {word}" for word, count in others.items() if count > 0)
    if counts:
        yield _Row(depth, "", f"and {others.total()} more", counts)


def _is_pass(node: Node) -> bool:
    """Say whether a node is one pass of a `while` block."""
    return isinstance(node.step, BlockStep) and node.step.repeat is not None and node.group is not None


def _word(node: Node) -> str:
    match node.status:
        case StepStatus.SUCCEEDED if node.plan is not None:
            return "already" if node.already else "maybe" if node.maybe else "planned"
        case StepStatus.SUCCEEDED if node.planned and isinstance(node.step, _DECIDED_ELSEWHERE):
            return "maybe" if node.maybe else "planned"
        case StepStatus.SUCCEEDED:
            return "already" if node.already else "maybe" if node.own_maybe else "done"
        case StepStatus.FAILED | StepStatus.UNKNOWN:
            return node.status.upper()
        case StepStatus.RUNNING:
            return _doing(node)
        case StepStatus.WAITING if node.reason is not None:
            return "held"
    return node.status.value


def _doing(node: Node) -> str:
    if node.question is not None and node.question.due_at is not None:
        return "asks"
    if isinstance(node.step, WaitStep):
        return "waits"
    return "retrying" if node.error is not None else "running"


def _name(node: Node) -> str:
    if _is_pass(node):
        assert node.group is not None
        return f"pass {node.group.parts.index(node) + 1}"
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
    return f"an item of {item.size_bytes} bytes" if isinstance(item, Stored) else str(item)


def _detail(at: _Moment, node: Node) -> str:
    state = at.state
    if node.status in (StepStatus.SKIPPED, StepStatus.BLOCKED, StepStatus.WAITING) and node.action is None:
        return (node.reason or "").replace("`", "")
    parts = [_action(state, node)] if node.action is not None else []
    if node.status is StepStatus.RUNNING:
        parts.append(_going_on(at, node))
    elif isinstance(node.step, ApproveStep) and isinstance(node.output, dict) and "by" in node.output:
        parts.append(f"by {', '.join(map(str, node.output['by']))}")
    if node.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and node.error is not None and not node.parts:
        parts.append(node.error.message)
    return "  ".join(filter(None, parts))


def _going_on(at: _Moment, node: Node) -> str:
    """Say what a step waits for that is under way."""
    question = node.question
    if question is not None and question.due_at is not None:
        votes = f", {len(question.votes)} of {question.quorum}" if question.quorum > 1 else ""
        return f"{', '.join(question.by)}{votes}, until {clock_time(question.due_at, at.now)}"
    if isinstance(node.step, ApproveStep):
        return "looks at what it would allow"
    owed = at.state.owed.get(node.path)
    due_at = getattr(owed, "due_at", None)
    if isinstance(node.step, WaitStep):
        longest = node.due_at or due_at
        return "" if longest is None else f"until {clock_time(longest, at.now)}"
    if node.error is None:
        return ""
    when = f" at {clock_time(owed.due_at, at.now)}" if isinstance(owed, WaitUntil) else ""
    return f"attempt {node.attempts}{when}, after: {node.error.message}"


def _action(state: RunState, node: Node) -> str:
    assert node.action is not None
    if state.effect_of(node.action) is Effect.READ:
        return node.action
    named = targets(state, node)
    labels = [label for label, _ in named]
    shown = ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")
    return "  ".join(filter(None, (node.action, shown, f"on {named[0][1]}" if named and named[0][1] else "")))
