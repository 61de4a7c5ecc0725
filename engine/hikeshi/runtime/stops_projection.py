"""The kill switch as it is stored: records of a stream of its own in the journal, and a table of what is engaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from hikeshi.journal import Record

__all__ = ["STREAM", "StopsProjection"]

STREAM = "kill-switch"
"""The name under which its records are in the journal. No run is called so."""


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
