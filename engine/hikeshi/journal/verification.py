"""Checking a journal from its bytes alone: records, chain, order, heads and blobs. Projections are never looked at."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from hikeshi.journal.blob_check import BLOB_TABLES, blob_problems, has_blobs
from hikeshi.journal.database import connect_reader
from hikeshi.journal.errors import JournalBroken
from hikeshi.journal.examination import BadRecord, Examination, Row
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.statements import statements

__all__ = ["BadRecord", "Verification", "evidence", "examined", "verify"]

_MOST_PROBLEMS: Final = 100
_BUSY_TIMEOUT_S: Final = 10.0
_PAGE: Final = 500
# Looks at each row on its way to the examination.
Watch: TypeAlias = Callable[[Iterable[Row]], Iterable[Row]]

_OK_NOTE: Final = (
    "Every record that is in the file is the one that was appended, in its order, and every blob is the one that was "
    "stored, as far as the file itself can tell. It cannot tell whether the end was cut off together with the heads, "
    "whether whole runs were removed and the numbers closed up, whether a blob was removed together with the links to "
    "it, whether the file is an older copy, or whether somebody who can write it computed a chain anew. Only a signed "
    "checkpoint kept elsewhere can tell that."
)
_BROKEN_NOTE: Final = (
    "The file is not what was appended. Records before the first bad one of a run are intact as far as the file "
    "itself can tell; from there on nothing in that run is proven. Keep a copy of the file and its -wal as they are, "
    "and compare them with a backup."
)


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `problems` holds the first of each run, at most 100; `note` says what the status proves.

    `pruned` of the records have no bytes any more, and a record says so.
    """

    status: Literal["ok_unanchored_tail", "broken"]
    records: int
    runs: int
    first_bad: BadRecord | None
    problems: tuple[BadRecord, ...]
    note: str
    pruned: int = 0


def verify(path: Path) -> Verification:
    """Check every record of the journal at the path, as it is now; others may go on writing meanwhile.

    Opens the file to read only. Raises JournalUnavailable, JournalForeign, JournalNewer or JournalBroken if it can't
    be read as a journal at all.
    """
    with evidence(path) as connection:
        found = examined(connection)
    problems = found.first_problems()
    return Verification(
        status="broken" if problems else "ok_unanchored_tail",
        records=found.records,
        runs=len(found.runs),
        first_bad=problems[0] if problems else None,
        problems=tuple(problems[:_MOST_PROBLEMS]),
        note=_BROKEN_NOTE if problems else _OK_NOTE,
        pruned=found.bare,
    )


@contextmanager
def evidence(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection that only reads, in one transaction, and gives text as bytes: damaged names need not be text.

    Raises as verify does.
    """
    file = JournalFile.at(path)
    connection = connect_reader(file, _BUSY_TIMEOUT_S, may_be_older=True)
    try:
        connection.text_factory = bytes
        connection.execute("BEGIN")
        yield connection
    except sqlite3.Error as exc:
        if _is_missing_table(connection):
            raise JournalBroken(
                "The journal's own tables are gone", str(file.path), "Keep a copy of the file, then restore a backup"
            ) from exc
        raise journal_error(exc, "verify the journal", str(file.path)) from exc
    except UnicodeDecodeError as exc:  # SQLite quotes what it can't read in a damaged schema
        raise JournalBroken(
            "The file is damaged", str(file.path), "Keep a copy of the file, then restore a backup"
        ) from exc
    finally:
        connection.close()


def examined(connection: sqlite3.Connection, watch: Watch = iter) -> Examination:
    """Return what is found in the records, the heads and the blobs of a journal."""
    heads = {_key(run): (seq, digest) for run, seq, digest in connection.execute(statements()["all_heads"])}
    found = Examination(heads)
    found.see(watch(_rows(connection, found)))
    found.check_bare()
    found.check_heads()
    if not found.problems:  # reading a run goes by the index, the check above by the table: see that they agree
        answers = [row[0] for row in connection.execute(statements()["check_records"])]
        if answers != [b"ok"]:
            found.add("", 0, f"the index of the records is damaged ({len(answers)} findings): {_text(answers[0])}")
    if has_blobs(connection):
        for run, seq, what in blob_problems(connection):
            found.add(run, seq, what)
    return found


def _rows(connection: sqlite3.Connection, found: Examination) -> Iterator[Row]:
    """Give all records; where the file can't be read any further, say so and stop."""
    rows = connection.execute(statements()["all_records"])
    last: tuple[Any, Any] | None = None
    while True:
        try:
            page = rows.fetchmany(_PAGE)
        except sqlite3.DatabaseError as exc:
            if last is None:
                raise
            found.add(*last, f"the file cannot be read beyond this record ({exc.sqlite_errorname})")
            return
        if not page:
            return
        yield from page
        last = page[-1][1], page[-1][2]


def _key(value: Any) -> bytes:
    return value if type(value) is bytes else repr(value).encode()


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else repr(value)


def _is_missing_table(connection: sqlite3.Connection) -> bool:
    try:
        names = {name for _, name in connection.execute(statements()["schema_objects"])}
        needed = {b"records", b"heads"} | (BLOB_TABLES if has_blobs(connection) else set())
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    return not needed <= names
