"""Tables folded from events in the transaction that stores them: the runs, what they wait for, and who asked what."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from hikeshi.access.projection import AccessProjection
from hikeshi.journal import Projection, Record
from hikeshi.runtime.holds_projection import HoldsProjection
from hikeshi.runtime.limits import LimitsProjection
from hikeshi.runtime.retention_projection import RetentionProjection
from hikeshi.runtime.stops_projection import StopsProjection
from hikeshi.runtime.triggers_projection import TriggersProjection

__all__ = ["HoldsProjection", "KeyTaken", "QuestionsProjection", "RunsProjection", "standard_projections"]


class KeyTaken(Exception):
    """Another run has the key; the event that would have taken it is not stored."""

    def __init__(self, key: str, holder: str) -> None:
        super().__init__(f"run {holder} has {key!r}")
        self.key = key
        self.holder = holder


def standard_projections() -> list[Projection]:
    """Return every table that the engine keeps."""
    return [
        RunsProjection(),
        QuestionsProjection(),
        HoldsProjection(),
        StopsProjection(),
        LimitsProjection(),
        AccessProjection(),
        TriggersProjection(),
        RetentionProjection(),  # the last one: it takes from the tables of all others
    ]


class RunsProjection:
    """One row for each run: what it is, who drives it, what it waits for, how it ended. And who has which key."""

    name = "runs"
    version = 3
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
            failures TEXT NOT NULL DEFAULT '[]',
            parked INTEGER NOT NULL DEFAULT 0,
            wake_at TEXT,
            signals TEXT NOT NULL DEFAULT '[]',
            wants_key TEXT,
            paused INTEGER NOT NULL DEFAULT 0,
            retry_of TEXT,
            reason TEXT
        );
        CREATE INDEX runs_by_start ON runs (started_at);
        CREATE INDEX runs_unfinished ON runs (parked, wake_at) WHERE finished_at IS NULL;
        CREATE TABLE run_unknown (run TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (run, path));
        CREATE TABLE run_keys (key TEXT PRIMARY KEY, run TEXT NOT NULL, path TEXT NOT NULL);
        CREATE INDEX run_keys_by_run ON run_keys (run);
        CREATE TABLE step_wants (run TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (run, path));
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        change = _RUN_CHANGES.get(record.kind)
        if change is not None:
            change(tx, record, record.data)


def _started(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "INSERT INTO runs (run, playbook, mode, status, actor, owner, started_at, wants_key, retry_of, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.run,
            data["playbook"],
            data["mode"],
            "running" if data["key"] is None else "pending",
            data["actor"],
            data["owner"],
            record.at.isoformat(),
            data["key"],
            data["retry_of"],
            data["reason"],
        ),
    )


def _taken_over(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE runs SET owner = ?, parked = 0, wake_at = NULL, signals = '[]',"
        " status = CASE WHEN wants_key IS NULL THEN 'running' ELSE 'pending' END WHERE run = ?",
        (data["owner"], record.run),
    )


def _parked(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE runs SET owner = '', parked = 1, wake_at = ?, signals = ?,"
        " status = CASE WHEN wants_key IS NULL THEN 'waiting' ELSE 'pending' END WHERE run = ?",
        (data["wake_at"], json.dumps(data["signals"]), record.run),
    )


def _key_acquired(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    found = tx.execute("SELECT run, path FROM run_keys WHERE key = ?", (data["key"],)).fetchone()
    if found is not None:
        raise KeyTaken(str(data["key"]), found[0])
    tx.execute("INSERT INTO run_keys VALUES (?, ?, ?)", (data["key"], record.run, record.path))
    if record.path == "":
        tx.execute("UPDATE runs SET wants_key = NULL, status = 'running' WHERE run = ?", (record.run,))
    _key_answered(tx, record, data)


def _playbook_entered(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    if data.get("key") is not None:
        tx.execute("INSERT OR REPLACE INTO step_wants VALUES (?, ?, ?)", (record.run, record.path, data["key"]))


def _key_answered(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM step_wants WHERE run = ? AND path = ?", (record.run, record.path))


def _cancelled(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    """Note that a run goes on to its end, and that only what tidies up waits for keys now; or just a timer fired."""
    if record.path != "":
        return
    tx.execute("UPDATE runs SET paused = 0 WHERE run = ?", (record.run,))
    tx.execute(
        "DELETE FROM step_wants WHERE run = ? AND path NOT LIKE 'finally%' AND path NOT LIKE '%.finally%'",
        (record.run,),
    )


def _playbook_finished(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM run_keys WHERE run = ? AND path = ?", (record.run, record.path))


def _finished(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE runs SET status = ?, finished_at = ?, failures = ?, parked = 0, wake_at = NULL WHERE run = ?",
        (data["status"], record.at.isoformat(), json.dumps(data["failures"]), record.run),
    )
    tx.execute("DELETE FROM run_keys WHERE run = ?", (record.run,))
    tx.execute("DELETE FROM step_wants WHERE run = ?", (record.run,))


_RUN_CHANGES: Mapping[str, Callable[[sqlite3.Connection, Record, Mapping[str, Any]], None]] = {
    "RunStarted": _started,
    "RunTakenOver": _taken_over,
    "RunParked": _parked,
    "KeyAcquired": _key_acquired,
    "KeyRefused": _key_answered,
    "PlaybookEntered": _playbook_entered,
    "PlaybookFinished": _playbook_finished,
    "RunFinished": _finished,
    "ActionUnknown": lambda tx, record, _: _do(
        tx, "INSERT OR IGNORE INTO run_unknown VALUES (?, ?)", (record.run, record.path)
    ),
    "StepResolved": lambda tx, record, _: _do(
        tx, "DELETE FROM run_unknown WHERE run = ? AND path = ?", (record.run, record.path)
    ),
    "PauseRequested": lambda tx, record, _: _do(tx, "UPDATE runs SET paused = 1 WHERE run = ?", (record.run,)),
    "RunResumed": lambda tx, record, _: _do(tx, "UPDATE runs SET paused = 0 WHERE run = ?", (record.run,)),
    "CancelRequested": _cancelled,
    "TimerFired": _cancelled,
}


def _do(tx: sqlite3.Connection, sql: str, parameters: tuple[Any, ...]) -> None:
    tx.execute(sql, parameters)


class QuestionsProjection:
    """What people are asked now, and what became of each message that they sent."""

    name = "questions"
    version = 1
    schema = """
        CREATE TABLE questions (
            run TEXT NOT NULL,
            path TEXT NOT NULL,
            kind TEXT NOT NULL,
            asked_at TEXT NOT NULL,
            due_at TEXT NOT NULL,
            digest TEXT NOT NULL,
            quorum INTEGER NOT NULL,
            votes TEXT NOT NULL DEFAULT '[]',
            asked TEXT NOT NULL,
            PRIMARY KEY (run, path)
        );
        CREATE INDEX questions_by_due ON questions (due_at);
        CREATE TABLE answered (
            message INTEGER PRIMARY KEY,
            run TEXT NOT NULL,
            kind TEXT NOT NULL,
            refused TEXT
        );
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        data: Mapping[str, Any] = record.data
        if data.get("message") is not None and isinstance(data["message"], int):
            tx.execute(
                "INSERT OR IGNORE INTO answered VALUES (?, ?, ?, ?)",
                (data["message"], record.run, record.kind, data.get("reason") if record.kind in _REFUSALS else None),
            )
        change = _QUESTION_CHANGES.get(record.kind)
        if change is not None:
            change(tx, record, data)


_REFUSALS = frozenset({"MessageRefused"})


def _asked(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    shown = {key: data[key] for key in ("question", "by", "shows", "not_known", "fields")}
    tx.execute(
        "INSERT OR REPLACE INTO questions (run, path, kind, asked_at, due_at, digest, quorum, asked)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.run,
            record.path,
            data["kind"],
            record.at.isoformat(),
            data["due_at"],
            data["digest"],
            data["quorum"],
            json.dumps(shown),
        ),
    )


def _escalated(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE questions SET due_at = ?, asked = json_set(asked, '$.by', json(?)) WHERE run = ? AND path = ?",
        (data["due_at"], json.dumps(data["by"]), record.run, record.path),
    )


def _voted(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    where = (record.run, record.path)
    found = tx.execute("SELECT votes, quorum FROM questions WHERE run = ? AND path = ?", where).fetchone()
    if found is None:
        return
    votes = [*json.loads(found[0]), data["by"]]
    if data["decision"] == "reject" or len(votes) >= found[1]:
        _closed(tx, record, data)
    else:
        tx.execute("UPDATE questions SET votes = ? WHERE run = ? AND path = ?", (json.dumps(votes), *where))


def _closed(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM questions WHERE run = ? AND path = ?", (record.run, record.path))


def _all_closed(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    """Close what a cancelled run asks; what it asks in `finally` it goes on asking."""
    if record.path == "":
        tx.execute(
            "DELETE FROM questions WHERE run = ? AND path NOT LIKE 'finally%' AND path NOT LIKE '%.finally%'",
            (record.run,),
        )


_QUESTION_CHANGES: Mapping[str, Callable[[sqlite3.Connection, Record, Mapping[str, Any]], None]] = {
    "QuestionAsked": _asked,
    "QuestionEscalated": _escalated,
    "VoteCast": _voted,
    "FormAnswered": _closed,
    "StepFailed": _closed,
    "StepCancelled": _closed,
    "CancelRequested": _all_closed,
    "TimerFired": _all_closed,
    "RunFinished": _all_closed,
}
