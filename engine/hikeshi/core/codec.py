"""Events to plain data and back. The journal stores the data; a state is folded only from what came back.

Times are ISO texts in UTC. What a plan cannot know keeps its mark, and data from outside can't imitate that mark.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from hikeshi.core.events import EVENTS, ErrorRecord, Event, OpenedHold, SettledTarget
from hikeshi.playbook.unknown import are_flat, from_json, to_json

__all__ = ["UnknownEvent", "decode_event", "encode_event"]

_FIELDS: dict[type, tuple[str, ...]] = {
    cls: tuple(field.name for field in fields(cls) if field.name != "path") for cls in EVENTS.values()
}
_TIMES = frozenset({"due_at", "expires_at", "wake_at"})
_PLAIN = frozenset({str, int, bool, type(None)})
_ENTRIES: dict[str, type[OpenedHold | SettledTarget]] = {"opened": OpenedHold, "settled": SettledTarget}
_ERROR_FIELDS = tuple(field.name for field in fields(ErrorRecord))


class UnknownEvent(Exception):
    """A record is of a kind, or has a shape, that this version does not know: it was written by another version."""


def encode_event(event: Event) -> dict[str, Any]:
    """Return the event's fields as plain JSON data, without its path and kind. Raises ValueError for other data."""
    return {
        name: value if type(value := getattr(event, name)) in _PLAIN else _encode_field(name, value)
        for name in _FIELDS[type(event)]
    }


def decode_event(kind: str, path: str, data: dict[str, Any]) -> Event:
    """Return the event that was encoded. Raises UnknownEvent."""
    cls = EVENTS.get(kind)
    if cls is None:
        raise UnknownEvent(f"the journal has an event {kind!r} that this version does not know; upgrade hikeshi")
    try:
        values = {name: _decode(name, value) for name, value in data.items()}
        return cls(path, **values)
    except (TypeError, ValueError) as exc:
        raise UnknownEvent(f"the event {kind} at {path!r} has an unknown shape: {exc}") from exc


def _encode_field(name: str, value: Any) -> Any:
    if name not in _ENTRIES:
        return _encode(value)
    columns = [_encode_column(list(column)) for column in zip(*value, strict=True)]
    return [dict(zip(_ENTRIES[name]._fields, entry, strict=True)) for entry in zip(*columns, strict=True)]


def _encode_column(values: list[Any]) -> Any:
    """Return one field of many entries. Field by field it is quicker: each is of one form, and often plain."""
    if _PLAIN.issuperset(map(type, values)) or are_flat(values):
        return values
    return [_encode(value) for value in values]


def _encode(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, ErrorRecord):
        return {name: getattr(value, name) for name in _ERROR_FIELDS}
    if isinstance(value, datetime):
        return value.isoformat()
    return to_json(value)


def _decode(name: str, value: Any) -> Any:
    if name == "error":
        return None if value is None else ErrorRecord(**value)
    if name in _ENTRIES:
        kind = _ENTRIES[name]
        return [kind(**{each: _decode(each, part) for each, part in entry.items()}) for entry in value]
    if name in _TIMES:
        return None if value is None else datetime.fromisoformat(value)
    return value if type(value) in _PLAIN else from_json(value)
