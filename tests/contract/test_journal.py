"""What every kind of journal promises: SqliteJournal and MemoryJournal pass the same tests."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.journal import (
    Journal,
    JournalError,
    JournalMisused,
    JournalUnavailable,
    Projection,
    ProjectionFailed,
    Record,
    SequenceConflict,
    SqliteJournal,
    decode_record,
    encode_record,
)
from hikeshi.testing.memory_journal import MemoryJournal

AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)

Open = Callable[..., Journal]


class Totals:
    """Counts the records of each run; refuses a record that says so."""

    name = "totals"
    version = 1
    schema = """
        CREATE TABLE totals (run TEXT PRIMARY KEY, records INTEGER NOT NULL);
        CREATE TRIGGER totals_stay BEFORE DELETE ON totals BEGIN SELECT RAISE(ABORT, 'kept; by us'); END;
    """

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        tx.execute(
            "INSERT INTO totals VALUES (?, 1) ON CONFLICT (run) DO UPDATE SET records = records + 1", (record.run,)
        )
        if record.kind == "Refused":
            raise LookupError("not with me")
        if record.kind == "Doubled":
            tx.execute("INSERT INTO totals VALUES (?, 1)", (record.run,))


def encoded(run: str, *seqs: int, kind: str = "Noted") -> list[bytes]:
    return [encode_record(run=run, seq=seq, at=AT, kind=kind, path="s", data={"n": seq}) for seq in seqs]


@pytest.fixture(params=["sqlite", "memory"])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[Journal] = []

    def open_one(projections: Sequence[Projection] = ()) -> Journal:
        if request.param == "sqlite":
            opened.append(SqliteJournal.open(tmp_path / "journal.db", projections))
        else:
            opened.append(MemoryJournal(projections))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


async def test_what_was_appended_is_read_back_in_order(open_journal: Open) -> None:
    """Records come back as the bytes they were, oldest first."""
    journal = open_journal()
    records = encoded("a", 1, 2, 3)
    await journal.append("a", 1, records[:2])
    await journal.append("a", 3, records[2:])
    assert list(journal.read("a")) == [decode_record(each) for each in records]
    assert [record.encoded for record in journal.read("a")] == records


async def test_reading_can_start_in_the_middle(open_journal: Open) -> None:
    """`after` leaves out the records up to and including it."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", *range(1, 1_203)))
    assert [record.seq for record in journal.read("a", after=2)] == list(range(3, 1_203))
    assert list(journal.read("a", after=1_202)) == []
    assert list(journal.read("a", after=5_000)) == []


async def test_an_unknown_run_is_empty(open_journal: Open) -> None:
    """Reading a run that nobody appended to gives nothing."""
    assert list(open_journal().read("nobody")) == []


async def test_runs_have_sequences_of_their_own(open_journal: Open) -> None:
    """Each run counts from 1."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    await journal.append("b", 1, encoded("b", 1, 2))
    assert [record.seq for record in journal.read("b")] == [1, 2]


@pytest.mark.parametrize("expected_seq", [1, 2, 4, 9])
async def test_an_append_elsewhere_than_at_the_end_conflicts(open_journal: Open, expected_seq: int) -> None:
    """An owner that does not know the last record is fenced, and nothing is written."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1, 2))
    with pytest.raises(SequenceConflict) as conflict:
        await journal.append("a", expected_seq, encoded("a", expected_seq))
    assert (conflict.value.run, conflict.value.expected_seq, conflict.value.last_seq) == ("a", expected_seq, 2)
    assert [record.seq for record in journal.read("a")] == [1, 2]
    await journal.append("a", 3, encoded("a", 3))


async def test_of_two_owners_one_wins(open_journal: Open) -> None:
    """Two appends at the same place, at the same time: one is written, one conflicts."""
    journal = open_journal()
    outcomes = await asyncio.gather(
        *(journal.append("a", 1, encoded("a", 1)) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "SequenceConflict"]
    assert [record.seq for record in journal.read("a")] == [1]


async def test_many_appends_at_once_are_all_written(open_journal: Open) -> None:
    """Appends of many runs that meet keep each run's order."""
    journal = open_journal()
    await asyncio.gather(*(journal.append(f"r{n}", 1, encoded(f"r{n}", 1, 2)) for n in range(40)))
    assert all([record.seq for record in journal.read(f"r{n}")] == [1, 2] for n in range(40))


@pytest.mark.parametrize(
    ("expected_seq", "records"),
    [
        pytest.param(1, [], id="nothing"),
        pytest.param(1, encoded("b", 1), id="another run"),
        pytest.param(1, encoded("a", 2), id="another place"),
        pytest.param(1, encoded("a", 1, 3), id="a gap"),
        pytest.param(1, encoded("a", 1, 1), id="a repetition"),
        pytest.param(0, encoded("a", 1), id="before the start"),
        pytest.param(1, [b"{}"], id="no record"),
        pytest.param(1, ["text"], id="no bytes"),
    ],
)
async def test_records_that_do_not_belong_there_are_refused(
    open_journal: Open, expected_seq: int, records: list[bytes]
) -> None:
    """What is stored can't say anything else than where it stands."""
    journal = open_journal()
    with pytest.raises(JournalMisused):
        await journal.append("a", expected_seq, records)
    assert list(journal.read("a")) == []


async def test_projections_follow_every_append(open_journal: Open) -> None:
    """A query sees what was just appended, by name and by position."""
    journal = open_journal([Totals()])
    await journal.append("a", 1, encoded("a", 1, 2))
    await journal.append("a", 3, encoded("a", 3))
    (row,) = journal.query("SELECT run, records FROM totals WHERE run = :run", {"run": "a"})
    assert (row["run"], row["records"], row[1]) == ("a", 3, 3)
    assert journal.query("SELECT run FROM totals WHERE run = ?", ("b",)) == []


@pytest.mark.parametrize("kind", ["Refused", "Doubled"])
async def test_an_append_that_a_projection_refuses_leaves_nothing(open_journal: Open, kind: str) -> None:
    """The records and all that the projection wrote of them are undone together."""
    journal = open_journal([Totals()])
    await journal.append("a", 1, encoded("a", 1))
    with pytest.raises(ProjectionFailed) as failed:
        await journal.append("a", 2, encoded("a", 2) + encoded("a", 3, kind=kind))
    assert isinstance(failed.value.__cause__, LookupError | sqlite3.IntegrityError)
    assert [record.seq for record in journal.read("a")] == [1]
    assert [tuple(row) for row in journal.query("SELECT * FROM totals")] == [("a", 1)]
    await journal.append("a", 2, encoded("a", 2))


async def test_a_refused_append_does_not_disturb_its_neighbours(open_journal: Open) -> None:
    """Of appends that are written together, only the refused one fails."""
    journal = open_journal([Totals()])
    outcomes = await asyncio.gather(
        journal.append("a", 1, encoded("a", 1)),
        journal.append("b", 1, encoded("b", 1, kind="Refused")),
        journal.append("c", 2, encoded("c", 2)),
        journal.append("d", 1, encoded("d", 1)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), ProjectionFailed, SequenceConflict, type(None)]
    assert sorted(row["run"] for row in journal.query("SELECT run FROM totals")) == ["a", "d"]


@pytest.mark.parametrize("sql", ["DELETE FROM totals", "DROP TABLE totals", "SELECT * FROM nowhere", "no SQL"])
async def test_a_query_only_reads(open_journal: Open, sql: str) -> None:
    """Statements that write or make no sense are refused and change nothing."""
    journal = open_journal([Totals()])
    await journal.append("a", 1, encoded("a", 1))
    with pytest.raises(JournalMisused):
        journal.query(sql)
    assert len(journal.query("SELECT * FROM totals")) == 1


async def test_two_projections_of_one_name_are_refused(open_journal: Open) -> None:
    """Names tell projections apart."""
    with pytest.raises(JournalMisused):
        open_journal([Totals(), Totals()])


async def test_a_closed_journal_says_so(open_journal: Open) -> None:
    """After closing, which may be done twice, nothing works and everything says why."""
    journal = open_journal([Totals()])
    await journal.append("a", 1, encoded("a", 1))
    journal.close()
    journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        await journal.append("a", 2, encoded("a", 2))
    with pytest.raises(JournalUnavailable, match="closed"):
        list(journal.read("a"))
    with pytest.raises(JournalUnavailable, match="closed"):
        journal.query("SELECT * FROM totals")


async def test_a_journal_in_memory_fails_when_told_to() -> None:
    """The next appends raise the given error and write nothing; then it works again."""
    journal = MemoryJournal()
    full = JournalUnavailable("The disk is full", "here", "Free some space")
    journal.fail_next(full, times=2)
    for _ in range(2):
        with pytest.raises(JournalError) as failed:
            await journal.append("a", 1, encoded("a", 1))
        assert failed.value is full
    await journal.append("a", 1, encoded("a", 1))
    journal.close()
