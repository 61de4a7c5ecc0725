"""What triggers have seen, decided and begun, as tables. Each event is a stream of its own in the journal.

The rule: who asks whether something was seen before asks by writing. What is refused here is undone with its append, so
two processes that ask at the same moment can't both be told that it is new.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hikeshi.journal import Record

__all__ = ["DedupeTaken", "EventSeen", "TriggersProjection"]


class EventSeen(Exception):
    """Something that means the same event is stored already; this one is not stored."""

    def __init__(self, event: str) -> None:
        super().__init__(f"it was received before, as {event}")
        self.event = event


class DedupeTaken(Exception):
    """Within the window another event gave the same value; the judgement that would start a run is not stored."""

    def __init__(self, playbook: str, trigger: str, run: str) -> None:
        super().__init__(f"{playbook}/{trigger}: run {run} was started for the same value")
        self.playbook = playbook
        self.trigger = trigger
        self.run = run


class TriggersProjection:
    """Events, what each trigger made of them, runs that were decided and not begun, prepared plans, known items."""

    name = "triggers"
    version = 4
    schema = """
        CREATE TABLE trigger_events (
            event TEXT PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL,
            judged INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX trigger_events_open ON trigger_events (judged) WHERE judged = 0;
        CREATE INDEX trigger_events_by_source ON trigger_events (source, at);
        CREATE TABLE trigger_event_ids (
            source TEXT NOT NULL, id TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (source, id)
        ) WITHOUT ROWID;
        CREATE TABLE trigger_fires (
            event TEXT NOT NULL, playbook TEXT NOT NULL, trigger TEXT NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL,
            outcome TEXT NOT NULL, run TEXT, reason TEXT, PRIMARY KEY (event, playbook, trigger)
        );
        CREATE INDEX trigger_fires_by_trigger ON trigger_fires (playbook, trigger, at);
        CREATE INDEX trigger_fires_by_time ON trigger_fires (at);
        CREATE INDEX trigger_fires_by_run ON trigger_fires (run);
        CREATE TABLE trigger_values (
            playbook TEXT NOT NULL, trigger TEXT NOT NULL, value TEXT NOT NULL, at TEXT NOT NULL, run TEXT NOT NULL,
            PRIMARY KEY (playbook, trigger, value)
        ) WITHOUT ROWID;
        CREATE TABLE trigger_starts (
            run TEXT PRIMARY KEY, event TEXT NOT NULL, playbook TEXT NOT NULL, trigger TEXT NOT NULL
        );
        CREATE TABLE trigger_plans (
            run TEXT PRIMARY KEY, event TEXT NOT NULL, playbook TEXT NOT NULL, trigger TEXT NOT NULL
        );
        CREATE TABLE trigger_offers (
            plan TEXT PRIMARY KEY, event TEXT NOT NULL, playbook TEXT NOT NULL, trigger TEXT NOT NULL, by TEXT NOT NULL,
            digest TEXT NOT NULL, document TEXT NOT NULL, offered_at TEXT NOT NULL, expires_at TEXT NOT NULL,
            became TEXT, who TEXT, reason TEXT, run TEXT
        );
        CREATE TABLE trigger_asks (
            source TEXT NOT NULL, action TEXT NOT NULL, event TEXT NOT NULL, at TEXT NOT NULL, run TEXT NOT NULL,
            PRIMARY KEY (source, action, event, run)
        ) WITHOUT ROWID;
        CREATE TABLE trigger_schedules (
            playbook TEXT NOT NULL, trigger TEXT NOT NULL, definition TEXT NOT NULL, since TEXT NOT NULL, last_due TEXT,
            PRIMARY KEY (playbook, trigger)
        ) WITHOUT ROWID;
        CREATE TABLE trigger_polls (
            playbook TEXT NOT NULL, trigger TEXT NOT NULL, definition TEXT NOT NULL, since TEXT NOT NULL,
            PRIMARY KEY (playbook, trigger)
        ) WITHOUT ROWID;
        CREATE TABLE trigger_poll_items (
            playbook TEXT NOT NULL, trigger TEXT NOT NULL, item TEXT NOT NULL, PRIMARY KEY (playbook, trigger, item)
        ) WITHOUT ROWID;
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        change = _CHANGES.get(record.kind)
        if change is not None:
            change(tx, record, record.data)


def _received(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    for other in data["also"]:
        found = tx.execute(
            "SELECT event FROM trigger_event_ids WHERE source = ? AND id = ?", (data["source"], other)
        ).fetchone()
        if found is not None:
            raise EventSeen(found[0])
        tx.execute("INSERT INTO trigger_event_ids VALUES (?, ?, ?)", (data["source"], other, record.run))
    tx.execute(
        "INSERT INTO trigger_events (event, source, id, at) VALUES (?, ?, ?, ?)",
        (record.run, data["source"], data["id"], record.at.isoformat()),
    )
    if data["due_at"] is not None:
        playbook, trigger = data["for"][0]
        tx.execute(
            "UPDATE trigger_schedules SET last_due = MAX(COALESCE(last_due, ''), ?) WHERE playbook = ? AND trigger = ?",
            (data["due_at"], playbook, trigger),
        )


def _judged(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    source, received_at = tx.execute("SELECT source, at FROM trigger_events WHERE event = ?", (record.run,)).fetchone()
    tx.execute("UPDATE trigger_events SET judged = 1 WHERE event = ?", (record.run,))
    for each in data["outcomes"]:
        own = (each["playbook"], each["trigger"])
        if each["dedupe"] is not None:
            _compare(tx, own, each, received_at)
        tx.execute(
            "INSERT INTO trigger_fires VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (record.run, *own, source, record.at.isoformat(), each["outcome"], each["run"], each["reason"]),
        )
        if each["outcome"] in _BEGINS:
            tx.execute("INSERT INTO trigger_starts VALUES (?, ?, ?, ?)", (each["run"], record.run, *own))
        if each["outcome"] == "planned":
            tx.execute("INSERT INTO trigger_plans VALUES (?, ?, ?, ?)", (each["run"], record.run, *own))


_BEGINS = frozenset({"started", "planned"})


def _compare(tx: sqlite3.Connection, own: tuple[str, str], each: Mapping[str, Any], received_at: str) -> None:
    """Take a value for its window, or note that it was taken. `received_at` is when its event came."""
    found = tx.execute(
        "SELECT at, run FROM trigger_values WHERE playbook = ? AND trigger = ? AND value = ?", (*own, each["dedupe"])
    ).fetchone()
    if each["outcome"] in _BEGINS:
        if found is not None and received_at < _later(found[0], each["window_s"]):
            raise DedupeTaken(*own, found[1])
        tx.execute(
            "INSERT OR REPLACE INTO trigger_values VALUES (?, ?, ?, ?, ?)",
            (*own, each["dedupe"], received_at, each["run"]),
        )
    elif each["outcome"] == "deduplicated" and found is not None and received_at < found[0]:
        # The clock was set back. From now on the window counts by the new time: a clock that was wrong by years must
        # not keep a value for years.
        tx.execute(
            "UPDATE trigger_values SET at = ? WHERE playbook = ? AND trigger = ? AND value = ?",
            (received_at, *own, each["dedupe"]),
        )


def _later(at: str, seconds: float) -> str:
    return (datetime.fromisoformat(at) + timedelta(seconds=seconds)).isoformat()


def _run_started(tx: sqlite3.Connection, record: Record, _: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM trigger_starts WHERE run = ?", (record.run,))


def _action_requested(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note what an alert asks for, if one started the run: the breaker counts it."""
    tx.execute(
        "INSERT OR IGNORE INTO trigger_asks SELECT f.source, ?, f.event, e.at, f.run FROM trigger_fires f"
        " JOIN trigger_events e USING (event) WHERE f.run = ? AND f.outcome = 'started'",
        (data["action"], record.run),
    )


def _start_refused(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    _settle_start(tx, data["run"], "refused", data["reason"], None)


def _start_joined(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    _settle_start(tx, data["run"], "joined", "a run with the same inputs was under way", data["joined"])


def _settle_start(tx: sqlite3.Connection, run: str, outcome: str, reason: str, joined: str | None) -> None:
    tx.execute("DELETE FROM trigger_starts WHERE run = ?", (run,))
    tx.execute("DELETE FROM trigger_plans WHERE run = ?", (run,))
    tx.execute(
        "UPDATE trigger_fires SET outcome = ?, reason = ?, run = ? WHERE run = ?", (outcome, reason, joined, run)
    )
    # What was never begun keeps no other event from starting; what was joined is the run that its value stands for.
    if joined is None:
        tx.execute("DELETE FROM trigger_values WHERE run = ?", (run,))
    else:
        tx.execute("UPDATE trigger_values SET run = ? WHERE run = ?", (joined, run))


def _plan_offered(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM trigger_plans WHERE run = ?", (data["plan"],))
    tx.execute(
        "INSERT INTO trigger_offers (plan, event, playbook, trigger, by, digest, document, offered_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            data["plan"],
            record.run,
            data["playbook"],
            data["trigger"],
            json.dumps(data["by"]),
            data["digest"],
            data["document"],
            record.at.isoformat(),
            data["expires_at"],
        ),
    )


def _plan_not_offered(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    tx.execute("DELETE FROM trigger_plans WHERE run = ?", (data["plan"],))
    tx.execute("UPDATE trigger_fires SET outcome = 'refused', reason = ? WHERE run = ?", (data["reason"], data["plan"]))


def _offer_declined(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "UPDATE trigger_offers SET became = 'declined', who = ?, reason = ? WHERE plan = ? AND became IS NULL",
        (data["by"], data["reason"], data["plan"]),
    )


def _plan_taken(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note that a plan is used up, by whatever way that was."""
    tx.execute(
        "UPDATE trigger_offers SET became = 'accepted', who = ?, run = ? WHERE plan = ?",
        (data["actor"], data["run"], record.run),
    )


def _schedule_known(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    tx.execute(
        "INSERT OR REPLACE INTO trigger_schedules VALUES (?, ?, ?, ?, NULL)",
        (data["playbook"], data["trigger"], data["definition"], record.at.isoformat()),
    )


def _schedule_ended(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    own = (data["playbook"], data["trigger"])
    tx.execute("DELETE FROM trigger_schedules WHERE playbook = ? AND trigger = ?", own)


def _poll_began(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    own = (data["playbook"], data["trigger"])
    tx.execute("DELETE FROM trigger_poll_items WHERE playbook = ? AND trigger = ?", own)
    tx.execute(
        "INSERT OR REPLACE INTO trigger_polls VALUES (?, ?, ?, ?)",
        (*own, data["definition"], record.at.isoformat()),
    )


def _items_known(tx: sqlite3.Connection, _: Record, data: Mapping[str, Any]) -> None:
    own = (data["playbook"], data["trigger"])
    tx.executemany(
        "INSERT OR IGNORE INTO trigger_poll_items VALUES (?, ?, ?)", [(*own, each) for each in data["items"]]
    )


_CHANGES: Mapping[str, Callable[[sqlite3.Connection, Record, Mapping[str, Any]], None]] = {
    "EventReceived": _received,
    "EventJudged": _judged,
    "RunStarted": _run_started,
    "ActionRequested": _action_requested,
    "StartRefused": _start_refused,
    "StartJoined": _start_joined,
    "PlanOffered": _plan_offered,
    "PlanNotOffered": _plan_not_offered,
    "OfferDeclined": _offer_declined,
    "PlanTaken": _plan_taken,
    "ScheduleKnown": _schedule_known,
    "ScheduleEnded": _schedule_ended,
    "PollBegan": _poll_began,
    "PollItemsKnown": _items_known,
}
