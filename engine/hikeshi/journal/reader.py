"""Reading a journal: the records of a run, checked against their chain, and queries on projections."""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from hikeshi.journal.chain import genesis_hash, next_hash
from hikeshi.journal.errors import JournalBroken, JournalError, JournalMisused, JournalPruned
from hikeshi.journal.failure import comes_from_outside, journal_error
from hikeshi.journal.record import Record, decode_record
from hikeshi.journal.statements import statements
from hikeshi.journal.writer import closed_error

_PAGE: Final = 500  # records; no read transaction stays open between pages, so the log can be copied and reused

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Reader:
    """One connection that only reads, for any thread."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self._lock = threading.Lock()
        self._closed = False

    def read(self, run: str, after: int) -> Iterator[Record]:
        """Give the run's records after a sequence number.

        Raises JournalBroken at the first that was altered, and JournalPruned for one that was taken out.
        """
        named = statements()
        seq, previous = max(after, 0), genesis_hash(run)
        if seq:
            found = self.rows(named["hash_of_record"], (run, seq))
            if not found:
                return
            previous = found[0][0]
        while page := self.rows(named["page_of_run"], (run, seq, _PAGE)):
            for stored_seq, encoded, stored_hash in page:
                seq += 1
                if stored_seq == seq and encoded == b"" and self.rows(named["is_pruned"], (run,)):
                    raise _pruned(run, seq, self._where)
                record = self._decoded(run, seq, encoded)
                previous = next_hash(previous, encoded)
                if stored_seq != seq or stored_hash != previous:
                    raise self._broken(run, seq, "The record is not the one that was appended")
                yield record

    def query(self, sql: str, parameters: Parameters) -> list[sqlite3.Row]:
        """Return all rows. Raises JournalMisused if SQLite refuses the statement, as it refuses to write."""
        return self.rows(sql, parameters, sqlite3.Row)

    def rows(self, sql: str, parameters: Parameters = (), row_type: type[sqlite3.Row] | None = None) -> list[Any]:
        """Return all rows of a statement of ours or of a caller."""
        with self._lock:
            if self._closed:
                raise closed_error(self._where)
            try:
                cursor = self._connection.cursor()
                cursor.row_factory = row_type
                return cursor.execute(sql, parameters).fetchall()
            except sqlite3.Error as exc:
                raise query_error(exc, self._where) from exc

    def data_version(self) -> int:
        """Return another number than before if another connection has written since."""
        return int(self.rows(statements()["data_version"])[0][0])

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _decoded(self, run: str, seq: int, encoded: bytes) -> Record:
        try:
            record = decode_record(encoded)
        except JournalBroken as exc:
            raise self._broken(run, seq, exc.what) from exc
        if record.run != run or record.seq != seq:
            raise self._broken(run, seq, f"The record says it is record {record.seq} of run {record.run}")
        return record

    def _broken(self, run: str, seq: int, what: str) -> JournalBroken:
        return JournalBroken(
            what, f"run {run}, record {seq} in {self._where}", "Verify the journal, and do not go on with this run"
        )


def _pruned(run: str, seq: int, where: str) -> JournalPruned:
    return JournalPruned(
        f"Run {run} was pruned: what it did is in the pack that was made of it",
        f"run {run}, record {seq} in {where}",
        "Look into the pack: hikeshi audit verify PACK --key KEY --older",
    )


def query_error(exc: sqlite3.Error, where: str) -> JournalError:
    """Return what it means that a query failed."""
    if comes_from_outside(exc) and exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
        return journal_error(exc, "read the journal", where)
    return JournalMisused(f"SQLite refused the query: {exc}", where, "A query only reads, from tables that exist")
