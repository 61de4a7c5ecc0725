"""A canonical picture of a run's state, by which a state in memory and one from the disk can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from hikeshi.core import RunState
from hikeshi.core.outputs import has_output, output_of
from hikeshi.core.state import Frame, ListRun, Node

__all__ = ["differences", "picture"]

_LINKS = frozenset({Node, ListRun, Frame})
_SCALARS = frozenset({str, int, float, bool, type(None)})
# `output` of what holds others is put together when somebody asks; large values are brought and forgotten.
_WORKED_OUT = ("output", "fresh", "settling", "loaded", "wanted")


def picture(state: RunState) -> dict[str, Any]:
    """Return everything that matters of a state as plain data: statuses, outputs, what is owed and what is to decide.

    Links between the parts of a state are left out; what hangs on them shows in the paths.
    """
    taken = {name: _plain(getattr(state, name)) for name in _names(state) if name not in ("program", "routes", "root")}
    taken["nodes"] = {path: _node(node) for path, node in state.nodes.items()}
    return taken


def _node(node: Node) -> dict[str, Any]:
    taken = {name: _plain(getattr(node, name)) for name in _names(node) if name != "step"}
    taken["gives"] = _plain(output_of(node)) if has_output(node) else None
    return taken


@cache
def _names_of(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in _WORKED_OUT)


def _names(thing: Any) -> tuple[str, ...]:
    return _names_of(type(thing))


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is dict:
        return [(key, _plain(entry)) for key, entry in value.items()]
    if kind is list or kind is tuple:
        return [_plain(entry) for entry in value]
    if kind in _LINKS:
        return f"<{kind.__name__} {getattr(value, 'path', '')}>"
    if kind is set or kind is frozenset:
        return sorted(map(str, value))
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return [(name, _plain(getattr(value, name))) for name in _names(value)]
    return value


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return where two pictures differ, shortly."""
    found = [
        f"{name}: {one[name]!r:.300} and {other.get(name)!r:.300}"
        for name in one
        if name != "nodes" and one[name] != other.get(name)
    ]
    left, right = one["nodes"], other["nodes"]
    found += [f"{path} is in one of them only" for path in sorted(set(left) ^ set(right))]
    for path in left:
        if path in right and left[path] != right[path]:
            found += [
                f"{path}.{name}: {left[path][name]!r:.300} and {right[path].get(name)!r:.300}"
                for name in left[path]
                if left[path][name] != right[path].get(name)
            ]
    return found[:6]
