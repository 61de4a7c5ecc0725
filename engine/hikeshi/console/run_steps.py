"""The steps of a run as a table: what, how it stands, how long, and what went wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.console.elements import table, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.shelf import Card, Shelf
from hikeshi.core import StepStatus

if TYPE_CHECKING:
    from hikeshi.core import Node, RunState

__all__ = ["Steps"]

_MOST = 300
_PARTS = 20  # so many items of a loop are shown; those that are not well come first


class Steps:
    """The table of one run's steps."""

    def __init__(self, page: Page) -> None:
        self._page = page
        say = page.say
        columns = [say(f"column.{key}") for key in ("step", "status", "what")]
        self._shelf = Shelf(table(say("run.steps"), columns, "list steps-table"), "tr", "")
        self._more = tag("p", "", "dim")

    def draw(self, state: RunState, waiting: Collection[str]) -> None:
        """Show the steps as they are. Those of `waiting` wait for people."""
        rows = list(_shown(state))
        self._shelf.put([self._row(state, depth, node, node.path in waiting) for depth, node in rows[:_MOST]])
        self._more.say(self._page.say("common.more", count=len(rows) - _MOST) if len(rows) > _MOST else "")

    def _row(self, state: RunState, depth: int, node: Node, is_waiting: bool) -> Card:
        error = _error(_inmost(node))
        depends = (node.status, is_waiting, node.attempts, error, node.reason, node.already, node.settled)
        return node.path, depends, lambda: self._cells(state, depth, node, is_waiting)

    def _cells(self, state: RunState, depth: int, outer: Node, is_waiting: bool) -> None:
        say, node = self._page.say, _inmost(outer)
        with tag("th", "", f"depth depth-{min(depth, 6)}", scope="row"):
            tag("span", _name(outer))
            tag("span", outer.path, "code dim small")
        with tag("td", "", "", data_label=say("column.status")):
            mark(say, "waiting" if is_waiting else outer.status.value)
        with tag("td", "", "", data_label=say("column.what")):
            if node.action is not None:
                tag("span", node.action, "code")
            for label, connector in _targets(state, node):
                tag("span", f" {label}" + (f" ({connector})" if connector else ""), "strong")
            if node.already:
                tag("div", say("run.already"), "dim")
            if node.attempts > 1:
                tag("div", say("run.attempts", count=node.attempts), "dim")
            if node.reason and node.status in (StepStatus.SKIPPED, StepStatus.BLOCKED):
                tag("div", node.reason, "dim")
            error = _error(node)
            if error:
                tag("div", error, "warn")


def _inmost(node: Node) -> Node:
    """Return the one part that a loop or a fan-out has, which needs no line of its own."""
    while len(node.parts) == 1:
        node = node.parts[0]
    return node


def _name(node: Node) -> str:
    return f"{node.step.label}: {_item(node.item)}" if node.has_item else node.step.label


def _item(value: Any) -> str:
    """Return what people call an item of a loop: an entity, an indicator, or a text."""
    if isinstance(value, Mapping):
        return next((str(value[key]) for key in ("name", "value", "id") if isinstance(value.get(key), str)), "…")
    return "…" if isinstance(value, list) else str(value)[:100]


def _error(node: Node) -> str:
    shown = node.error is not None and node.status in (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.RUNNING)
    return node.error.message if shown and node.error is not None else ""


def _targets(state: RunState, node: Node) -> list[tuple[str, str]]:
    from hikeshi.report import targets

    if node.action is None or node.arguments is None or node.parts:
        return []
    found = targets(state, node)
    return found[:3]


def _shown(state: RunState) -> Iterator[tuple[int, Node]]:
    """Give the steps to show: of a loop with many items those that are not well, and some others."""
    from hikeshi.report import tree

    hidden: set[int] = set()
    for depth, node in tree(state):
        if id(node) in hidden or (node.parent is not None and id(node.parent) in hidden):
            hidden.add(id(node))
            continue
        hidden.update(id(each) for each in _left_out(node.parts))
        if not (node.group is not None and len(node.group.parts) == 1):
            yield depth, node


def _left_out(parts: Iterable[Node]) -> list[Node]:
    well = (StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.WAITING)
    return [each for each in parts if each.status in well][_PARTS:]
