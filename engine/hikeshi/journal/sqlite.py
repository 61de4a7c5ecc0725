"""The journal in an SQLite file."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from hikeshi.journal.append import checked_append
from hikeshi.journal.batch import BatchWriter, Work
from hikeshi.journal.blobs import NO_BLOBS, read_blob
from hikeshi.journal.checkpoints import Checkpoint, Place, checkpoint_entry, last_checkpoint, receipt_entry
from hikeshi.journal.database import connect_reader, connect_writer
from hikeshi.journal.errors import JournalUnavailable
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.inbox import Message, message_entry, messages_of_run, runs_with_messages
from hikeshi.journal.projection import Projection, Projections
from hikeshi.journal.pruning import Removal
from hikeshi.journal.reader import Parameters, Reader
from hikeshi.journal.record import Record
from hikeshi.journal.signals import Signal, signal_entry, signals_of_name
from hikeshi.journal.statements import statements
from hikeshi.journal.stored_form import JSON
from hikeshi.journal.writer import Writer

_BUSY_TIMEOUT_S: Final = 10.0


class SqliteJournal:
    """An append-only log of records in one file, for any number of runs, threads and processes of one machine."""

    def __init__(self, reader: Reader, writer: Writer | None, where: str) -> None:
        self._reader = reader
        self._writer = writer
        self._where = where

    @classmethod
    def open(
        cls,
        path: Path,
        projections: Sequence[Projection] = (),
        *,
        read_only: bool = False,
        busy_timeout_s: float = _BUSY_TIMEOUT_S,
    ) -> "SqliteJournal":
        """Open the journal at the path; unless it is read only, create it and bring its tables up to date.

        A file that is created is its owner's alone (0600, a new folder 0700). `busy_timeout_s` is how long to wait
        for another process's lock, here and at each append. Raises JournalForeign, JournalNewer, JournalLocked,
        JournalBroken or JournalUnavailable; the operator can mend each of them.
        """
        file = JournalFile.at(path)
        kept = Projections(projections)
        if read_only:
            return cls._open_to_read(file, kept, busy_timeout_s)
        connection = connect_writer(file, busy_timeout_s)
        try:
            batches = BatchWriter(connection, file, kept)
            if not kept.are_current(connection):
                batches.refill(only_if_stale=True)
            reader = Reader(connect_reader(file, busy_timeout_s), str(file.path))
        except BaseException as exc:
            connection.close()
            if isinstance(exc, sqlite3.Error | OSError):
                raise journal_error(exc, "open the journal", str(file.path)) from exc
            raise
        return cls(reader, Writer(batches, str(file.path)), str(file.path))

    @classmethod
    def _open_to_read(cls, file: JournalFile, kept: Projections, busy_timeout_s: float) -> "SqliteJournal":
        connection = connect_reader(file, busy_timeout_s)
        try:
            current = kept.are_current(connection)
        except sqlite3.Error as exc:
            connection.close()
            raise journal_error(exc, "read the journal", str(file.path)) from exc
        if not current:
            connection.close()
            raise JournalUnavailable(
                "The journal's tables were filled by another version of this program",
                str(file.path),
                "Open it once for writing: that rebuilds them",
            )
        return cls(Reader(connection, str(file.path)), None, str(file.path))

    async def append(
        self,
        run: str,
        expected_seq: int,
        records: Sequence[bytes | Record],
        *,
        takes: Sequence[int] = (),
        blobs: Mapping[str, bytes] = NO_BLOBS,
    ) -> None:
        """Append the encoded records as expected_seq, expected_seq + 1 ... of the run; return once they are durable.

        All of them are written or none. In the same transaction the messages that the run `takes`, by their ids,
        leave its inbox (one that is not there is no error), and the `blobs` are stored, by their lower-case
        hexadecimal SHA-256. A record refers to a blob by holding that hash as text; if none does, the first one does.

        Raises SequenceConflict if the run does not end at expected_seq - 1, ProjectionFailed if a projection refused
        a record, JournalUnavailable if the file can't be written now, and JournalMisused for records that are not
        those of this place and blobs that do not have their hash. After a cancellation the caller can't know
        whether the records were written: read the run before going on.
        """
        await self._write(checked_append(run, expected_seq, records, takes, blobs))

    async def post(self, run: str, kind: str, data: Mapping[str, JSON], *, sender: str, at: datetime) -> int:
        """Put a message into a run's inbox, for its owner to take; return the message's id once it is durable.

        Anybody may post, to a run that has not begun as well. Raises JournalUnavailable if the file can't be written
        now, and JournalMisused for data of more than 1 MiB or without a stored form.
        """
        return await self._write(message_entry(run, kind, data, sender, at))

    def messages(self, run: str, after: int = 0) -> list[Message]:
        """Return the messages in a run's inbox that have a higher id than `after`, oldest first."""
        return messages_of_run(self._reader.rows, run, after, self._where)

    def runs_with_messages(self) -> list[str]:
        """Return the runs with messages in their inbox, the one with the oldest message first."""
        return runs_with_messages(self._reader.rows)

    async def signal(self, name: str, data: Mapping[str, JSON], *, source: str, at: datetime) -> int:
        """Keep that something of this name happened outside, at this time; return its id once it is durable.

        Raises as post does.
        """
        return await self._write(signal_entry(name, data, source, at))

    def signals(self, name: str, *, since: datetime, after: int = 0, limit: int = 100) -> list[Signal]:
        """Return signals of this name that happened at `since` or later and have a higher id than `after`.

        They come in the order of their ids. Raises JournalMisused for a naive time and a limit below 1.
        """
        return signals_of_name(self._reader.rows, name, since, after, limit, self._where)

    def blob(self, hash: str) -> bytes:
        """Return the content that has this SHA-256. Raises JournalBroken if it is missing or was altered."""
        return read_blob(self._reader.rows, hash, self._where)

    def changes(self) -> int:
        """Return a number that differs from the last one if anybody, this process included, has written since.

        It costs microseconds, so it may be asked many times a second. Which of two is higher means nothing.
        """
        return self._reader.data_version()

    def read(self, run: str, *, after: int = 0) -> Iterator[Record]:
        """Give the run's records from after + 1 on, in order. Raises JournalBroken at the first altered one."""
        return self._reader.read(run, after)

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Return the rows of a query on the projections' tables. Sees every append that has returned."""
        return self._reader.query(sql, parameters)

    def rebuild(self) -> int:
        """Drop the projections' tables and fill them from the records. Return the number of records.

        Appends wait for it, and the old tables stay if it fails. Raises JournalBroken, ProjectionFailed or
        JournalUnavailable.
        """
        if self._writer is None:
            raise JournalUnavailable("The journal was opened to read only", self._where, "Open it for writing")
        return self._writer.refill()

    def size(self) -> int:
        """Return how many records there are, of all runs. It costs microseconds."""
        return int(self._reader.rows(statements()["journal_size"])[0][0])

    def places(self, after: int, limit: int) -> list[Place]:
        """Return the next records in the order of appending, without their contents, after a position."""
        return list(map(Place._make, self._reader.rows(statements()["places_after"], (after, limit))))

    async def keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; one of the same size that is there already stays. Raises JournalUnavailable."""
        await self._write(checkpoint_entry(checkpoint))

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint over the most records. Raises JournalBroken if what is stored is none."""
        return last_checkpoint(self._reader.rows, self._where)

    async def keep_receipt(self, anchor: str, size: int, receipt: bytes, *, at: datetime) -> None:
        """Store that an anchor has got the checkpoint of this size, and what it answered."""
        await self._write(receipt_entry(anchor, size, receipt, at))

    def anchored_size(self, anchor: str) -> int:
        """Return the size of the largest checkpoint that an anchor has got, or 0."""
        return int(self._reader.rows(statements()["anchored_size"], (anchor,))[0][0])

    async def remove_bytes(self, removal: Removal) -> int:
        """Take the bytes of whole runs out, which a record of the run `retention` has to say, and return how many.

        The places and the hashes of their records stay. A run that goes on meanwhile is left alone. Raises
        JournalUnavailable.
        """
        return await self._write(removal)

    async def _write(self, work: Work) -> int:
        if self._writer is None:
            raise JournalUnavailable("The journal was opened to read only", self._where, "Open it for writing")
        return await self._writer.write(work)

    def close(self) -> None:
        """Write what is queued, then close the file. Does nothing the second time."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()
