"""Large values: an event holds what they are called, and who reads them asks for them by that name.

The rule: core never loads anything. What it needs and has not got it notes in `wanted`; the driver brings it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from hikeshi.core.state import RunState
from hikeshi.playbook.unknown import SCALARS, TAG, Stored, are_flat, from_json

__all__ = ["LARGEST_INLINE_BYTES", "NotLoaded", "load_all", "looks_large", "move_out", "present", "value_of"]

LARGEST_INLINE_BYTES = 64 * 1024
_MANY = 1000  # entries of a list
_MEASURED_AT_ONCE = 64  # entries of a list
_STORED_BYTES = 120  # of what stands where a value was

# Where values from outside stand in events, and how many levels down they begin to be values.
_FIELDS: Mapping[str, int] = {
    "output": 0,
    "outputs": 1,
    "answers": 1,
    "arguments": 1,
    "calls": 2,
    "values": 1,
    "inputs": 1,
    "data": 0,
    "undo": 2,
    "prior": 2,
    "items": 1,
}


class NotLoaded(Exception):
    """A value is read that is stored elsewhere and was not brought yet."""

    def __init__(self, stored: Stored) -> None:
        super().__init__(stored.sha256)
        self.stored = stored


def looks_large(value: Any, levels: int = 3) -> bool:
    """Say whether there is a long list in an event's data, so that something of it is most likely moved out."""
    if type(value) is list:
        return len(value) > _MANY or (levels > 0 and bool(value) and looks_large(value[0], levels - 1))
    if type(value) is dict:
        return levels > 0 and any(looks_large(entry, levels - 1) for entry in value.values())
    return False


def move_out(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return an event's data with its large values replaced by their names, and those values by hash.

    `data` is as `encode_event` gives it.
    """
    blobs: dict[str, bytes] = {}
    moved = {name: _moved(value, _FIELDS[name], blobs)[0] if name in _FIELDS else value for name, value in data.items()}
    return moved, blobs


def _moved(value: Any, above: int, blobs: dict[str, bytes]) -> tuple[Any, int]:
    """Return a value without what is large in it, and its size in bytes. `above`: levels that stay where they are."""
    size = _size_of(value)
    if size <= LARGEST_INLINE_BYTES or not isinstance(value, (str, list, dict)):
        return value, size
    if isinstance(value, dict) and TAG in value:
        return value, size
    if not isinstance(value, str):
        value, size = _emptied(value, above, blobs)
    if size <= LARGEST_INLINE_BYTES or above > 0:
        return value, size
    content = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    name = hashlib.sha256(content).hexdigest()
    blobs[name] = content
    return {TAG: "stored", "sha256": name, "bytes": len(content)}, _STORED_BYTES


def _size_of(value: Any) -> int:
    try:
        return len(_to_json()(value))
    except ValueError:  # half of a surrogate pair has no form in UTF-8
        return len(json.dumps(value))


@cache
def _to_json() -> Callable[[Any], bytes]:
    # Of a change of many targets each is measured, and this takes a fifth of the time that json takes.
    from pydantic_core import to_json

    return to_json


def _emptied(value: dict[str, Any] | list[Any], above: int, blobs: dict[str, bytes]) -> tuple[Any, int]:
    """Return a map or a list with what is large in it moved out of each entry, and its size in bytes."""
    if isinstance(value, list):
        return _emptied_list(value, above, blobs)
    parts = {key: _moved(entry, above - 1, blobs) for key, entry in value.items()}
    size = sum(len(key) + size + 4 for key, (_, size) in parts.items())
    return {key: part for key, (part, _) in parts.items()}, size


def _emptied_list(value: list[Any], above: int, blobs: dict[str, bytes]) -> tuple[list[Any], int]:
    """Measure some entries at once: where all together are small, none of them is large."""
    parts: list[Any] = []
    total = 0
    for at in range(0, len(value), _MEASURED_AT_ONCE):
        some = value[at : at + _MEASURED_AT_ONCE]
        size = _size_of(some)
        if size <= LARGEST_INLINE_BYTES:
            parts += some
        else:
            moved = [_moved(entry, above - 1, blobs) for entry in some]
            parts += [part for part, _ in moved]
            size = sum(size + 1 for _, size in moved)
        total += size
    return parts, total


def value_of(content: bytes) -> Any:
    """Return the value that was stored as these bytes; there may be further stored ones inside of it."""
    return from_json(json.loads(content))


def present(state: RunState, value: Any) -> Any:
    """Return a value with everything that is stored elsewhere in its place. Raises NotLoaded."""
    if not state.has_stored:
        return value
    return load_all(value, lambda stored: _brought(state, stored))


def _brought(state: RunState, stored: Stored) -> Any:
    if stored.sha256 not in state.loaded:
        raise NotLoaded(stored)
    return state.loaded[stored.sha256]


def load_all(value: Any, load: Callable[[Stored], Any]) -> Any:
    """Return a value with everything that is stored elsewhere loaded, whatever is nested in it."""
    if isinstance(value, Stored):
        return load_all(load(value), load)
    if isinstance(value, dict):
        return {key: entry if type(entry) in SCALARS else load_all(entry, load) for key, entry in value.items()}
    if isinstance(value, list):
        if are_flat(value):
            return value
        return [entry if type(entry) in SCALARS else load_all(entry, load) for entry in value]
    return value
