"""The problems that reading a file finds, and where they are."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, TypeAlias

from hikeshi.playbook.model import Position
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem
from hikeshi.playbook.template import Path
from hikeshi.playbook.yaml_tree import Entry, Mapping, Node, Scalar, Sequence

__all__ = ["INVALID", "Invalid", "Report", "describe_node", "find_node", "to_plain"]


_MOST_SUGGESTIONS = 200  # looking for near names takes time, and nobody reads more


class Invalid(Enum):
    """What reading gives for a value whose problem has been reported already."""

    INVALID = "invalid"


INVALID: Final = Invalid.INVALID
Place: TypeAlias = "Node | Entry"


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def position(self, place: Place, offset: int | None = None) -> Position:
        """Return where a key or value stands; `offset` is a character of its text."""
        if offset is not None and isinstance(place, Scalar) and place.offset is not None:
            return Position(self.file, place.line, place.offset + offset + 1)
        return Position(self.file, place.line, place.column)

    def add(
        self, code: str, message: str, place: Place, *, offset: int | None = None, suggestion: str | None = None
    ) -> Invalid:
        """Note a problem; returns INVALID, so that a reader can return what this returns."""
        self.problems.append(Problem(code, message, self.position(place, offset), suggestion))
        return INVALID

    def unknown(self, code: str, message: str, place: Place, word: str, known: Iterable[str]) -> Invalid:
        """Note a word that is not known, with the nearest of those that are."""
        near = nearest(word, known) if len(self.problems) < _MOST_SUGGESTIONS else None
        hint = f"; did you mean {near!r}?" if near is not None else ""
        return self.add(code, message + hint, place, suggestion=near)

    def wrong_type(self, place: Node, expected: str) -> Invalid:
        return self.add("wrong-type", f"{expected} is expected here, and this is {describe_node(place)}", place)


def describe_node(node: Node) -> str:
    """Return a value in words."""
    if isinstance(node, Scalar):
        if node.value is None:
            return "empty"
        if isinstance(node.value, bool):
            return "true" if node.value else "false"
        if isinstance(node.value, str):
            text = node.value if len(node.value) <= 40 else node.value[:37] + "..."
            return f"the text {text!r}"
        text = str(node.value)
        return f"the number {text if len(text) <= 40 else text[:37] + '...'}"
    return "a list" if isinstance(node, Sequence) else "a map"


def to_plain(node: Node) -> object:
    """Return a tree as plain data. YAML bounds its depth."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    return {key: to_plain(entry.value) for key, entry in node.entries.items()}


def find_node(node: Node, path: Path) -> Node:
    """Return what a path of keys and indices leads to, or the last node on the way if it leads nowhere."""
    for key in path:
        if isinstance(node, Sequence) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
        elif isinstance(node, Mapping) and key in node.entries:
            node = node.entries[str(key)].value
        else:
            break
    return node
