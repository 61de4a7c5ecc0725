"""The ledger as a table: what is contained now, since when, until when, and how it is undone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from hikeshi.journal import ProjectionFailed, Record, encode_plain

__all__ = ["ASKED_FOR", "EXPIRY", "LOOKS_AFTER", "HoldNotKept", "HoldsProjection", "not_kept"]

EXPIRY = "a hold is over"
"""The reason of a run that the engine starts by itself to release a hold whose time is over."""

ASKED_FOR = frozenset({"release-holds", "undo-run"})
"""The playbooks of runs in which somebody releases holds, or undoes what a run did; such a run has a reason."""

_STATUS = {"done": "active", "failed": "void", "unknown": "unknown", "already": "active"}
_FIRST_RETRY_S, _LONGEST_RETRY_S = 300, 3600
_MOST_ASKED = 500  # values of one statement; SQLite allows 999 everywhere
LOOKS_AFTER = timedelta(minutes=5)
"""How long after a product was to lift something somebody looks: products go through theirs every minute or so."""


class HoldNotKept(Exception):
    """A hold that somebody wants to go on is over, or about to end; the event that says so is not stored."""


def not_kept(exc: BaseException | None) -> HoldNotKept | None:
    """Return that a hold is over, or about to end, if an append was refused for it."""
    cause = exc.__cause__ if isinstance(exc, ProjectionFailed) else None
    return cause if isinstance(cause, HoldNotKept) else None


class HoldsProjection:
    """One row for each change of one target, from before it was sent until it is undone."""

    name = "holds"
    version = 8
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
            state TEXT,
            undo TEXT NOT NULL,
            own TEXT,
            status TEXT NOT NULL,
            opened_at TEXT NOT NULL,
            settled_at TEXT,
            expires_at TEXT,
            closed_at TEXT,
            closed_by TEXT,
            passed_to TEXT,
            undoing TEXT,
            releasing TEXT,
            release_run TEXT,
            release_error TEXT,
            release_tries INTEGER NOT NULL DEFAULT 0,
            retry_at TEXT,
            look_at TEXT
        );
        CREATE INDEX holds_by_target ON holds (target, status);
        CREATE INDEX holds_by_run ON holds (run, path);
        CREATE INDEX holds_kept ON holds (opened_at, hold) WHERE status IN ('opening', 'active', 'unknown');
        CREATE INDEX holds_by_expiry ON holds (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;
        CREATE INDEX holds_to_look_at ON holds (look_at) WHERE status = 'active' AND look_at IS NOT NULL;
        CREATE INDEX holds_releasing ON holds (releasing) WHERE releasing IS NOT NULL;
        CREATE INDEX holds_undoing ON holds (undoing) WHERE undoing IS NOT NULL;
        CREATE TABLE releases (run TEXT PRIMARY KEY, overrides INTEGER NOT NULL);
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        data: Mapping[str, Any] = record.data
        match record.kind:
            case "HoldsOpened":
                _opened(tx, record, data)
            case "TargetsSettled":
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
            case "HoldExtended":
                _extended(tx, record, data)
            case "RunStarted" if data["reason"] is not None:
                _release_started(tx, record, data)
            case "ReleaseRequested":
                _release_requested(tx, record, data)
            case "ActionFailed" | "ActionUnknown" if record.path.endswith("]"):
                _release_failed(tx, record, data)
            case "RunFinished":
                _release_ended(tx, record)


_OPEN = (
    "INSERT INTO holds (hold, run, path, action, connector, target, label, prior, undo, own, status, opened_at,"
    " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'opening', ?, ?)"
    " ON CONFLICT (hold) DO UPDATE SET status = 'opening', settled_at = NULL"
)
# One without an inverse is recorded as done, never as held.
_SETTLE = (
    "UPDATE holds SET status = CASE WHEN ? = 'active' AND undo = 'null' THEN 'done' ELSE ? END,"
    " settled_at = ?, state = ?, look_at = ? WHERE hold = ?"
)


def _opened(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note what is about to be changed. What each hold's inverse takes of its own stands beside what all share."""
    each, at = data["each"], record.at.isoformat()
    undo = _text(data["undo"] if each is None else {**data["undo"], "each": each})
    rows = [
        (
            hold["hold"],
            record.run,
            record.path,
            data["action"],
            data["instance"],
            hold["target"],
            hold["label"],
            _text(hold["prior"]),
            undo,
            None if each is None else _text(hold["own"]),
            at,
            data["expires_at"],
        )
        for hold in data["opened"]
    ]
    tx.executemany(_OPEN, rows)


def _text(value: Any) -> str:
    """Return a value of a record as JSON."""
    return encode_plain(value, "a hold").decode()


def _status_of(data: Mapping[str, Any]) -> str:
    """Return what becomes of a hold. What was so already and is not kept here is somebody else's."""
    if data["outcome"] == "already" and data["state"] is None:
        return "void"
    return _STATUS[str(data["outcome"])]


def _settled_row(record: Record, data: Mapping[str, Any], status: str) -> tuple[Any, ...]:
    state = data["state"]
    end = state.get("expires_at") if isinstance(state, Mapping) else None
    look_at = _look_at(end) if isinstance(end, str) else None
    return (status, status, record.at.isoformat(), _text(state), look_at, data["hold"])


def _settled(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note what became of changes, one after the other, looking only once for what else is held."""
    settled = [each for each in data["settled"] if each["hold"] is not None]
    held = _held_among(tx, [str(each["target"]) for each in settled])
    rows: list[tuple[Any, ...]] = []
    for each in settled:
        status = _status_of(each)
        if status == "active":
            if each["target"] in held:
                tx.executemany(_SETTLE, rows)  # what came before it may be among what it closes
                rows.clear()
                status = "done" if _closes_others(tx, record, each) else status
            held.add(each["target"])
        rows.append(_settled_row(record, each, status))
    tx.executemany(_SETTLE, rows)


def _held_among(tx: sqlite3.Connection, targets: Sequence[str]) -> set[str]:
    """Return those of the targets on which there is an active hold."""
    found: set[str] = set()
    for at in range(0, len(targets), _MOST_ASKED):
        asked = targets[at : at + _MOST_ASKED]
        marks = ", ".join("?" * len(asked))
        rows = tx.execute(f"SELECT target FROM holds WHERE status = 'active' AND target IN ({marks})", asked)  # noqa: S608
        found.update(target for (target,) in rows)
    return found


@lru_cache(maxsize=16)  # the changes of one batch end at the same time
def _look_at(end: str) -> str | None:
    """Return when to look whether a product has lifted by itself what it was to lift, or None if it never does."""
    try:
        return (datetime.fromisoformat(end) + LOOKS_AFTER).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None


def _closes_others(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> bool:
    """Close the holds that this change undid; undoing what is held is no hold of its own."""
    closed = tx.execute(
        "UPDATE holds SET status = 'released', closed_at = ?, closed_by = ? WHERE target = ? AND status = 'active'"
        " AND connector = (SELECT connector FROM holds WHERE hold = ?)"
        " AND json_extract(undo, '$.action') = (SELECT action FROM holds WHERE hold = ?)",
        (record.at.isoformat(), record.run, data["target"], data["hold"], data["hold"]),
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
                "UPDATE holds SET releasing = NULL, undoing = NULL, retry_at = NULL, release_tries = release_tries + 1,"
                " expires_at = COALESCE(expires_at, ?) WHERE hold = ?",
                (record.at.isoformat(), data["hold"]),
            )
            return
    tx.execute(
        "UPDATE holds SET status = ?, closed_at = ?, closed_by = ?, passed_to = ?, releasing = NULL, undoing = NULL,"
        " release_error = NULL WHERE hold = ?",
        (data["outcome"], record.at.isoformat(), record.run, data["to"], data["hold"]),
    )


def _extended(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Give a hold another end, unless it has none to give any more: two may have spoken at the same moment."""
    changed = tx.execute(
        "UPDATE holds SET expires_at = ? WHERE hold = ? AND status IN ('active', 'unknown')"
        " AND releasing IS NULL AND undoing IS NULL AND (expires_at IS NULL OR expires_at > ?)",
        (data["expires_at"], data["hold"], record.at.isoformat()),
    )
    if changed.rowcount == 0:
        raise HoldNotKept(f"hold {data['hold']} is over, or is being released now")


def _release_started(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note which holds the engine is about to release, or that somebody is about to name some.

    Two processes that look at the same moment may see different holds that are due: whoever comes second gets none.
    """
    if data["reason"] == EXPIRY:
        for hold in data["inputs"]["holds"]:
            taken = tx.execute(
                "SELECT 1 FROM holds WHERE hold = ? AND (status <> 'active' OR releasing IS NOT NULL"
                " OR undoing IS NOT NULL)",
                (hold,),
            ).fetchone()
            if taken is not None:
                raise HoldNotKept(f"hold {hold} is over, or is being released now")
            tx.execute("UPDATE holds SET releasing = ?, release_run = ? WHERE hold = ?", (record.run, record.run, hold))
    elif data["playbook"] in ASKED_FOR:
        tx.execute("INSERT INTO releases VALUES (?, ?)", (record.run, data["inputs"]["override"] is True))


def _release_requested(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Note what somebody is releasing, so that nothing else begins to."""
    if tx.execute("SELECT 1 FROM releases WHERE run = ?", (record.run,)).fetchone() is None:
        return
    for hold in data["targets"]:
        tx.execute(
            "UPDATE holds SET undoing = ?, release_run = ? WHERE hold = ? AND status = 'active'",
            (record.run, record.run, hold),
        )


def _release_failed(tx: sqlite3.Connection, record: Record, data: Mapping[str, Any]) -> None:
    """Keep why the last try did not release a hold, for whoever looks at what is contained."""
    hold = record.path.rpartition("[")[2].removesuffix("]")
    tx.execute(
        "UPDATE holds SET release_error = ? WHERE hold = ? AND ? IN (releasing, undoing)",
        (data["error"]["message"], hold, record.run),
    )


def _release_ended(tx: sqlite3.Connection, record: Record) -> None:
    """Note when to try again what a run was to release, and did not. What somebody tried, somebody tries again."""
    tx.execute("UPDATE holds SET undoing = NULL WHERE undoing = ?", (record.run,))
    tx.execute("DELETE FROM releases WHERE run = ?", (record.run,))
    rows = tx.execute("SELECT hold, release_tries FROM holds WHERE releasing = ?", (record.run,)).fetchall()
    for hold, tries in rows:
        wait_s = min(_FIRST_RETRY_S * 2**tries, _LONGEST_RETRY_S)
        tx.execute(
            "UPDATE holds SET releasing = NULL, release_tries = release_tries + 1, retry_at = ? WHERE hold = ?",
            ((record.at + timedelta(seconds=wait_s)).isoformat(), hold),
        )
