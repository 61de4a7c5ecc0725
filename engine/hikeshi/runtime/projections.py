"""Tables folded from events in the transaction that stores them: the runs, and the ledger of holds."""

from __future__ import annotations

import json
import sqlite3

from hikeshi.journal import Record

__all__ = ["HoldsProjection", "RunsProjection"]


_HOLD_STATUS = {"done": "active", "failed": "void", "unknown": "unknown", "already": "void"}


class RunsProjection:
    """One row for each run: what it is, who owns it, how it ended."""

    name = "runs"
    version = 1
    schema = """
        CREATE TABLE runs (
            run TEXT PRIMARY KEY,
            playbook TEXT NOT NULL,
            mode TEXT NOT NULL,
            status TEXT NOT NULL,
            actor TEXT NOT NULL,
            owner TEXT NOT NULL,
            started_at TEXT NOT NULL,
            finished_at TEXT,
            failures TEXT NOT NULL DEFAULT '[]'
        );
        CREATE INDEX runs_by_start ON runs (started_at);
        CREATE INDEX runs_unfinished ON runs (status) WHERE finished_at IS NULL;
        CREATE TABLE run_unknown (run TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (run, path));
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        data = record.data
        match record.kind:
            case "RunStarted":
                row = (record.run, data["playbook"], data["mode"], data["actor"], data["owner"], record.at.isoformat())
                tx.execute(
                    "INSERT INTO runs (run, playbook, mode, status, actor, owner, started_at)"
                    " VALUES (?, ?, ?, 'running', ?, ?, ?)",
                    row,
                )
            case "RunTakenOver":
                tx.execute("UPDATE runs SET owner = ? WHERE run = ?", (data["owner"], record.run))
            case "RunFinished":
                tx.execute(
                    "UPDATE runs SET status = ?, finished_at = ?, failures = ? WHERE run = ?",
                    (data["status"], record.at.isoformat(), json.dumps(data["failures"]), record.run),
                )
            case "ActionUnknown":
                tx.execute("INSERT OR IGNORE INTO run_unknown VALUES (?, ?)", (record.run, record.path))
            case "StepResolved":
                tx.execute("DELETE FROM run_unknown WHERE run = ? AND path = ?", (record.run, record.path))


class HoldsProjection:
    """The ledger: one row for each change of one target, from before it was sent."""

    name = "holds"
    version = 2
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
            settled_at TEXT
        );
        CREATE INDEX holds_by_target ON holds (target, status);
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        data = record.data
        if record.kind == "HoldOpened":
            tx.execute(
                "INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'opening', ?, NULL)"
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
                ),
            )
        elif record.kind == "StepResolved":
            tx.execute(
                "UPDATE holds SET settled_at = ?,"
                " status = CASE WHEN NOT ? THEN 'void' WHEN undo = 'null' THEN 'done' ELSE 'active' END"
                " WHERE run = ? AND path = ? AND status = 'unknown'",
                (record.at.isoformat(), data["happened"], record.run, record.path),
            )
        elif record.kind == "TargetSettled" and data["hold"] is not None:
            # A change without an inverse is recorded as done, never as held.
            status = _HOLD_STATUS[str(data["outcome"])]
            tx.execute(
                "UPDATE holds SET status = CASE WHEN ? = 'active' AND undo = 'null' THEN 'done' ELSE ? END,"
                " settled_at = ? WHERE hold = ?",
                (status, status, record.at.isoformat(), data["hold"]),
            )
