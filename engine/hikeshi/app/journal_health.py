"""How the journal of a project stands, and what it says is left undone. Reads only, and creates nothing."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from hikeshi.app.finding import Finding, fine, problem, warning
from hikeshi.journal import JournalBroken, SqliteJournal, decode_record
from hikeshi.journal.roll_call import living_owners

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi

__all__ = [
    "check_anchors",
    "check_clock",
    "check_database",
    "check_holds",
    "check_runs",
    "check_signing",
    "check_stops",
    "open_to_read",
]

_LONG_LOG_BYTES: Final = 256 * 1024 * 1024
_BEHIND: Final = timedelta(seconds=2)
_LATE: Final = timedelta(minutes=10)
_LOOKED_AT: Final = 1000
_SHOWN: Final = 5
_HOLDS_LOOKED_AT: Final = 200
_MOST_FOUND: Final = 10_000
_NULL_IN: Final = re.compile(r"NULL value in ([^.]+)\.(.+)")


def check_database(app: Hikeshi) -> Iterator[Finding]:
    """Say whether the file is sound, and has a log of a usual length."""
    path = app.journal_path
    size = path.stat().st_size
    try:
        found = _quick_check(app)
    except sqlite3.Error as exc:
        found = [type(exc).__name__]
    if found != ["ok"]:
        step = "keep a copy of it and its -wal as they are, then restore a backup: hikeshi restore"
        yield problem("database", f"the file is damaged: {found[0][:200]}", str(path), step)
    else:
        records = app.journal.size()
        yield fine("database", f"sound; {records:,} records, {size // 1024:,} KiB", str(path))
    log = path.with_name(path.name + "-wal")
    log_bytes = log.stat().st_size if log.exists() else 0
    if log_bytes > _LONG_LOG_BYTES:
        text = f"its write-ahead log has grown to {log_bytes // (1024 * 1024)} MiB"
        yield warning("database", text, str(log), "find who keeps an old state of it open (lsof), and end that")


def _quick_check(app: Hikeshi) -> list[str]:
    from hikeshi.journal.database import connect_reader
    from hikeshi.journal.file import JournalFile

    with closing(connect_reader(JournalFile.at(app.journal_path), 5.0)) as connection:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_MOST_FOUND})")]
        return [text for text in found if text == "ok" or not _is_imagined(connection, text)] or ["ok"]


def _is_imagined(connection: sqlite3.Connection, text: str) -> bool:
    """Say whether SQLite sees a NULL where none is: some versions do, in tables WITHOUT ROWID."""
    named = _NULL_IN.fullmatch(text)
    if named is None:
        return False
    table, column = (part.replace('"', '""') for part in named.groups())
    row = connection.execute(f'SELECT 1 FROM "{table}" WHERE "{column}" IS NULL LIMIT 1').fetchone()  # noqa: S608 - quoted
    return row is None


def check_signing(app: Hikeshi) -> Iterator[Finding]:
    """Say whether the key that signs the log can be used, and what is not signed yet."""
    from hikeshi.audit.errors import KeyNotUsable
    from hikeshi.audit.keys import KEY_FILE, load_key

    key = app.config.state_folder / KEY_FILE
    last = app.journal.last_checkpoint()
    try:
        load_key(key)
    except FileNotFoundError:
        if last is not None:
            step = "restore it from a backup; if it is lost: hikeshi audit rotate --lost"
            yield problem("signing key", "the key that signed the log is gone", str(key), step)
            return
    except KeyNotUsable as exc:
        yield problem("signing key", exc.what, exc.where, exc.what_next)
        return
    unsigned = app.journal.size() - (0 if last is None else last.size)
    if last is None:
        text = f"{unsigned} records, and no checkpoint was ever made"
        if unsigned:
            yield warning("checkpoint", text, str(key), "sign the log: hikeshi audit checkpoint")
        return
    shown = f"signed up to record {last.size:,}, at {_minutes(last.at)}"
    if unsigned < 0:
        step = "keep the file as it is: hikeshi audit verify"
        yield problem("checkpoint", f"{-unsigned} records that were signed are gone", str(app.journal_path), step)
    elif unsigned and app.clock.now() - last.at > timedelta(seconds=2 * app.config.audit.checkpoint_after_idle_s):
        step = "let somebody work (hikeshi serve, or work --stay), or: hikeshi audit checkpoint"
        yield warning("checkpoint", f"{shown}; {unsigned} records since are not", str(key), step)
    else:
        yield fine("checkpoint", shown, str(key))


def check_anchors(app: Hikeshi) -> Iterator[Finding]:
    """Say which anchors have got the last checkpoint, and when. Nothing is sent."""
    settings = app.config.audit.anchors
    if not settings:
        step = "name one under 'audit' in hikeshi.yaml: docs/audit.md"
        text = "no anchor: whoever has this machine can cut off the end of the log, and nobody can tell"
        yield warning("anchors", text, "hikeshi.yaml", step)
        return
    last = app.journal.last_checkpoint()
    signed = 0 if last is None else last.size
    for name, size in app.audit.state()["anchors"].items():
        rows = app.journal.query("SELECT max(at) AS at FROM receipts WHERE anchor = ?", (name,))
        at = None if rows[0]["at"] is None else datetime.fromisoformat(rows[0]["at"])
        if size < signed:
            since = "it never got one" if at is None else f"its last is of {_minutes(at)}, over {size} records"
            text = f"the checkpoint over {signed} records did not reach it; {since}"
            yield problem("anchors", text, name, "see whether it can be reached, then: hikeshi audit checkpoint")
        elif at is not None:
            yield fine("anchors", f"has the last checkpoint, since {_minutes(at)}", name)
    for each in settings:
        if each.type == "file" and not os.access(each.values["path"].parent, os.W_OK):
            path = str(each.values["path"].parent)
            yield problem("anchors", "its folder is not there, or can't be written", path, "mount it, or mend its mode")


def check_clock(app: Hikeshi) -> Iterator[Finding]:
    """Compare the clock on the wall with the times of the newest records."""
    rows = app.journal.query("SELECT encoded FROM records ORDER BY id DESC LIMIT ?", (_LOOKED_AT,))
    try:
        times = [decode_record(bytes(row["encoded"])).at for row in rows if row["encoded"]]
    except JournalBroken as exc:
        yield problem("clock", exc.what, str(app.journal_path), "hikeshi audit verify")
        return
    if not times:
        return
    behind = max(times) - app.clock.now()
    if behind > _BEHIND:
        text = f"the clock is {_span(behind)} behind the newest record: it was set back, or that one was written wrong"
        yield problem("clock", text, str(app.journal_path), "set the clock right before anything runs: deadlines hang")
        return
    back = max((later - earlier for later, earlier in zip(times[1:], times, strict=False)), default=timedelta(0))
    if back > timedelta(minutes=1):
        text = f"among the last {len(times)} records the clock was set back by {_span(back)}"
        yield warning("clock", text, str(app.journal_path), "see who sets the clock of this machine")
    else:
        yield fine("clock", "goes on from the newest records", str(app.journal_path))


def check_runs(app: Hikeshi) -> Iterator[Finding]:
    """Say which runs are stuck: left by a process that is gone, of unknown outcome, paused, or due for long."""
    living = set(living_owners(app.config.state_folder / "owners"))
    rows = app.journal.query("SELECT run, owner FROM runs WHERE finished_at IS NULL AND parked = 0 AND mode = 'live'")
    gone = [str(row["run"]) for row in rows if row["owner"] not in living]
    stuck = app.stuck()
    unknown = [f"{each['run']} {each['path']}" for each in stuck if each["kind"] == "resolve"]
    paused = [str(each["run"]) for each in stuck if each["kind"] == "resume"]
    late_at = (app.clock.now() - _LATE).isoformat()
    late = app.journal.query(
        "SELECT run FROM runs WHERE finished_at IS NULL AND parked = 1 AND NOT paused AND wake_at <= ?", (late_at,)
    )
    if gone:
        yield problem("runs", f"{len(gone)} were interrupted: {_some(gone)}", "hikeshi runs", "hikeshi work")
    if unknown:
        text = f"{len(unknown)} changes are of unknown outcome: {_some(unknown)}"
        yield problem("runs", text, "hikeshi waiting", "look in the product, then: hikeshi resolve")
    if late:
        text = f"{len(late)} are due for more than {_span(_LATE)}: {_some([str(row['run']) for row in late])}"
        yield problem("runs", text, "hikeshi runs", "nobody works: hikeshi serve, or hikeshi work --stay")
    if paused:
        yield warning("runs", f"{len(paused)} are paused: {_some(paused)}", "hikeshi waiting", "hikeshi resume RUN")
    if not (gone or unknown or late or paused):
        open_runs = app.journal.query("SELECT count(*) AS n FROM runs WHERE finished_at IS NULL")[0]["n"]
        yield fine("runs", f"none is stuck; {open_runs} are not over")


def check_holds(app: Hikeshi) -> Iterator[Finding]:
    """Say what is contained for longer than it should be, or could not be released."""
    now, tally = app.clock.now(), app.tally()
    first = app.first_holds(_HOLDS_LOOKED_AT)
    if tally.overdue:
        overdue = [f"{each.hold} ({each.label})" for each in first if each.is_overdue(now)]
        text = f"{tally.overdue} should have ended: {_some(overdue, tally.overdue)}"
        step = "let somebody work (hikeshi serve, or work --stay), or: hikeshi release HOLD"
        yield problem("holds", text, "hikeshi holds", step)
    if tally.release_failed:
        failed = [each for each in first if each.release_error is not None]
        text = f"{tally.release_failed} could not be released"
        if failed:  # unless all that was looked at is overdue
            text = f"{text}: {_some([each.hold for each in failed], tally.release_failed)}"
        see = f"hikeshi log {failed[0].release_run}" if failed else "hikeshi holds"
        yield problem("holds", text, "hikeshi holds", f"see why: {see}")
    if not (tally.overdue or tally.release_failed):
        yield fine("holds", f"{tally.kept} kept, none of them overdue")


def check_stops(app: Hikeshi) -> Iterator[Finding]:
    """Say what the kill switch holds back now."""
    for each in app.kill_switch.engaged():
        text = f"{each.stop} is stopped by {each.by}: no such change starts"
        yield warning("kill switch", text, "hikeshi stops", f"when it may go on: hikeshi release-stop {each.stop}")


def open_to_read(app: Hikeshi) -> None:
    """Let a project read its journal, and neither create nor write it. Raises JournalError."""
    from hikeshi.runtime.projections import standard_projections

    app.journal = SqliteJournal.open(app.journal_path, standard_projections(), read_only=True)


def _some(names: Sequence[str], count: int | None = None) -> str:
    """Name the first ones; `count` is how many there are, if these are not all."""
    shown = names[:_SHOWN]
    left = (len(names) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left > 0 else "")


def _minutes(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    from hikeshi.playbook.durations import format_duration

    return format_duration(max(1, round(span.total_seconds())))
