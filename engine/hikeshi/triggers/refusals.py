"""What was refused at the door: counted, shown, and logged at a limited rate. A flood fills neither disk nor memory."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog

from hikeshi.quick_dataclass import dataclass

__all__ = ["UNKNOWN", "Refusals"]

UNKNOWN = "(unknown)"
"""Stands for every source that is not configured: whoever asks for many of them gets one line."""

_LOG_EVERY_S = 60.0
_log = structlog.get_logger("hikeshi.triggers")


@dataclass(slots=True)
class _Count:
    count: int
    first_at: datetime
    last_at: datetime
    logged_at: datetime | None = None
    logged: int = 0


class Refusals:
    """Counts since this process began, by source and code."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], _Count] = {}

    def note(self, source: str, code: str, at: datetime) -> None:
        """Count one. `source` is one that is configured, or UNKNOWN."""
        found = self._counts.get((source, code))
        if found is None:
            found = self._counts[source, code] = _Count(0, at, at)
        found.count += 1
        found.last_at = at
        if found.logged_at is None or abs((at - found.logged_at).total_seconds()) >= _LOG_EVERY_S:
            _log.warning("webhook_refused", source=source, code=code, count=found.count - found.logged)
            found.logged_at, found.logged = at, found.count

    def rows(self) -> list[dict[str, Any]]:
        """Return `{source, code, count, first_at, last_at}`, those of one source beside each other."""
        return [
            {
                "source": source,
                "code": code,
                "count": each.count,
                "first_at": each.first_at.isoformat(),
                "last_at": each.last_at.isoformat(),
            }
            for (source, code), each in sorted(self._counts.items())
        ]
