"""Where the parts of a loaded playbook stand in its text. The text is read again only when there is a problem."""

from __future__ import annotations

from functools import cached_property

from hikeshi.playbook.model import Playbook, Position
from hikeshi.playbook.parse_report import find_node
from hikeshi.playbook.template import Path
from hikeshi.playbook.yaml_tree import Mapping, Node, Scalar, Sequence, parse_yaml

__all__ = ["Places"]


class Places:
    """Finds positions below a map whose own position is known: a step, a trigger, the playbook."""

    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook

    def value(self, start: Position, path: Path, offset: int | None = None) -> Position:
        """Return where the value at `path` stands; `offset` is a character of its text."""
        node = find_node(self._maps[start.line, start.column], path)
        if offset is not None and isinstance(node, Scalar) and node.offset is not None:
            return Position(start.file, node.line, node.offset + offset + 1)
        return Position(start.file, node.line, node.column)

    def key(self, start: Position, path: Path) -> Position:
        """Return where the key at the end of `path` stands; if it is not written, where it would belong."""
        parent = find_node(self._maps[start.line, start.column], path[:-1])
        entry = parent.entries.get(str(path[-1])) if isinstance(parent, Mapping) else None
        place = parent if entry is None else entry
        return Position(start.file, place.line, place.column)

    @cached_property
    def _maps(self) -> dict[tuple[int, int], Mapping]:
        found: dict[tuple[int, int], Mapping] = {}
        root, _ = parse_yaml(self._playbook.source)
        open_: list[Node] = [] if root is None else [root]
        while open_:
            node = open_.pop()
            if isinstance(node, Mapping):
                if found.setdefault((node.line, node.column), node) is node:
                    open_.extend(entry.value for entry in node.entries.values())
            elif isinstance(node, Sequence):
                open_.extend(node.items)
        return found
