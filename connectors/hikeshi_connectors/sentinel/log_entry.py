"""Log entries: rows of a query's result.

Source: https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format (tables, columns, rows).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi.capabilities import LogEntry
from hikeshi.connector import Invalid, Response, objects_under, understood

__all__ = ["entries_in"]

_TIME = "TimeGenerated"
# Where the tables of common sources have the text that a person would read first.
_TEXTS = ("SyslogMessage", "RenderedDescription", "Message", "Activity", "RawData", "Description")


def entries_in(response: Response, connector: str) -> list[LogEntry]:
    """Return the rows of the primary result. Raises Invalid if the answer holds no result."""
    tables = objects_under(response, "tables")
    if not tables:
        raise Invalid(f"{response.where}: the answer has no table")
    with understood(response.where):
        table = next((each for each in tables if each.get("name") == "PrimaryResult"), tables[0])
        names = [str(column["name"]) for column in table["columns"]]
        return [_entry(names, row, connector) for row in table["rows"]]


def _entry(names: Sequence[str], row: Sequence[Any], connector: str) -> LogEntry:
    fields = {name: _text(value) for name, value in zip(names, row, strict=True) if value is not None and value != ""}
    at = fields.get(_TIME)
    return LogEntry(
        connector=connector, at=datetime.fromisoformat(at) if at else None, text=_summary(fields), fields=fields
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _summary(fields: Mapping[str, str]) -> str:
    for name in _TEXTS:
        if fields.get(name):
            return fields[name]
    return " ".join(f"{name}={value}" for name, value in fields.items() if name not in (_TIME, "TenantId"))
