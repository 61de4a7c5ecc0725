"""Messages and signals in a file: durable, seen by other processes, and refused with the errors that appends have."""

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.journal import (
    JSON,
    JournalBroken,
    JournalError,
    JournalLocked,
    JournalUnavailable,
    Record,
    SqliteJournal,
    verify,
)
from hikeshi.journal.statements import statements

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

Start = Callable[..., subprocess.Popen[str]]
Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]
Write = Callable[..., Awaitable[int]]

POSTER = """
import asyncio, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from hashlib import sha256
from hikeshi.journal import JournalUnavailable, SqliteJournal, encode_record

async def post(journal, filling=""):
    data = {"filling": filling}
    print(await journal.post("a", "Noted", data, sender="x", at=datetime.now(UTC)), flush=True)
    print(await journal.signal("s", data, source="x", at=datetime.now(UTC)), flush=True)
"""

POST_FOR_EVER = (
    POSTER
    + """
async def main():
    journal = SqliteJournal.open(Path(sys.argv[1]))
    while True:
        await post(journal)

asyncio.run(main())
"""
)

FULL_DISK = (
    POSTER
    + """
async def main():
    journal = SqliteJournal.open(Path(sys.argv[1]))
    await post(journal)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
    record = encode_record(run="a", seq=1, at=datetime.now(UTC), kind="Noted", path="", data={})
    large = b"x" * 400_000
    for write in (journal.post("a", "Noted", {"x": "x" * 400_000}, sender="x", at=datetime.now(UTC)),
                  journal.signal("s", {"x": "x" * 400_000}, source="x", at=datetime.now(UTC)),
                  journal.append("a", 1, [record], takes=[1], blobs={sha256(large).hexdigest(): large})):
        try:
            print("no error", await write, flush=True)
        except JournalUnavailable as exc:
            print(exc, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await post(journal)
    journal.close()

asyncio.run(main())
"""
)


class Seen:
    """Counts the records that it has seen."""

    name = "seen"
    version = 1
    schema = "CREATE TABLE seen (run TEXT)"

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        tx.execute("INSERT INTO seen VALUES (?)", (record.run,))


def post(journal: SqliteJournal, **data: JSON) -> Awaitable[int]:
    return journal.post("a", "Noted", data, sender="x", at=AT)


def send_signal(journal: SqliteJournal, **data: JSON) -> Awaitable[int]:
    return journal.signal("s", data, source="x", at=AT)


both = pytest.mark.parametrize("write", [post, send_signal])


def count(journal: SqliteJournal) -> int:
    return len(journal.messages("a")) + len(journal.signals("s", since=AT))


def test_what_a_killed_process_has_posted_is_there(path: Path, start_python: Start, open_journal: Open) -> None:
    """Whoever was given an id may rely on it, after kill -9 as well."""
    process = start_python(POST_FOR_EVER, path)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(80)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    told = [int(line) for line in lines if line.endswith("\n")]
    journal = open_journal()
    posted = {message.id for message in journal.messages("a")}
    signals = {each.id for each in journal.signals("s", since=AT, limit=100_000)}
    assert set(told[0::2]) <= posted
    assert set(told[1::2]) <= signals
    assert len(posted) + len(signals) - len(told) in (0, 1)


async def test_what_another_process_posts_changes_the_number(
    path: Path, start_python: Start, open_journal: Open
) -> None:
    """A run's owner finds out by asking for one number, and the number stands still when nobody writes."""
    journal = open_journal()
    before = journal.changes()
    assert journal.changes() == before
    process = start_python(POST_FOR_EVER, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.kill()
    process.wait()
    after = journal.changes()
    assert after != before
    assert journal.runs_with_messages() == ["a"]
    assert journal.changes() == after


@both
async def test_a_read_only_journal_sees_what_is_posted(open_journal: Open, write: Write) -> None:
    """A watcher needs no right to write."""
    journal = open_journal()
    watcher = open_journal(read_only=True)
    before = watcher.changes()
    await write(journal)
    assert watcher.changes() != before
    assert count(watcher) == 1


@both
async def test_a_locked_journal_takes_nothing_and_works_later(path: Path, open_journal: Open, write: Write) -> None:
    """As for appends, the message says how to find who holds the lock."""
    journal = open_journal(busy_timeout_s=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalLocked, match="lsof"):
        await write(journal)
    assert count(journal) == 0
    holder.close()
    await write(journal)
    assert count(journal) == 1


@both
async def test_a_deleted_file_takes_nothing(path: Path, open_journal: Open, write: Write) -> None:
    """Nobody is told that something is kept which nobody can open any more."""
    journal = open_journal()
    os.unlink(path)
    with pytest.raises(JournalUnavailable, match="deleted, moved or replaced"):
        await write(journal)


def test_a_full_disk_is_reported_and_survived(path: Path, start_python: Start, open_journal: Open) -> None:
    """Nothing of what found no room is left, and there is room again by itself."""
    lines = start_python(FULL_DISK, path).communicate(timeout=20)[0].splitlines()
    assert (lines[:2], lines[-2:]) == (["1", "1"], ["2", "2"])
    assert len(lines[2:-2]) == 3
    assert all("Cannot write the journal: the disk" in line for line in lines[2:-2])
    journal = open_journal()
    assert count(journal) == 4
    assert list(journal.read("a")) == journal.query("SELECT * FROM blobs") == []
    assert verify(path).status == "ok_unanchored_tail"


async def test_posting_keeps_projections_of_others(open_journal: Open, encoded: Encode) -> None:
    """Only an append that a projection would miss makes its tables stale."""
    owner = open_journal(Seen())
    await owner.append("a", 1, encoded("a", 1))
    poster = open_journal()
    await post(poster)
    await send_signal(poster)
    await owner.append("a", 2, encoded("a", 2))
    assert len(owner.query("SELECT * FROM seen")) == 2


@both
async def test_something_altered_is_an_error_that_names_it(path: Path, open_journal: Open, write: Write) -> None:
    """What nobody can have handed in is not given to a run."""
    journal = open_journal()
    await write(journal)
    editor = sqlite3.connect(path, isolation_level=None)
    for table in ("inbox", "signals"):
        editor.execute(f"UPDATE {table} SET data = x'5b5d'")
    with pytest.raises(JournalBroken, match=r"(message|signal) 1 "):
        count(journal)
    for table in ("inbox", "signals"):
        editor.execute(f"UPDATE {table} SET data = x'7b7d', at = 'yesterday'")
    with pytest.raises(JournalBroken, match=r"(message|signal) 1 "):
        count(journal)
    editor.close()


async def test_each_waiting_caller_gets_an_error_of_its_own(path: Path, open_journal: Open) -> None:
    """Raised in several tasks, one error would collect the traces of all of them."""
    journal = open_journal()
    os.unlink(path)
    outcomes = await asyncio.gather(post(journal), post(journal), return_exceptions=True)
    assert all(isinstance(outcome, JournalError) for outcome in outcomes)
    assert outcomes[0] is not outcomes[1]
    assert str(outcomes[0]) == str(outcomes[1])


async def test_a_page_of_signals_is_found_without_reading_them_all(open_journal: Open) -> None:
    """Both questions go by an index, and sort no data of signals that are not on the page."""
    journal = open_journal()
    asked: list[str] = []
    for name, parameters in (("signals_since", ("s", "2026", 9)), ("signals_after", ("s", 1, "2026", 9))):
        asked += [row["detail"] for row in journal.query(f"EXPLAIN QUERY PLAN {statements()[name]}", parameters)]
    assert not [detail for detail in asked if detail.startswith("SCAN")]
    assert any("signals_by_time (name=? AND at>?)" in detail for detail in asked)
    assert any("signals_by_id (name=? AND id>?)" in detail for detail in asked)
