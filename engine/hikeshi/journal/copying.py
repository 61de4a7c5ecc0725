"""Copying a journal while others write it, and putting a copy in its place while nobody does."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hikeshi.journal.database import connect_reader
from hikeshi.journal.errors import JournalBroken, JournalLocked
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.statements import statements

__all__ = [
    "JournalHead",
    "copy_journal",
    "fold_log",
    "goes_on_from",
    "head_of",
    "nobody_uses",
    "replace_journal",
    "stamp_of",
]

_PAGES_AT_ONCE: Final = 1024
_BUSY_TIMEOUT_S: Final = 10.0
_LOCKS_AT, _LOCKS = 0x40000000, 512  # SQLite's own lock bytes; whoever has a journal open holds some of them


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What stands at the end of a journal: how many records, its last one, its runs, and its last checkpoint."""

    records: int
    last: tuple[str, int, bytes] | None
    runs: int
    signed_to: int


def copy_journal(source: Path, target: Path) -> JournalHead:
    """Write a copy of a journal, as it is at one moment, as one new file of its owner's alone; return its head.

    Others may read and write meanwhile. Raises JournalError; then there is no file. FileExistsError if there was one.
    """
    where = str(target)
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.close(descriptor)
        head = _copied(source, target)
        _make_durable(target)
    except BaseException as exc:
        for end in ("", "-journal", "-wal", "-shm"):
            target.with_name(target.name + end).unlink(missing_ok=True)
        if isinstance(exc, sqlite3.Error | OSError):
            raise journal_error(exc, "copy the journal", where) from exc
        raise
    return head


def _copied(source: Path, target: Path) -> JournalHead:
    with (
        closing(connect_reader(JournalFile.at(source), _BUSY_TIMEOUT_S, may_be_older=True)) as reads,
        closing(sqlite3.connect(target, isolation_level=None)) as writes,
    ):
        # A state that is held open is copied as it is; without it, every append would begin the copy anew.
        reads.execute("BEGIN")
        before = _head(reads)
        reads.backup(writes, pages=_PAGES_AT_ONCE)
        writes.execute("PRAGMA journal_mode = DELETE").fetchall()  # one file, until somebody writes it
        after = _head(writes)
        if after != before:
            raise JournalBroken("The copy does not end as the journal does", str(target), "Look at the disk; try again")
        return before


def head_of(path: Path) -> JournalHead:
    """Return what stands at the end of a journal, of this version or an older one. Raises JournalError."""
    with closing(connect_reader(JournalFile.at(path), _BUSY_TIMEOUT_S, may_be_older=True)) as connection:
        try:
            return _head(connection)
        except sqlite3.Error as exc:
            raise journal_error(exc, "read the journal", str(path)) from exc


def _head(connection: sqlite3.Connection) -> JournalHead:
    named = statements()
    last = connection.execute(named["last_record"]).fetchone()
    has_checkpoints = ("table", "checkpoints") in connection.execute(named["schema_objects"]).fetchall()
    signed = connection.execute(named["signed_size"]).fetchone()[0] if has_checkpoints else 0
    (runs,) = connection.execute(named["count_heads"]).fetchone()
    return JournalHead(0 if last is None else last[0], None if last is None else tuple(last[1:]), runs, signed)


def goes_on_from(path: Path, other: Path) -> bool:
    """Say whether a journal begins with every record of the other one, and may have more. Raises JournalError."""
    file, before = JournalFile.at(path), JournalFile.at(other)
    with (
        closing(connect_reader(file, _BUSY_TIMEOUT_S, may_be_older=True)) as longer,
        closing(connect_reader(before, _BUSY_TIMEOUT_S, may_be_older=True)) as shorter,
    ):
        try:
            mine = longer.execute(statements()["all_places"])
            return all(place == mine.fetchone() for place in shorter.execute(statements()["all_places"]))
        except sqlite3.Error as exc:
            raise journal_error(exc, "compare two journals", str(path)) from exc


def stamp_of(path: Path) -> tuple[object, ...]:
    """Return what changes when a journal, or its log, is written."""
    found = []
    for end in ("", "-wal"):
        try:
            stat = path.with_name(path.name + end).stat()
        except FileNotFoundError:
            continue
        if stat.st_size:  # reading may leave an empty log
            found.append((end, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def fold_log(path: Path) -> None:
    """Copy what a process that died left in the log of a journal into it. What is damaged stays as it is."""
    try:
        with closing(
            sqlite3.connect(JournalFile.at(path).uri("mode=rw"), uri=True, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error:
        return


@contextmanager
def nobody_uses(path: Path) -> Iterator[None]:
    """Keep everybody from opening a journal for the time of the block. Raises JournalLocked while somebody has it open.

    The lock is SQLite's own, taken by hand, so that a file that is damaged can be moved as well. Do not open the
    journal in the block: closing it again would give the lock away.
    """
    if not path.exists():
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS, _LOCKS_AT)
        except (BlockingIOError, PermissionError) as exc:
            raise JournalLocked(
                "Somebody has the journal open",
                str(path),
                "Stop hikeshi serve, work --stay and every other command of this project (fuser names them); try again",
            ) from exc
        yield
    finally:
        os.close(descriptor)


def replace_journal(path: Path, fresh: Path, aside_name: str) -> Path | None:
    """Put another file in the place of a journal, and return where the one is kept that was there, if there was one.

    Raises JournalError. Only for whoever keeps others from opening it. There is a journal at the path at every moment.
    """
    aside = path.with_name(aside_name)
    try:
        had_one = path.exists()
        if had_one:
            os.link(path, aside)
        for end in ("-wal", "-shm"):  # of a journal that could not be opened: it stays beside what it belongs to
            beside = path.with_name(path.name + end)
            if beside.exists():
                beside.rename(aside.with_name(aside_name + end))
        fresh.replace(path)
        _make_durable(path)
    except OSError as exc:
        raise journal_error(exc, "replace the journal", str(path)) from exc
    return aside if had_one else None


def _make_durable(path: Path) -> None:
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
