"""A journal without a file, for tests: same promises as SqliteJournal but durability, and it fails when told to."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi.journal import (
    JSON,
    NO_BLOBS,
    JournalUnavailable,
    Message,
    Projection,
    Record,
    SequenceConflict,
    Signal,
)
from hikeshi.journal.append import Append, checked_append
from hikeshi.journal.blobs import read_blob, store_blobs
from hikeshi.journal.entry import Entry
from hikeshi.journal.failure import journal_error
from hikeshi.journal.inbox import message_entry, messages_of_run, runs_with_messages, take_messages
from hikeshi.journal.projection import Projections
from hikeshi.journal.reader import Parameters, query_error
from hikeshi.journal.signals import signal_entry, signals_of_name
from hikeshi.journal.statements import migrations, run_script, statements

_WHERE = "a journal in memory"


class MemoryJournal:
    """Keeps records in a dict, and everything else in an SQLite database in memory."""

    def __init__(self, projections: Sequence[Projection] = ()) -> None:
        self._records: dict[str, list[Record]] = {}
        self._failures: list[Exception] = []
        self._projections = Projections(projections)
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA foreign_keys = ON")
        for script in migrations():
            run_script(self._database, script)
        self._projections.create(self._database)
        self._changes = 0
        self._closed = False

    def fail_next(self, error: Exception, times: int = 1) -> None:
        """Make the next appends, posts and signals raise this error and write nothing."""
        self._failures.extend([error] * times)

    async def append(
        self,
        run: str,
        expected_seq: int,
        records: Sequence[bytes | Record],
        *,
        takes: Sequence[int] = (),
        blobs: Mapping[str, bytes] = NO_BLOBS,
    ) -> None:
        """Append the encoded records, all or none; raises as SqliteJournal does."""
        append = checked_append(run, expected_seq, records, takes, blobs)
        await self._before_writing()
        stored = self._records.setdefault(run, [])
        if len(stored) != expected_seq - 1:
            raise SequenceConflict(run, expected_seq, len(stored), _WHERE)
        self._write_beside(append)
        stored.extend(append.records)
        self._changes += 1

    async def post(self, run: str, kind: str, data: Mapping[str, JSON], *, sender: str, at: datetime) -> int:
        """Put a message into a run's inbox and return its id."""
        return await self._enter(message_entry(run, kind, data, sender, at))

    def messages(self, run: str, after: int = 0) -> list[Message]:
        """Return the messages in a run's inbox that have a higher id than `after`, oldest first."""
        return messages_of_run(self._rows, run, after, _WHERE)

    def runs_with_messages(self) -> list[str]:
        """Return the runs with messages in their inbox, the one with the oldest message first."""
        return runs_with_messages(self._rows)

    async def signal(self, name: str, data: Mapping[str, JSON], *, source: str, at: datetime) -> int:
        """Keep that something of this name happened outside, and return its id."""
        return await self._enter(signal_entry(name, data, source, at))

    def signals(self, name: str, *, since: datetime, after: int = 0, limit: int = 100) -> list[Signal]:
        """Return signals of this name from a time on and after an id, in the order of their ids."""
        return signals_of_name(self._rows, name, since, after, limit, _WHERE)

    def blob(self, hash: str) -> bytes:
        """Return the content that has this SHA-256. Raises JournalBroken if it is missing."""
        return read_blob(self._rows, hash, _WHERE)

    def changes(self) -> int:
        """Return a number that differs from the last one if something was written since."""
        self._check_open()
        return self._changes

    def read(self, run: str, *, after: int = 0) -> Iterator[Record]:
        """Give the run's records from after + 1 on, in order."""
        self._check_open()
        yield from self._records.get(run, [])[max(after, 0) :]

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Return the rows of a query on the projections' tables."""
        self._check_open()
        cursor = self._database.cursor()
        cursor.row_factory = sqlite3.Row
        self._database.execute("PRAGMA query_only = ON")
        try:
            return cursor.execute(sql, parameters).fetchall()
        except sqlite3.Error as exc:
            raise query_error(exc, _WHERE) from exc
        finally:
            self._database.execute("PRAGMA query_only = OFF")

    def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._database.close()

    async def _before_writing(self) -> None:
        await asyncio.sleep(0)  # as with a file, others run before a write returns
        self._check_open()
        if self._failures:
            raise self._failures.pop(0)

    async def _enter(self, entry: Entry) -> int:
        await self._before_writing()
        number = self._database.execute(statements()[entry.statement], entry.values).lastrowid
        assert number is not None
        self._changes += 1
        return number

    def _write_beside(self, append: Append) -> None:
        """Write all of an append but its records, which are not in the database."""
        self._database.execute("BEGIN")
        try:
            take_messages(self._database, append.run, append.takes)
            store_blobs(self._database, append.blobs, append.records)
            for record in append.records:
                self._projections.apply(self._database, record)
            self._database.execute("COMMIT")
        except sqlite3.Error as exc:
            raise journal_error(exc, "write the journal", _WHERE) from exc
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        self._check_open()
        return self._database.execute(sql, parameters).fetchall()

    def _check_open(self) -> None:
        if self._closed:
            raise JournalUnavailable("The journal is closed", _WHERE, "Open it again")
