"""The kill switch as it is stored: records of a stream of its own in the journal, and a table of what is engaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hikeshi.guardrails import Stop, Stops
from hikeshi.journal import Journal, Record, SequenceConflict, encode_record
from hikeshi.quick_dataclass import dataclass

__all__ = ["STREAM", "EngagedStop", "KillSwitch", "StopsProjection"]

STREAM = "kill-switch"
"""The name under which its records are in the journal. No run is called so."""

_TRIES = 20


@dataclass(frozen=True, slots=True)
class EngagedStop:
    """One engaged kill switch. `released_by` are those who want it released, of the `people` that it takes."""

    stop: str
    by: str
    why: str
    at: datetime
    people: int
    released_by: tuple[str, ...]


class StopsProjection:
    """One row for each stop that is engaged, and one for each person who wants it released."""

    name = "stops"
    version = 1
    schema = """
        CREATE TABLE stops (
            stop TEXT PRIMARY KEY, by TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL, people INTEGER NOT NULL
        );
        CREATE TABLE stop_releases (stop TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (stop, by));
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.run != STREAM:
            return
        data: Mapping[str, Any] = record.data
        match record.kind:
            case "StopEngaged":
                tx.execute("DELETE FROM stop_releases WHERE stop = ?", (data["stop"],))
                tx.execute(
                    "INSERT INTO stops VALUES (?, ?, ?, ?, ?) ON CONFLICT (stop) DO UPDATE SET"
                    " people = MAX(people, excluded.people)",
                    (data["stop"], data["by"], data["why"], record.at.isoformat(), data["people"]),
                )
            case "StopReleaseWanted":
                tx.execute("INSERT OR IGNORE INTO stop_releases VALUES (?, ?)", (data["stop"], data["by"]))
                _release(tx, data["stop"])


def _release(tx: sqlite3.Connection, stop: str) -> None:
    """Release a stop that enough different people want released."""
    (wanted,) = tx.execute("SELECT COUNT(*) FROM stop_releases WHERE stop = ?", (stop,)).fetchone()
    gone = tx.execute("DELETE FROM stops WHERE stop = ? AND people <= ?", (stop, wanted))
    if gone.rowcount:
        tx.execute("DELETE FROM stop_releases WHERE stop = ?", (stop,))


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
        for _ in range(_TRIES):
            seq = sum(1 for _ in self._journal.read(STREAM)) + 1
            record = encode_record(run=STREAM, seq=seq, at=at, kind=kind, path="", data=data)
            try:
                await self._journal.append(STREAM, seq, [record])
            except SequenceConflict:
                continue  # somebody else engaged or released one at the same moment
            return
        raise RuntimeError("the kill switch was written by others twenty times in a row")
