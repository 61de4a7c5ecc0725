"""Log entries: documents, with the names of nested fields joined by dots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.capabilities import LogEntry

__all__ = ["entry_of", "first", "moment_of"]

_TEXTS: Final = ("message", "event.original", "event.reason", "log.original")


def entry_of(hit: Mapping[str, Any], connector: str, time_field: str) -> LogEntry:
    """Return a hit as an entry. Its moment is the one that it was sorted by, in the format that was asked for."""
    source = dict(_flat(hit["_source"]))
    fields = {"_index": str(hit["_index"]), "_id": str(hit["_id"]), **source}
    shown = " ".join(f"{name}={value}" for name, value in source.items() if name != time_field)
    text = next((source[name] for name in _TEXTS if source.get(name)), shown)
    return LogEntry(connector=connector, at=moment_of(hit["sort"][0]), text=text, fields=fields)


def moment_of(text: Any) -> datetime:
    """Return a moment. Raises ValueError for what is none."""
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def first(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first value of the first of these fields that has one; `fields` gives lists."""
    for name in names:
        for value in fields.get(name) or ():
            if value not in (None, ""):
                return str(value)
    return None


def _flat(source: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in source.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None and value != "":
            yield f"{before}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
