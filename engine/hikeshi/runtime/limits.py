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
            for use in uses:
                _count(tx, record, use)


def _count(tx: sqlite3.Connection, record: Record, use: Mapping[str, Any]) -> None:
    since = ""  # of a limit without a window everything counts
    if use["within_s"] is not None:
        since = (record.at - timedelta(seconds=use["within_s"])).isoformat()
    (others,) = tx.execute(
        "SELECT COUNT(*) FROM limit_uses WHERE key = ? AND at > ? AND target <> ?", (use["key"], since, use["target"])
    ).fetchone()
    if others + 1 > use["most"] and not use["consented"]:
        raise LimitPassed(use["rule"], use["most"], others)
    # A clock that was set back must not make a later use look older than it is.
    tx.execute(
        "INSERT INTO limit_uses VALUES (?, ?, ?) ON CONFLICT (key, target) DO UPDATE SET at = MAX(at, excluded.at)",
        (use["key"], use["target"], record.at.isoformat()),
    )
