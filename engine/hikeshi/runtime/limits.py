"""How many distinct targets were changed under each limit, counted in the transaction that lets one more be changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hikeshi.journal import Record

__all__ = ["LimitPassed", "LimitsProjection"]


class LimitPassed(Exception):
    """A target would be one too many; the event that would have counted it is not stored."""

    def __init__(self, rule: str, most: int, counted: int) -> None:
        super().__init__(f"{rule}: {counted} distinct targets count already, and {most} are allowed")
        self.rule = rule
        self.most = most
        self.counted = counted


class LimitsProjection:
    """One row for each target under each limit, with the last time it counted.

    What counts stays counted: a target that was let through may have been changed, even if nobody knows.
    """

    name = "limits"
    version = 1
    schema = """
        CREATE TABLE limit_uses (
            key TEXT NOT NULL, target TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (key, target)
        );
        CREATE INDEX limit_uses_by_time ON limit_uses (key, at);
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.kind == "TargetsCounted":
            uses: list[Mapping[str, Any]] = record.data["uses"]  # type: ignore[assignment]  # as we wrote it
            counts: dict[str, _Counted] = {}
            for use in uses:
                since = ""  # of a limit without a window everything counts
                if use["within_s"] is not None:
                    since = (record.at - timedelta(seconds=use["within_s"])).isoformat()
                counted = counts.get(use["key"])
                if counted is None or counted.since != since:
                    counted = counts[use["key"]] = _Counted(tx, use["key"], since)
                counted.add(use, record.at.isoformat())


class _Counted:
    """How many targets count under one key, within one record: a batch of thousands must not count all for each."""

    def __init__(self, tx: sqlite3.Connection, key: str, since: str) -> None:
        self.since = since
        self._tx, self._key = tx, key
        (self._distinct,) = tx.execute(
            "SELECT COUNT(*) FROM limit_uses WHERE key = ? AND at > ?", (key, since)
        ).fetchone()

    def add(self, use: Mapping[str, Any], at: str) -> None:
        """Count one target, at a time as text in UTC. Raises LimitPassed."""
        found = self._tx.execute(
            "SELECT at FROM limit_uses WHERE key = ? AND target = ?", (self._key, use["target"])
        ).fetchone()
        was_counted = found is not None and found[0] > self.since
        others = self._distinct - was_counted
        if others + 1 > use["most"] and not use["consented"]:
            raise LimitPassed(use["rule"], use["most"], others)
        # A clock that was set back must not make a later use look older than it is.
        self._tx.execute(
            "INSERT INTO limit_uses VALUES (?, ?, ?) ON CONFLICT (key, target) DO UPDATE SET at = MAX(at, excluded.at)",
            (self._key, use["target"], at),
        )
        self._distinct = others + (was_counted or at > self.since)
