"""Opening a journal: what is created, what is refused, and what the operator is told."""

import os
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from hikeshi.journal import (
    JournalBroken,
    JournalForeign,
    JournalLocked,
    JournalNewer,
    JournalUnavailable,
    SqliteJournal,
    verify,
)
from hikeshi.journal.chain import genesis_hash, next_hash
from hikeshi.journal.statements import migrations, run_script

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]

no_rights_for_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_new_journal_belongs_to_its_owner_only(tmp_path: Path, encoded: Encode) -> None:
    """The file, what SQLite keeps beside it, and folders that were missing are closed to others."""
    path = tmp_path / "state" / "hikeshi" / "journal.db"
    umask = os.umask(0)
    try:
        journal = SqliteJournal.open(path)
        await journal.append("a", 1, encoded("a", 1))
    finally:
        os.umask(umask)
    assert {each.name: mode(each) for each in path.parent.iterdir()} == {
        "journal.db": 0o600,
        "journal.db-wal": 0o600,
        "journal.db-shm": 0o600,
    }
    assert (mode(path.parent), mode(path.parent.parent)) == (0o700, 0o700)
    journal.close()


def test_an_existing_folder_keeps_its_mode(path: Path, open_journal: Open) -> None:
    """A folder that somebody made is theirs."""
    path.parent.chmod(0o755)
    open_journal()
    assert mode(path.parent) == 0o755


async def test_a_journal_stays_when_it_is_opened_again(open_journal: Open, encoded: Encode) -> None:
    """Opening continues what was there."""
    first = open_journal()
    await first.append("a", 1, encoded("a", 1))
    first.close()
    second = open_journal()
    await second.append("a", 2, encoded("a", 2))
    assert [record.seq for record in second.read("a")] == [1, 2]


async def test_a_path_may_hold_any_character(tmp_path: Path, encoded: Encode) -> None:
    """Characters that mean something in a URI mean nothing in a path."""
    path = tmp_path / "50% of? #1 火消し&mode=memory.db"
    journal = SqliteJournal.open(path)
    await journal.append("a", 1, encoded("a", 1))
    journal.close()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("content", [b"x", b"just some text\n" * 400, b"SQLite format 3\0" + b"\0" * 84], ids=len)
def test_a_file_that_is_no_database_is_refused_untouched(path: Path, open_journal: Open, content: bytes) -> None:
    """Somebody's file at the configured path is not overwritten."""
    path.write_bytes(content)
    with pytest.raises((JournalForeign, JournalBroken)):
        open_journal()
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_untouched(path: Path, open_journal: Open) -> None:
    """Neither its tables nor its settings change."""
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE cookies (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(JournalForeign, match="another program"):
        open_journal()
    with pytest.raises(JournalForeign):
        open_journal(read_only=True)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_journal(path: Path, open_journal: Open) -> None:
    """What a crash between creating and filling the file leaves is no obstacle."""
    path.touch()
    assert list(open_journal().read("a")) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_journal_of_a_newer_version_is_refused(path: Path, open_journal: Open, read_only: bool) -> None:
    """An old program does not guess what a new one meant."""
    open_journal().close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(JournalNewer, match="schema 99, this program knows 4"):
        open_journal(read_only=read_only)


@pytest.fixture
def older(path: Path, encoded: Encode) -> Path:
    """A journal of the first schema with one record."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    run_script(connection, migrations()[0])
    (record,) = encoded("a", 1)
    values = ("a", 1, record, next_hash(genesis_hash("a"), record))
    connection.execute("INSERT INTO records (run, seq, encoded, hash) VALUES (?, ?, ?, ?)", values)
    connection.execute("INSERT INTO heads SELECT run, seq, hash FROM records")
    connection.execute(f"PRAGMA application_id = {0x48494B45}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    return path


async def test_a_journal_of_an_older_version_is_brought_up_to_date(
    older: Path, open_journal: Open, encoded: Encode
) -> None:
    """Its records stay, and what came with later versions works."""
    assert verify(older).records == 1
    journal = open_journal()
    number = await journal.post("a", "Noted", {}, sender="x", at=AT)
    await journal.append("a", 2, encoded("a", 2), takes=[number])
    assert [record.seq for record in journal.read("a")] == [1, 2]
    assert verify(older).status == "ok_unanchored_tail"


def test_those_who_open_it_while_it_is_made_take_it_for_no_other_program_s(tmp_path: Path) -> None:
    """Half of what a journal is known by was read before it was made, and half after it."""
    for number in range(60):  # without the guard, one in twenty is refused
        path, start = tmp_path / f"{number}.db", Barrier(4)

        def opened(path: Path = path, start: Barrier = start) -> None:
            start.wait(10)
            SqliteJournal.open(path).close()

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(opened) for _ in range(4)]:
                done.result()


def test_a_journal_of_an_older_version_is_not_read_only(older: Path, open_journal: Open) -> None:
    """Tables that are not there yet can't be read, and reading creates none; verification needs none."""
    before = older.read_bytes()
    with pytest.raises(JournalUnavailable, match="schema 1 of an older version"):
        open_journal(read_only=True)
    assert verify(older).status == "ok_unanchored_tail"
    assert older.read_bytes() == before


def test_a_journal_locked_for_long_says_so(path: Path, open_journal: Open) -> None:
    """The message names the file and how to find who holds it."""
    open_journal().close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalLocked, match="another process keeps it locked") as locked:
        open_journal(busy_timeout_s=0.05)
    assert str(path) in str(locked.value)
    assert "lsof" in str(locked.value)
    holder.close()
    open_journal()


async def test_an_append_against_a_lock_fails_and_works_later(path: Path, open_journal: Open, encoded: Encode) -> None:
    """A journal that is locked is unavailable, and only for as long as the lock is held."""
    journal = open_journal(busy_timeout_s=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalLocked) as locked:
        await journal.append("a", 1, encoded("a", 1))
    assert isinstance(locked.value, JournalUnavailable)
    holder.close()
    await journal.append("a", 1, encoded("a", 1))


async def test_read_only_reads_and_does_not_write(open_journal: Open, encoded: Encode) -> None:
    """A reader sees what a writer in another process appends, and can't append."""
    writer = open_journal()
    await writer.append("a", 1, encoded("a", 1))
    reader = open_journal(read_only=True)
    await writer.append("a", 2, encoded("a", 2))
    assert [record.seq for record in reader.read("a")] == [1, 2]
    with pytest.raises(JournalUnavailable, match="read only"):
        await reader.append("a", 3, encoded("a", 3))
    with pytest.raises(JournalUnavailable, match="read only"):
        await reader.post("a", "Noted", {}, sender="x", at=AT)
    with pytest.raises(JournalUnavailable, match="read only"):
        await reader.signal("s", {}, source="x", at=AT)
    with pytest.raises(JournalUnavailable, match="read only"):
        reader.rebuild()


def test_read_only_creates_nothing(path: Path, open_journal: Open) -> None:
    """A wrong path stays empty."""
    with pytest.raises(JournalUnavailable, match="no journal"):
        open_journal(read_only=True)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_at_the_path_is_refused(path: Path, open_journal: Open, read_only: bool) -> None:
    """A folder is not a file."""
    path.mkdir()
    with pytest.raises(JournalUnavailable, match="not that of a file"):
        open_journal(read_only=read_only)


def test_a_file_in_the_place_of_the_folder_is_refused(path: Path) -> None:
    """The message names the system's reason."""
    path.touch()
    with pytest.raises(JournalUnavailable, match="Not a directory"):
        SqliteJournal.open(path / "journal.db")


@no_rights_for_root
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The message says to look at owner and mode."""
    tmp_path.chmod(0o500)
    with pytest.raises(JournalUnavailable, match="owner and the mode"):
        SqliteJournal.open(tmp_path / "journal.db")
    tmp_path.chmod(0o700)


@no_rights_for_root
def test_a_file_that_cannot_be_written_is_refused(path: Path, open_journal: Open) -> None:
    """That it can only be read is found at opening, not at the first append."""
    open_journal().close()
    path.chmod(0o400)
    with pytest.raises(JournalUnavailable, match="only be read"):
        open_journal()


@no_rights_for_root
def test_a_file_that_cannot_be_read_is_refused(path: Path, open_journal: Open) -> None:
    """Read only needs reading, too."""
    open_journal().close()
    path.chmod(0o000)
    with pytest.raises(JournalUnavailable):
        open_journal(read_only=True)


@no_rights_for_root
async def test_a_backup_in_a_folder_that_cannot_be_written_is_readable(
    path: Path, open_journal: Open, encoded: Encode
) -> None:
    """A journal on read-only media needs no files beside it."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    journal.close()
    path.parent.chmod(0o500)
    assert len(list(open_journal(read_only=True).read("a"))) == 1
    path.parent.chmod(0o700)
