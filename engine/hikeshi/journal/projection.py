"""Tables derived from the records: written in the transaction of the records, and refilled from them at any time."""

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from hikeshi.journal.errors import JournalBroken, JournalMisused, JournalUnavailable, ProjectionFailed
from hikeshi.journal.failure import comes_from_outside
from hikeshi.journal.record import Record, decode_record
from hikeshi.journal.statements import run_script, statements


class Projection(Protocol):
    """A view of the records in tables of its own. Raise `version` whenever `schema` or `apply` changes.

    `schema` is DDL of one or more statements. `apply` writes what one record means; it reads and writes through `tx`
    only, never ends the transaction, and gives the same tables for the same records. An error of it undoes the append.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def schema(self) -> str: ...
    def apply(self, tx: sqlite3.Connection, record: Record) -> None: ...


class Projections:
    """The projections that one journal keeps."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = tuple(projections)
        self._versions = {projection.name: projection.version for projection in self._projections}
        if len(self._versions) != len(self._projections):
            raise JournalMisused("Two projections have the same name", "opening a journal", "Rename one of them")

    def __bool__(self) -> bool:
        return bool(self._projections)

    def are_current(self, tx: sqlite3.Connection) -> bool:
        """Tell whether the tables were filled by these versions. Others, that we do not keep, do not matter."""
        stored = _stored(tx)
        return all(stored.get(name) == version for name, version in self._versions.items())

    def prepare(self, tx: sqlite3.Connection, where: str) -> None:
        """Make sure that this transaction may append, or raise JournalUnavailable.

        A process that keeps other versions would leave tables that no version ever wrote. Projections that this
        process does not keep would miss what it appends, so they are dropped; whoever keeps them fills them again.
        """
        stored = _stored(tx)
        if stored == self._versions:
            return
        if any(stored.get(name) != version for name, version in self._versions.items()):
            raise JournalUnavailable(
                "Another process has rebuilt the journal's tables for another version of this program",
                where,
                "Run one version on a journal, and restart this process",
            )
        for name in stored.keys() - self._versions.keys():
            _drop(tx, name)

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        """Write what the record means. Raises ProjectionFailed, or sqlite3.Error if the disk or a lock is to blame."""
        for projection in self._projections:
            try:
                projection.apply(tx, record)
            except Exception as exc:
                raise _failure(exc, projection, record) from exc

    def refill(self, tx: sqlite3.Connection, where: str) -> int:
        """Drop every projection's tables and fill them from the records. Return how many records there are."""
        for name in _stored(tx):
            _drop(tx, name)
        self.create(tx)
        count = 0
        for number, encoded in tx.execute(statements()["all_encoded"]):
            try:
                record = decode_record(encoded)
            except JournalBroken as exc:
                raise JournalBroken(exc.what, f"record number {number} in {where}", exc.what_next) from exc
            self.apply(tx, record)
            count += 1
        return count

    def create(self, tx: sqlite3.Connection) -> None:
        """Create the tables, empty. Raises JournalMisused if a schema is wrong or takes a name that is taken."""
        for projection in self._projections:
            before = set(tx.execute(statements()["schema_objects"]).fetchall())
            try:
                run_script(tx, projection.schema)
            except sqlite3.Error as exc:
                if comes_from_outside(exc):
                    raise
                raise JournalMisused(
                    f"SQLite refused the projection's schema: {exc}", f"projection {projection.name}", "Mend its schema"
                ) from exc
            created = set(tx.execute(statements()["schema_objects"]).fetchall()) - before
            tx.executemany(statements()["remember_object"], [(projection.name, *each) for each in created])
            tx.execute(statements()["remember_projection"], (projection.name, projection.version))


def _failure(exc: Exception, projection: Projection, record: Record) -> Exception:
    """Return what is raised for an error of a projection: itself if the disk or a lock is to blame."""
    if isinstance(exc, sqlite3.Error) and comes_from_outside(exc):
        return exc
    return ProjectionFailed(
        f"The projection {projection.name} refused a {record.kind} ({type(exc).__name__})",
        f"run {record.run}, record {record.seq}",
        "The append was undone as a whole; the cause says more",
    )


def _stored(tx: sqlite3.Connection) -> dict[str, int]:
    return dict(tx.execute(statements()["stored_projections"]).fetchall())


def _drop(tx: sqlite3.Connection, projection: str) -> None:
    # Rows of one projection may refer to another's; they are all gone or filled again at the end of the transaction.
    tx.execute("PRAGMA defer_foreign_keys = ON")
    objects = tx.execute(statements()["objects_of_projection"], (projection,)).fetchall()
    for kind in ("trigger", "view", "index", "table"):
        for name in [name for each, name in objects if each == kind]:
            quoted = '"' + name.replace('"', '""') + '"'
            tx.execute(f"DROP {kind} IF EXISTS {quoted}")
    tx.execute(statements()["forget_objects"], (projection,))
    tx.execute(statements()["forget_projection"], (projection,))
