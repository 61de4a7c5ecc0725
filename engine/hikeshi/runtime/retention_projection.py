"""What was pruned, as a table; and out of every other table what a run that was pruned had left there.

The rule: after the record that says so, every table is what it would be if the run had never been. So it makes no
difference whether the tables were filled with the run's records, or anew without them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from hikeshi.journal import Record
from hikeshi.journal.pruning import RETENTION, RUNS_PRUNED, pruned_by

__all__ = ["RetentionProjection"]

_COLUMNS = (
    ("runs", "run"),
    ("run_unknown", "run"),
    ("run_keys", "run"),
    ("step_wants", "run"),
    ("questions", "run"),
    ("answered", "run"),
    ("holds", "run"),
    ("releases", "run"),
    ("trigger_starts", "run"),
    ("trigger_plans", "run"),
    ("trigger_offers", "plan"),
)
"""The tables that keep something of a run for as long as the run is known, and the column that names it."""


class RetentionProjection:
    """One row for each run that was pruned. It stands behind all others, since it takes from their tables."""

    name = "retention"
    version = 1
    schema = """
        CREATE TABLE pruned_runs (
            run TEXT PRIMARY KEY, seq INTEGER NOT NULL, records INTEGER NOT NULL, hashes TEXT NOT NULL,
            pack TEXT NOT NULL, sha256 TEXT NOT NULL, by TEXT NOT NULL, at TEXT NOT NULL
        );
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.kind != RUNS_PRUNED or record.run != RETENTION:
            return
        data: Mapping[str, Any] = record.data
        for each in pruned_by(record):
            said = (data["pack"], data["sha256"], data["by"], record.at.isoformat())
            row = (each.run, record.seq, each.records, each.hashes, *said)
            tx.execute("INSERT OR IGNORE INTO pruned_runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            for table, column in _COLUMNS:
                tx.execute(f"DELETE FROM {table} WHERE {column} = ?", (each.run,))  # noqa: S608 - our own names
        for key in data["limits"]:
            tx.execute("DELETE FROM limit_uses WHERE key = ? AND at < ?", (key, data["before"]))
