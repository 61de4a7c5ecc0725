"""Large values: an event holds what they are called, and who reads them asks for them by that name.

The rule: core never loads anything. What it needs and has not got it notes in `wanted`; the driver brings it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from hikeshi.core.state import RunState
from hikeshi.playbook.unknown import SCALARS, TAG, Stored, from_json

__all__ = ["LARGEST_INLINE_BYTES", "NotLoaded", "load_all", "move_out", "present", "value_of"]

LARGEST_INLINE_BYTES = 64 * 1024
_SHORT = 1024  # characters of a text that is never moved, and that need not be looked at as a value of its own

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


def move_out(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return an event's data with its large values replaced by their names, and those values by hash.

    `data` is as `encode_event` gives it.
    """
    blobs: dict[str, bytes] = {}
    moved = {name: _moved(value, _FIELDS[name], blobs)[0] if name in _FIELDS else value for name, value in data.items()}
    return moved, blobs


def _moved(value: Any, above: int, blobs: dict[str, bytes]) -> tuple[Any, int]:
    """Return a value without what is large in it, and its size in bytes. `above`: levels that stay where they are."""
    if isinstance(value, str):
        size = (len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))) + 2
    elif isinstance(value, dict):
        if TAG in value:
            return value, len(json.dumps(value))
        parts, size = {}, 0
        for key, entry in value.items():
            parts[key], part_size = (entry, len(entry) + 2) if _is_short(entry) else _moved(entry, above - 1, blobs)
            size += len(key) + 4 + part_size
        value = parts
    elif isinstance(value, list):
        entries, size = [], 0
        for entry in value:
            part, part_size = (entry, len(entry) + 2) if _is_short(entry) else _moved(entry, above - 1, blobs)
            entries.append(part)
            size += part_size + 1
        value = entries
    else:
        return value, 8
    if size <= LARGEST_INLINE_BYTES or above > 0:
        return value, size
    content = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
    name = hashlib.sha256(content).hexdigest()
    blobs[name] = content
    return {TAG: "stored", "sha256": name, "bytes": len(content)}, 120


def _is_short(entry: Any) -> bool:
    return type(entry) is str and len(entry) < _SHORT and entry.isascii()


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
        return [entry if type(entry) in SCALARS else load_all(entry, load) for entry in value]
    return value
