"""A group of writes in one transaction: all that fit are committed together, each of the others fails alone."""

import sqlite3
import time
from collections.abc import Sequence
from copy import copy
from typing import Final, TypeAlias

from hikeshi.journal.append import Append
from hikeshi.journal.blobs import store_blobs
from hikeshi.journal.chain import genesis_hash, next_hash
from hikeshi.journal.database import checkpoint
from hikeshi.journal.entry import Entry
from hikeshi.journal.errors import JournalBroken, JournalError, ProjectionFailed, SequenceConflict
from hikeshi.journal.failure import comes_from_outside, is_locked, journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.inbox import take_messages
from hikeshi.journal.projection import Projections
from hikeshi.journal.pruning import Removal, remove_bytes
from hikeshi.journal.statements import statements

# Once copied, the log is written again from its beginning. Making a write to a file of the same size durable takes the
# disk one flush; while the file grows, most file systems need two. So the log is kept short, and soon stops growing.
_CHECKPOINT_BYTES: Final = 4 * 1024 * 1024
_COMMIT_BYTES: Final = 3 * 4096  # the least a commit writes: a page of the records, of their index and of the heads


Work: TypeAlias = Append | Entry | Removal
# The seq of an append's last record, the id of an entry, how many records lost their bytes; or why nothing was written.
Outcome: TypeAlias = int | JournalError


class BatchWriter:
    """Writes batches through one connection. Its owner calls it from one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, file: JournalFile, projections: Projections) -> None:
        self._connection = connection
        self._file = file
        self._projections = projections
        self._where = str(file.path)
        self._opened = file.identity()
        self.commit_s = 0.0  # how long the last commit took
        (self._patience_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        self._is_patient = True
        self._log_bytes = 0  # since the last checkpoint, roughly
        self._is_prepared = False
        named = self._statements = statements()
        self._head_of_run = named["head_of_run"]
        self._insert_record = named["insert_record"]
        self._move_head = named["move_head"]

    def write(self, works: Sequence[Work], *, may_wait: bool = True) -> list[Outcome] | None:
        """Commit the works. Return, for each, its number once it is durable, or why it was not written.

        Without `may_wait` return None, with nothing written, while another process writes.
        """
        try:
            if not self._begin(may_wait=may_wait):
                return None
            self._is_prepared = False
            outcomes = [self._attempt(work, alone=len(works) == 1) for work in works]
            if self._connection.in_transaction:
                self._commit()
        except BaseException as exc:
            self._roll_back()
            if not isinstance(exc, Exception):
                raise  # somebody wants the program to end
            error = journal_error(exc, "write the journal", self._where)
            # An error for each caller: raised in several tasks, one instance would collect all their tracebacks.
            return [copy(error) for _ in works]
        return outcomes

    def is_untidy(self) -> bool:
        """Tell whether `tidy` has something to do."""
        return self._log_bytes >= _CHECKPOINT_BYTES

    def tidy(self) -> None:
        """Keep the write-ahead log short. Nobody waits for this, and it may fail: the log stays valid."""
        if not self.is_untidy():
            return
        self._log_bytes = 0
        try:
            checkpoint(self._connection)
        except sqlite3.Error:
            return  # the next batch that is large enough tries again

    def refill(self, *, only_if_stale: bool = False) -> int:
        """Fill the projections anew. Return the number of records. Raises JournalError and changes nothing then."""
        try:
            self._begin(may_wait=True)
            if only_if_stale and self._projections.are_current(self._connection):
                return 0  # another process, that waited for the lock before us, has done it
            count = self._projections.refill(self._connection, self._where)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as exc:
            raise journal_error(exc, "rebuild the projections", self._where) from exc
        finally:
            self._roll_back()
        self._log_bytes = _CHECKPOINT_BYTES
        return count

    def close(self) -> None:
        """Close the connection; the last one of all copies the log into the database and removes it."""
        self._connection.close()

    def _begin(self, *, may_wait: bool) -> bool:
        """Begin a transaction that writes. Return whether that went without waiting, where it may not wait."""
        if may_wait is not self._is_patient:
            self._connection.execute(f"PRAGMA busy_timeout = {self._patience_ms if may_wait else 0}").fetchall()
            self._is_patient = may_wait
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            if may_wait or not is_locked(exc):
                raise
            return False
        return True

    def _commit(self) -> None:
        self._file.check_in_place(self._opened)
        began = time.perf_counter()
        self._connection.execute("COMMIT")
        self.commit_s = time.perf_counter() - began
        self._file.check_in_place(self._opened)  # nobody is told "durable" of a file that went in between
        self._log_bytes += _COMMIT_BYTES

    def _attempt(self, work: Work, *, alone: bool) -> Outcome:
        if isinstance(work, Entry):
            return self._enter(work)
        return self._remove(work) if isinstance(work, Removal) else self._append(work, alone=alone)

    def _enter(self, entry: Entry) -> Outcome:
        try:
            cursor = self._connection.execute(self._statements[entry.statement], entry.values)
        except sqlite3.Error as exc:
            if comes_from_outside(exc):
                raise
            return journal_error(exc, "write the journal", self._where)  # SQLite has undone the statement
        assert cursor.lastrowid is not None
        self._log_bytes += entry.size_bytes
        return cursor.lastrowid

    def _remove(self, removal: Removal) -> Outcome:
        # Whatever it fails with undoes the whole transaction: half of a run must not be taken out.
        self._log_bytes += _CHECKPOINT_BYTES  # it has been written all over; the log is to be copied soon
        return remove_bytes(self._connection, removal)

    def _append(self, append: Append, *, alone: bool) -> Outcome:
        if not self._is_prepared:  # only for appends: entries mean nothing to projections
            self._projections.prepare(self._connection, self._where)
            self._is_prepared = True
        last_seq, previous = self._head(append.run)
        if last_seq != append.expected_seq - 1:
            return SequenceConflict(append.run, append.expected_seq, last_seq, self._where)
        if not alone:
            self._connection.execute("SAVEPOINT one")
        try:
            self._insert(append, previous)
        except (sqlite3.Error, ProjectionFailed) as exc:
            if isinstance(exc, sqlite3.Error) and comes_from_outside(exc):
                raise
            if alone:
                self._roll_back()
            else:
                self._connection.execute("ROLLBACK TO one")
                self._connection.execute("RELEASE one")
            return self._refusal(exc, append)
        if not alone:
            self._connection.execute("RELEASE one")
        return append.records[-1].seq

    def _head(self, run: str) -> tuple[int, bytes]:
        head: tuple[int, bytes] | None = self._connection.execute(self._head_of_run, (run,)).fetchone()
        return head or (0, genesis_hash(run))

    def _insert(self, append: Append, previous: bytes) -> None:
        rows = []
        for record in append.records:
            previous = next_hash(previous, record.encoded)
            rows.append((append.run, record.seq, record.encoded, previous))
            self._log_bytes += len(record.encoded)
        self._connection.executemany(self._insert_record, rows)
        self._connection.execute(self._move_head, (append.run, append.records[-1].seq, previous))
        if append.takes:
            take_messages(self._connection, append.run, append.takes)
        if append.blobs:
            store_blobs(self._connection, append.blobs, append.records)
            self._log_bytes += append.blob_bytes
        if self._projections:
            for record in append.records:
                self._projections.apply(self._connection, record)

    def _refusal(self, exc: Exception, append: Append) -> JournalError:
        if isinstance(exc, sqlite3.IntegrityError):
            return JournalBroken(
                f"Run {append.run} has records after the one it is said to end with",
                self._where,
                "Somebody changed the file by other means: verify the journal",
            )
        return journal_error(exc, "write the journal", self._where)

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite rolls back by itself after the errors that leave it unable to.
            return
