"""A journal without a file, for tests: same promises as SqliteJournal but durability, and it fails when told to."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence

from hikeshi.journal import JournalUnavailable, Projection, Record, SequenceConflict
from hikeshi.journal.failure import journal_error
from hikeshi.journal.projection import Projections
from hikeshi.journal.reader import Parameters, query_error
from hikeshi.journal.record import decode_append
from hikeshi.journal.statements import migrations, run_script

_WHERE = "a journal in memory"


class MemoryJournal:
    """Keeps records in a dict, and the tables of projections in an SQLite database in memory."""

    def __init__(self, projections: Sequence[Projection] = ()) -> None:
        self._records: dict[str, list[Record]] = {}
        self._failures: list[Exception] = []
        self._projections = Projections(projections)
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA foreign_keys = ON")
        for script in migrations():
            run_script(self._database, script)
        self._projections.create(self._database)
        self._closed = False

    def fail_next(self, error: Exception, times: int = 1) -> None:
        """Make the next appends raise this error and write nothing."""
        self._failures.extend([error] * times)

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes]) -> None:
        """Append the encoded records, all or none; raises as SqliteJournal does."""
        decoded = decode_append(run, expected_seq, records)
        await asyncio.sleep(0)  # as with a file, others run before an append returns
        self._check_open()
        if self._failures:
            raise self._failures.pop(0)
        stored = self._records.setdefault(run, [])
        if len(stored) != expected_seq - 1:
            raise SequenceConflict(run, expected_seq, len(stored), _WHERE)
        self._project(decoded)
        stored.extend(decoded)

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

    def _project(self, records: Sequence[Record]) -> None:
        self._database.execute("BEGIN")
        try:
            for record in records:
                self._projections.apply(self._database, record)
            self._database.execute("COMMIT")
        except sqlite3.Error as exc:
            raise journal_error(exc, "write the journal", _WHERE) from exc
        finally:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")

    def _check_open(self) -> None:
        if self._closed:
            raise JournalUnavailable("The journal is closed", _WHERE, "Open it again")
