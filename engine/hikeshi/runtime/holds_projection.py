"""The ledger as a table: what is contained now, since when, until when, and how it is undone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hikeshi.journal import Record

__all__ = ["EXPIRY", "HoldsProjection"]

EXPIRY = "a hold is over"
"""The reason of a run that the engine starts by itself to release a hold whose time is over."""

_STATUS = {"done": "active", "failed": "void", "unknown": "unknown", "already": "active"}
_FIRST_RETRY_S, _LONGEST_RETRY_S = 300, 3600


class HoldsProjection:
    """One row for each change of one target, from before it was sent until it is undone."""

    name = "holds"
    version = 4
    schema = """
        CREATE TABLE holds (
            hold TEXT PRIMARY KEY,
            run TEXT NOT NULL,
            path TEXT NOT NULL,
            action TEXT NOT NULL,
            connector TEXT NOT NULL,
            target TEXT NOT NULL,
            label TEXT NOT NULL,
            prior TEXT NOT NULL,
            undo TEXT NOT NULL,
            status TEXT NOT NULL,
            opened_at TEXT NOT NULL,
            settled_at TEXT,
            expires_at TEXT,
            closed_at TEXT,
            passed_to TEXT,
            releasing TEXT,
            release_tries INTEGER NOT NULL DEFAULT 0,
            retry_at TEXT
        );
        CREATE INDEX holds_by_target ON holds (target, status);
        CREATE INDEX holds_by_run ON holds (run, path);
        CREATE INDEX holds_by_expiry ON holds (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;
        CREATE INDEX holds_releasing ON holds (releasing) WHERE releasing IS NOT NULL;
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        data: Mapping[str, Any] = record.data
        match record.kind:
            case "HoldOpened":
                _opened(tx, record, data)
            case "TargetSettled" if data["hold"] is not None:
                _settled(tx, record, data)
            case "StepResolved":
                _resolved(tx, record, data)
            case "UndoSet" if data["error"] is None:
                tx.execute(
                    "UPDATE holds SET undo = ? WHERE run = ? AND path = ?",
                    (json.dumps(data["undo"]), record.run, record.path),
                )
            case "HoldReleased":
                _released(tx, record, data)
            case "RunStarted" if data["reason"] == EXPIRY:
                for hold in data["inputs"]["holds"]:
                    tx.execute("UPDATE holds SET releasing = ? WHERE hold = ?", (record.run, hold))
            case "RunFinished":
                _release_ended(tx, record)


def _opened(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "INSERT INTO holds (hold, run, path, action, connector, target, label, prior, undo, status, opened_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'opening', ?, ?)"
        " ON CONFLICT (hold) DO UPDATE SET status = 'opening', settled_at = NULL",
        (
            data["hold"],
            record.run,
            record.path,
            data["action"],
            data["instance"],
            data["target"],
            data["label"],
            json.dumps(data["prior"]),
            json.dumps(data["undo"]),
            record.at.isoformat(),
            data["expires_at"],
        ),
    )


def _settled(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note what became of a change. One without an inverse is recorded as done, never as held."""
    status, at = _STATUS[str(data["outcome"])], record.at.isoformat()
    if status == "active" and _closes_others(tx, data, at):
        status = "done"
    tx.execute(
        "UPDATE holds SET status = CASE WHEN ? = 'active' AND undo = 'null' THEN 'done' ELSE ? END,"
        " settled_at = ? WHERE hold = ?",
        (status, status, at, data["hold"]),
    )


def _closes_others(tx: sqlite3.Connection, data: Mapping[str, Any], at: str) -> bool:
    """Close the holds that this change undid; undoing what is held is no hold of its own."""
    closed = tx.execute(
        "UPDATE holds SET status = 'released', closed_at = ? WHERE target = ? AND status = 'active'"
        " AND connector = (SELECT connector FROM holds WHERE hold = ?)"
        " AND json_extract(undo, '$.action') = (SELECT action FROM holds WHERE hold = ?)",
        (at, data["target"], data["hold"], data["hold"]),
    )
    return closed.rowcount > 0


def _resolved(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE holds SET settled_at = ?,"
        " status = CASE WHEN NOT ? THEN 'void' WHEN undo = 'null' THEN 'done' ELSE 'active' END"
        " WHERE run = ? AND path = ? AND status = 'unknown'",
        (record.at.isoformat(), data["happened"], record.run, record.path),
    )


def _released(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Close a hold. One that passes on to another is closed only if that one still keeps the target as it is.

    Two that end at the same moment would else pass on to each other, and nobody would undo anything.
    """
    if data["outcome"] == "passed_on":
        keeps = tx.execute("SELECT 1 FROM holds WHERE hold = ? AND status = 'active'", (data["to"],)).fetchone()
        if keeps is None:
            tx.execute(
                "UPDATE holds SET releasing = NULL, retry_at = NULL, release_tries = release_tries + 1,"
                " expires_at = COALESCE(expires_at, ?) WHERE hold = ?",
                (record.at.isoformat(), data["hold"]),
            )
            return
    tx.execute(
        "UPDATE holds SET status = ?, closed_at = ?, passed_to = ?, releasing = NULL WHERE hold = ?",
        (data["outcome"], record.at.isoformat(), data["to"], data["hold"]),
    )


def _release_ended(tx: sqlite3.Connection, record: Record) -> None:
    """Note when to try again what a run was to release, and did not."""
    rows = tx.execute("SELECT hold, release_tries FROM holds WHERE releasing = ?", (record.run,)).fetchall()
    for hold, tries in rows:
        wait_s = min(_FIRST_RETRY_S * 2**tries, _LONGEST_RETRY_S)
        tx.execute(
            "UPDATE holds SET releasing = NULL, release_tries = release_tries + 1, retry_at = ? WHERE hold = ?",
            ((record.at + timedelta(seconds=wait_s)).isoformat(), hold),
        )
