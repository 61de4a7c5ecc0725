"""Log entries: events, and rows of statistics, as the results of a search give them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import LogEntry

__all__ = ["entry_of", "first", "moment_of"]


def entry_of(row: Mapping[str, Any], connector: str) -> LogEntry:
    """Return one row. Statistics have no event's text, and often no time; values of a field are joined by lines."""
    fields = {name: _text(value) for name, value in row.items() if name != "_raw" and value not in (None, "", [])}
    shown = " ".join(f"{name}={value}" for name, value in fields.items() if not name.startswith("_"))
    return LogEntry(
        connector=connector, at=moment_of(fields.get("_time")), text=_text(row.get("_raw")) or shown, fields=fields
    )


def moment_of(text: str | None) -> datetime | None:
    """Return a moment as results write it, or as seconds since 1970. None for what is neither: `_time` can be set."""
    try:
        return datetime.fromtimestamp(float(text or ""), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def first(row: Mapping[str, Any], *names: str) -> str | None:
    """Return the first value of the first of these fields that has one."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list):
            value = next((each for each in value if each), None)
        if value:
            return str(value)
    return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return "\n".join(str(each) for each in value) if isinstance(value, list) else str(value)
