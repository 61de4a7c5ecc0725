"""Checking a journal from its bytes alone: records, chain, order and heads. Projections are never looked at.

Everything here treats the file as evidence that somebody may have edited: no value in it has the type it should have
until that was seen, and the first bad record is named by the place that it holds or should hold.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from hikeshi.journal.blob_check import BLOB_TABLES, blob_problems, has_blobs
from hikeshi.journal.chain import genesis_hash, next_hash
from hikeshi.journal.database import connect_reader
from hikeshi.journal.errors import JournalBroken
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.record import Record, decode_record
from hikeshi.journal.statements import statements

_MOST_PROBLEMS: Final = 100
_BUSY_TIMEOUT_S: Final = 10.0

_OK_NOTE: Final = (
    "Every record that is in the file is the one that was appended, in its order, and every blob is the one that was "
    "stored, as far as the file itself can tell. It cannot tell whether the end was cut off together with the heads, "
    "whether whole runs were removed and the numbers closed up, whether a blob was removed together with the links to "
    "it, whether the file is an older copy, or whether somebody who can write it computed a chain anew. Only a signed "
    "checkpoint kept elsewhere can tell that, and there are no signed checkpoints yet."
)
_BROKEN_NOTE: Final = (
    "The file is not what was appended. Records before the first bad one of a run are intact as far as the file "
    "itself can tell; from there on nothing in that run is proven. Keep a copy of the file and its -wal as they are, "
    "and compare them with a backup."
)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """The first record of a run that is wrong or missing, by its place, and what is wrong with it."""

    run: str
    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `problems` holds the first of each run, at most 100; `note` says what the status proves."""

    status: Literal["ok_unanchored_tail", "broken"]
    records: int
    runs: int
    first_bad: BadRecord | None
    problems: tuple[BadRecord, ...]
    note: str


def verify(path: Path) -> Verification:
    """Check every record of the journal at the path, as it is now; others may go on writing meanwhile.

    Opens the file to read only. Raises JournalUnavailable, JournalForeign, JournalNewer or JournalBroken if it can't
    be read as a journal at all.
    """
    file = JournalFile.at(path)
    connection = connect_reader(file, _BUSY_TIMEOUT_S, may_be_older=True)
    try:
        # Bytes, since a damaged name need not be text. One transaction, so that heads and records are of one moment.
        connection.text_factory = bytes
        connection.execute("BEGIN")
        return _Examination(connection, str(file.path)).result()
    except sqlite3.Error as exc:
        if _is_missing_table(connection):
            raise JournalBroken(
                "The journal's own tables are gone", str(file.path), "Keep a copy of the file, then restore a backup"
            ) from exc
        raise journal_error(exc, "verify the journal", str(file.path)) from exc
    finally:
        connection.close()


@dataclass(slots=True)
class _Run:
    """How far a run is known to be good. `seq` and `hash` stand still at its first bad record."""

    name: str
    hash: bytes
    seq: int = 0
    is_good: bool = True


@dataclass(slots=True)
class _Examination:
    connection: sqlite3.Connection
    where: str
    records: int = 0
    runs: dict[bytes, _Run] = field(default_factory=dict)
    heads: dict[bytes, tuple[Any, Any]] = field(default_factory=dict)
    problems: list[BadRecord] = field(default_factory=list)
    gap: BadRecord | None = None

    def result(self) -> Verification:
        for run, seq, digest in self.connection.execute(statements()["all_heads"]):
            self.heads[_key(run)] = (seq, digest)
        self._check_records()
        self._check_heads()
        self._check_index()
        self._check_blobs()
        if self.gap and not self.problems:
            self.problems.append(self.gap)
        return Verification(
            status="broken" if self.problems else "ok_unanchored_tail",
            records=self.records,
            runs=len(self.runs),
            first_bad=self.problems[0] if self.problems else None,
            problems=tuple(self.problems[:_MOST_PROBLEMS]),
            note=_BROKEN_NOTE if self.problems else _OK_NOTE,
        )

    def _check_records(self) -> None:
        runs = self.runs
        expected_id = 1
        for number, run_key, seq, encoded, stored_hash in self._rows():
            self.records += 1
            run = runs.get(run_key) if type(run_key) is bytes else None
            if run is None:
                run = self._run(run_key)
            if number != expected_id:
                self._note_gap(run, seq, expected_id, number)
            expected_id = number + 1
            if not run.is_good:
                continue
            record = _decoded(encoded)
            if record is not None and record.seq == seq == run.seq + 1 and record.run == run.name:
                digest = next_hash(run.hash, encoded)
                if digest == stored_hash:
                    run.seq = seq
                    run.hash = digest
                    continue
            self._name_bad(run, run_key, seq, record)

    def _rows(self) -> Iterator[tuple[int, Any, Any, Any, Any]]:
        """Give all records; where the file can't be read any further, say so and stop."""
        rows = self.connection.execute(statements()["all_records"])
        last: tuple[Any, Any] | None = None
        while True:
            try:
                page = rows.fetchmany(500)
            except sqlite3.DatabaseError as exc:
                if last is None:
                    raise
                what = f"the file cannot be read beyond this record ({exc.sqlite_errorname})"
                self._bad(_text(last[0]), _number(last[1]), what)
                return
            if not page:
                return
            yield from page
            last = page[-1][1], page[-1][2]

    def _name_bad(self, run: _Run, run_key: Any, seq: Any, record: Record | None) -> None:
        """Say which record this row is, or which one should stand in its place."""
        expected = run.seq + 1
        if record is None:
            self._bad(run, expected, "its bytes are not a record")
        elif (record.run, record.seq) == (run.name, seq):
            if seq == expected:
                self._bad(run, seq, "its bytes or its hash are not what was appended: the chain breaks here")
            elif seq > expected:
                self._bad(run, expected, f"is missing: record {seq} stands in its place")
            else:
                self._bad(run, seq, f"stands once more after record {run.seq}")
        elif record.run == run.name or (seq == expected and run_key in self.heads):
            stands = f"record {record.seq} of run {record.run}, in a row that says {_number(seq)}"
            self._bad(run, expected, f"in its place stands {stands}")
        else:
            self._name_misfiled(run, record)

    def _name_misfiled(self, run: _Run, record: Record) -> None:
        """Name a record whose row says another run than its bytes: the run that knows the record has lost it."""
        owner = self.runs.get(record.run.encode())
        if owner is None and record.run.encode() in self.heads:
            owner = self._run(record.run.encode())
        if owner is not None and record.seq > owner.seq:
            self._bad(owner, owner.seq + 1, f"record {record.seq} stands in a row of run {run.name}")
        else:
            self._bad(run, run.seq + 1, f"in its place stands record {record.seq} of run {record.run}")

    def _check_heads(self) -> None:
        for run_key, run in self.runs.items():
            if not run.is_good or (run.seq == 0 and run_key not in self.heads):
                continue  # named already; a run without a good record and a head exists only by a misfiled record
            if run_key not in self.heads:
                self._bad(run, run.seq, "is the last of its run, but the run has no head")
                continue
            seq, digest = self.heads[run_key]
            if type(seq) is not int or seq < run.seq:
                self._bad(run, _number(seq) + 1, f"stands after the run's head, which says {_number(seq)}")
            elif seq > run.seq:
                self._bad(run, run.seq + 1, f"is missing: the run's head says that it ends with record {seq}")
            elif digest != run.hash:
                self._bad(run, run.seq, "is the last of its run, but the run's head has another hash")
        for run_key in self.heads.keys() - self.runs.keys():
            self._bad(_text(run_key), 1, "is missing: the run has a head, but no records")

    def _check_index(self) -> None:
        """Reading a run goes by the index, the check above by the table: see that they agree."""
        if self.problems:
            return
        found = [row[0] for row in self.connection.execute(statements()["check_records"])]
        if found != [b"ok"]:
            self._bad("", 0, f"the index of the records is damaged ({len(found)} findings): {_text(found[0])}")

    def _check_blobs(self) -> None:
        if not has_blobs(self.connection):
            return
        for run_key, seq, what in blob_problems(self.connection):
            run = self.runs.get(_key(run_key))
            self._bad(run or (_text(run_key) if run_key else ""), _number(seq), what)

    def _note_gap(self, run: _Run, seq: Any, expected: int, number: int) -> None:
        if self.gap is None:
            what = f"records were removed before it: it is number {number} of the journal, and should be {expected}"
            self.gap = BadRecord(run.name, _number(seq), what)

    def _run(self, run_key: Any) -> _Run:
        key = _key(run_key)
        if key not in self.runs:
            name = _text(run_key)
            self.runs[key] = _Run(name, genesis_hash(name))
        return self.runs[key]

    def _bad(self, run: "_Run | str", seq: int, what: str) -> None:
        """Note a problem, unless the run has one already."""
        if isinstance(run, _Run):
            if not run.is_good:
                return
            run.is_good = False
            run = run.name
        self.problems.append(BadRecord(run, seq, what))


def _decoded(encoded: Any) -> Record | None:
    try:
        return decode_record(encoded)
    except JournalBroken:
        return None


def _key(value: Any) -> bytes:
    return value if type(value) is bytes else repr(value).encode()


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else repr(value)


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def _is_missing_table(connection: sqlite3.Connection) -> bool:
    try:
        names = {name for _, name in connection.execute(statements()["schema_objects"])}
        needed = {b"records", b"heads"} | (BLOB_TABLES if has_blobs(connection) else set())
    except sqlite3.Error:
        return False
    return not needed <= names
