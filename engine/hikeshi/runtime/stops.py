"""Engaging and releasing the kill switch, and reading what is engaged."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hikeshi.guardrails import Stop, Stops
from hikeshi.journal import Journal, append_to_stream
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.stops_projection import STREAM

__all__ = ["EngagedStop", "KillSwitch"]


@dataclass(frozen=True, slots=True)
class EngagedStop:
    """One engaged kill switch. `released_by` are those who want it released, of the `people` that it takes."""

    stop: str
    by: str
    why: str
    at: datetime
    people: int
    released_by: tuple[str, ...]


class KillSwitch:
    """Engages and releases stops, and says what is engaged."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def engaged(self) -> list[EngagedStop]:
        """Return what is engaged, oldest first. Raises JournalError."""
        rows = self._journal.query("SELECT * FROM stops ORDER BY at, stop")
        wanted = self._journal.query("SELECT stop, by FROM stop_releases ORDER BY by")
        return [
            EngagedStop(
                row["stop"],
                row["by"],
                row["why"],
                datetime.fromisoformat(row["at"]),
                row["people"],
                tuple(each["by"] for each in wanted if each["stop"] == row["stop"]),
            )
            for row in rows
        ]

    def stops(self) -> Stops:
        """Return what holds changes back now. What can't be read is engaged."""
        try:
            rows = self._journal.query("SELECT stop, by, why FROM stops ORDER BY at, stop")
        except Exception as exc:  # noqa: BLE001 - whatever keeps it from being read, nothing may be sent then
            return Stops.unreadable(type(exc).__name__)
        understood = Stops.read(row["stop"] for row in rows).engaged
        pairs = zip(understood, rows, strict=True)
        return Stops(tuple(Stop(each.scope, each.name, row["by"], row["why"] or each.why) for each, row in pairs))

    async def engage(self, stop: Stop, *, people: int, at: datetime) -> None:
        """Engage a stop; `people` is how many different ones it takes to release it. Raises JournalError."""
        await self._append("StopEngaged", {"stop": stop.text, "by": stop.by, "why": stop.why, "people": people}, at)

    async def want_released(self, stop: str, *, by: str, why: str, at: datetime) -> None:
        """Record that somebody wants a stop released. Raises JournalError."""
        await self._append("StopReleaseWanted", {"stop": stop, "by": by, "why": why}, at)

    async def _append(self, kind: str, data: dict[str, Any], at: datetime) -> None:
        await append_to_stream(self._journal, STREAM, kind, data, at)
