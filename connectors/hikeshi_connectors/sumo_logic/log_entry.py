"""Log entries: messages, and records of aggregations. Names are in lower case, values are texts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import LogEntry

__all__ = ["entry_of"]


def entry_of(row: Mapping[str, Any], connector: str) -> LogEntry:
    """Return one row; records have neither a message nor, mostly, a time."""
    fields = {name: str(value) for name, value in row.items() if name != "_raw" and value not in (None, "")}
    shown = " ".join(f"{name}={value}" for name, value in fields.items())
    # Records by time have the beginning of their slice.
    moment = fields.get("_messagetime") or fields.get("_timeslice")
    at = datetime.fromtimestamp(int(moment) / 1000, UTC) if moment else None
    return LogEntry(connector=connector, at=at, text=str(row.get("_raw") or shown), fields=fields)
