"""Checking the blobs of a journal from its bytes alone: each against its hash, and against the records it is for."""

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

from hikeshi.journal.statements import statements

BLOB_TABLES: Final = frozenset({b"blobs", b"blob_links"})
_SCHEMA_WITH_BLOBS: Final = 2


class BlobProblem(NamedTuple):
    """The first record of a run that refers to a bad blob; no run and record 0 if no record does."""

    run: Any
    seq: Any
    what: str


def has_blobs(connection: sqlite3.Connection) -> bool:
    """Tell whether the journal has, or should have, tables of blobs. Those of the first version have none."""
    if connection.execute("PRAGMA user_version").fetchone()[0] >= _SCHEMA_WITH_BLOBS:
        return True
    return bool(BLOB_TABLES & {name for _, name in connection.execute(statements()["schema_objects"])})


def blob_problems(connection: sqlite3.Connection) -> Iterator[BlobProblem]:
    """Give the first problem of each run, then blobs that no record refers to, then damage of the file."""
    try:
        hashes = [digest for (digest,) in _rows(connection, "all_blob_hashes")]
        yield from _bad_links(connection, {digest: _is_intact(connection, digest) for digest in hashes})
        found = [row[0] for row in _rows(connection, "check_blobs")]
    except sqlite3.DatabaseError as exc:
        if not _is_damage(exc):
            raise
        yield BlobProblem(b"", 0, f"the blobs cannot all be read ({exc.sqlite_errorname})")
        return
    if found != [b"ok"]:
        yield BlobProblem(b"", 0, f"the index of the blobs is damaged ({len(found)} findings)")


def _bad_links(connection: sqlite3.Connection, is_good: dict[Any, bool]) -> Iterator[BlobProblem]:
    named: set[Any] = set()
    unlinked = set(is_good)
    for digest, run, seq, has_record in _rows(connection, "all_blob_links"):
        unlinked.discard(digest)
        what = _what_is_wrong(digest, is_good, has_record)
        if what and run not in named:
            named.add(run)
            yield BlobProblem(run, seq, what)
    for digest in unlinked:
        yield BlobProblem(b"", 0, f"the blob {_hex(digest)} is stored, but no record is known to refer to it")


def _what_is_wrong(digest: Any, is_good: dict[Any, bool], has_record: int) -> str | None:
    if digest not in is_good:
        return f"the blob {_hex(digest)} that it refers to is missing"
    if not is_good[digest]:
        return f"the blob {_hex(digest)} that it refers to is not the one that was stored"
    return None if has_record else f"is missing: the blob {_hex(digest)} was stored for it"


def _rows(connection: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
    return connection.execute(statements()[statement])


def _is_intact(connection: sqlite3.Connection, digest: Any) -> bool:
    try:
        row = connection.execute(statements()["content_of_blob"], (digest,)).fetchone()
    except sqlite3.DatabaseError as exc:
        if not _is_damage(exc):
            raise
        return False
    return row is not None and row[0] is not None and sha256(row[0]).digest() == digest


def _is_damage(exc: sqlite3.DatabaseError) -> bool:
    return exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _hex(digest: Any) -> str:
    return digest.hex() if type(digest) is bytes else repr(digest)
