"""Projections in a file: filled at opening when they have to be, and never left to a process that doesn't know them."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hikeshi.journal import (
    JournalMisused,
    JournalUnavailable,
    ProjectionFailed,
    Record,
    SqliteJournal,
)

Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]


@dataclass(frozen=True)
class Seen:
    """Lists the records it has seen in a table of a given name."""

    version: int = 1
    table: str = "seen"
    name: str = "seen"

    @property
    def schema(self) -> str:
        return f"""
            CREATE TABLE {self.table} (run TEXT, seq INTEGER);  -- one row; for each record
            CREATE INDEX {self.table}_runs ON {self.table} (run);
            CREATE VIEW {self.table}_last AS SELECT run, max(seq) AS seq FROM {self.table} GROUP BY run
        """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.kind == "Refused":
            raise LookupError("refused")
        tx.execute(f"INSERT INTO {self.table} VALUES (?, ?)", (record.run, record.seq))


def rows(journal: SqliteJournal, table: str = "seen") -> list[tuple[str, int]]:
    return [tuple(row) for row in journal.query(f"SELECT run, seq FROM {table} ORDER BY run, seq")]


async def test_a_projection_added_later_is_filled_at_opening(open_journal: Open, encoded: Encode) -> None:
    """It sees the records from before it existed."""
    before = open_journal()
    await before.append("a", 1, encoded("a", 1, 2))
    before.close()
    assert rows(open_journal(Seen())) == [("a", 1), ("a", 2)]


async def test_another_version_is_refilled_under_its_own_names(open_journal: Open, encoded: Encode) -> None:
    """Tables, indexes and views of the version before are gone, whatever they were called."""
    before = open_journal(Seen())
    await before.append("a", 1, encoded("a", 1))
    before.close()
    after = open_journal(Seen(version=2, table="noticed"))
    assert rows(after, "noticed") == [("a", 1)]
    assert after.query("SELECT name FROM sqlite_master WHERE name LIKE 'seen%'") == []


async def test_the_same_version_is_not_filled_again(open_journal: Open, encoded: Encode) -> None:
    """Opening costs nothing when nothing changed."""

    @dataclass(frozen=True)
    class Counting(Seen):
        applied: tuple[int, ...] = ()

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            raise AssertionError("not to be called")

    before = open_journal(Seen())
    await before.append("a", 1, encoded("a", 1))
    before.close()
    assert rows(open_journal(Counting())) == [("a", 1)]


async def test_rebuilding_gives_the_same_tables(open_journal: Open, encoded: Encode) -> None:
    """The records are the truth; the tables follow from them."""
    journal = open_journal(Seen())
    await journal.append("a", 1, encoded("a", 1, 2))
    await journal.append("b", 1, encoded("b", 1))
    before = rows(journal)
    assert journal.rebuild() == 3
    assert rows(journal) == before
    await journal.append("b", 2, encoded("b", 2))
    assert rows(journal) == [*before, ("b", 2)]


async def test_a_rebuild_that_fails_leaves_the_old_tables(open_journal: Open, encoded: Encode) -> None:
    """All or nothing."""
    other = open_journal()
    await other.append("a", 1, encoded("a", 1) + encoded("a", 2, kind="Refused"))
    with pytest.raises(ProjectionFailed):
        open_journal(Seen())
    assert other.query("SELECT name FROM sqlite_master WHERE name LIKE 'seen%'") == []
    await other.append("a", 3, encoded("a", 3))


async def test_a_process_with_an_older_version_is_fenced(open_journal: Open, encoded: Encode) -> None:
    """Two versions never write the same tables."""
    old = open_journal(Seen())
    await old.append("a", 1, encoded("a", 1))
    new = open_journal(Seen(version=2))
    with pytest.raises(JournalUnavailable, match="restart this process"):
        await old.append("a", 2, encoded("a", 2))
    await new.append("a", 2, encoded("a", 2))
    assert rows(new) == [("a", 1), ("a", 2)]


async def test_a_process_without_the_projection_does_not_leave_a_hole(open_journal: Open, encoded: Encode) -> None:
    """What it appends is in the tables of whoever opens the journal next."""
    with_it = open_journal(Seen())
    await with_it.append("a", 1, encoded("a", 1))
    without = open_journal()
    assert rows(with_it) == [("a", 1)]
    await without.append("a", 2, encoded("a", 2))
    with pytest.raises(JournalUnavailable, match="restart this process"):
        await with_it.append("a", 3, encoded("a", 3))
    assert rows(open_journal(Seen())) == [("a", 1), ("a", 2)]


async def test_reading_only_needs_tables_of_its_version(open_journal: Open, encoded: Encode) -> None:
    """A reader never shows tables that another version filled."""
    writer = open_journal(Seen())
    await writer.append("a", 1, encoded("a", 1))
    assert rows(open_journal(Seen(), read_only=True)) == [("a", 1)]
    with pytest.raises(JournalUnavailable, match="for writing"):
        open_journal(Seen(version=2), read_only=True)


@pytest.mark.parametrize("schema", ["CREATE TABLE records (x)", "CREATE TABEL x (y)"])
def test_a_wrong_schema_is_refused(open_journal: Open, schema: str) -> None:
    """The message says which projection and what SQLite made of it."""

    class Wrong:
        name = "wrong"
        version = 1

        def __init__(self) -> None:
            self.schema = schema

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            return

    with pytest.raises(JournalMisused, match="projection wrong"):
        open_journal(Wrong())
    open_journal()


async def test_tables_that_refer_to_each_other_are_rebuilt(open_journal: Open, encoded: Encode) -> None:
    """Foreign keys hold between appends, and do not hinder a rebuild."""

    class Family:
        name = "family"
        version = 1
        schema = """
            CREATE TABLE parent (run TEXT PRIMARY KEY);
            CREATE TABLE child (run TEXT NOT NULL REFERENCES parent (run), seq INTEGER);
        """

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            if record.kind != "Orphaned":
                tx.execute("INSERT OR IGNORE INTO parent VALUES (?)", (record.run,))
            tx.execute("INSERT INTO child VALUES (?, ?)", (record.run, record.seq))

    journal = open_journal(Family())
    await journal.append("a", 1, encoded("a", 1, 2))
    with pytest.raises(ProjectionFailed):
        await journal.append("b", 1, encoded("b", 1, kind="Orphaned"))
    assert journal.rebuild() == 2
    assert rows(journal, "child") == [("a", 1), ("a", 2)]
