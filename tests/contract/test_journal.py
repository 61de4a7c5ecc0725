"""What every kind of journal promises: SqliteJournal and MemoryJournal pass the same tests."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hikeshi.journal import (
    JSON,
    Journal,
    JournalBroken,
    JournalError,
    JournalMisused,
    JournalUnavailable,
    Message,
    Projection,
    ProjectionFailed,
    Record,
    SequenceConflict,
    Signal,
    SqliteJournal,
    decode_record,
    encode_record,
)
from hikeshi.testing.memory_journal import MemoryJournal

AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)

Open = Callable[..., Journal]

LARGE = b"a large answer" * 1_000
LARGE_HASH = sha256(LARGE).hexdigest()


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


async def test_a_message_is_read_back_as_it_was_posted(open_journal: Open) -> None:
    """Sender, time in UTC and data with their order and odd characters arrive at the run."""
    journal = open_journal()
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    data: dict[str, JSON] = {"z": [1, None, {"火": 0.5}], "a": "\ud800"}
    number = await journal.post("a", "Approved", data, sender="yuki@example", at=tokyo)
    (message,) = journal.messages("a")
    assert message == Message(number, "a", "Approved", "yuki@example", AT, data)
    assert message.at.tzinfo is UTC
    assert list(message.data) == ["z", "a"]


async def test_messages_of_a_run_come_oldest_first_and_after_an_id(open_journal: Open) -> None:
    """Each run has an inbox of its own, and ids increase over all of them."""
    journal = open_journal()
    ids = [await journal.post(run, "Noted", {"n": n}, sender="x", at=AT) for n, run in enumerate("abaab")]
    assert ids == sorted(set(ids))
    assert [message.data["n"] for message in journal.messages("a")] == [0, 2, 3]
    assert [message.data["n"] for message in journal.messages("a", ids[2])] == [3]
    assert [message.data["n"] for message in journal.messages("b", ids[0])] == [1, 4]
    assert journal.messages("a", -1) == journal.messages("a")
    assert journal.messages("a", 2**70) == journal.messages("nobody") == []


async def test_runs_with_messages_come_by_their_oldest_message(open_journal: Open) -> None:
    """Whoever waits longest is first, and a run whose messages were all taken is not named."""
    journal = open_journal()
    first, *_ = [await journal.post(run, "Noted", {}, sender="x", at=AT) for run in "cabac"]
    assert journal.runs_with_messages() == ["c", "a", "b"]
    await journal.append("c", 1, encoded("c", 1), takes=[first])
    assert journal.runs_with_messages() == ["a", "b", "c"]
    await journal.append("c", 2, encoded("c", 2), takes=[message.id for message in journal.messages("c")])
    assert journal.runs_with_messages() == ["a", "b"]


async def test_an_append_takes_messages_of_its_own_run(open_journal: Open) -> None:
    """What it names is gone; what it does not name, what belongs to others and what is gone already does not matter."""
    journal = open_journal()
    one, two, others = [await journal.post(run, "Noted", {}, sender="x", at=AT) for run in "aab"]
    await journal.append("a", 1, encoded("a", 1), takes=[one, others, 999])
    await journal.append("a", 2, encoded("a", 2), takes=[one])
    assert [message.id for message in journal.messages("a")] == [two]
    assert [message.id for message in journal.messages("b")] == [others]


async def test_an_id_of_a_message_is_never_used_again(open_journal: Open) -> None:
    """A reader that asks for what came after a message does not miss the next one."""
    journal = open_journal()
    first = await journal.post("a", "Noted", {}, sender="x", at=AT)
    await journal.append("a", 1, encoded("a", 1), takes=[first])
    assert await journal.post("a", "Noted", {}, sender="x", at=AT) > first


async def test_an_append_that_fails_takes_nothing_and_stores_no_blob(open_journal: Open) -> None:
    """Messages stay for the owner that comes after."""
    journal = open_journal([Totals()])
    number = await journal.post("a", "Noted", {}, sender="x", at=AT)
    blobs = {LARGE_HASH: LARGE}
    with pytest.raises(SequenceConflict):
        await journal.append("a", 7, encoded("a", 7), takes=[number], blobs=blobs)
    with pytest.raises(ProjectionFailed):
        await journal.append("a", 1, encoded("a", 1, kind="Refused"), takes=[number], blobs=blobs)
    assert [message.id for message in journal.messages("a")] == [number]
    with pytest.raises(JournalBroken):
        journal.blob(LARGE_HASH)


async def test_many_posts_and_appends_at_once_are_all_written(open_journal: Open) -> None:
    """Writes of all kinds that meet each get their own answer."""
    journal = open_journal()
    posts, signals, appends = await asyncio.gather(
        asyncio.gather(*(journal.post("a", "Noted", {"n": n}, sender="x", at=AT) for n in range(20))),
        asyncio.gather(*(journal.signal("s", {"n": n}, source="x", at=AT) for n in range(20))),
        asyncio.gather(*(journal.append(f"r{n}", 1, encoded(f"r{n}", 1)) for n in range(20))),
    )
    assert {message.id: message.data["n"] for message in journal.messages("a")} == dict(
        zip(posts, range(20), strict=True)
    )
    found = {signal.id: signal.data["n"] for signal in journal.signals("s", since=AT)}
    assert found == dict(zip(signals, range(20), strict=True))
    assert appends == [None] * 20


def posted(journal: Journal, **change: Any) -> Awaitable[int]:
    fields = {"run": "a", "kind": "Noted", "data": {}, "sender": "x", "at": AT, **change}
    return journal.post(fields.pop("run"), fields.pop("kind"), fields.pop("data"), **fields)


def signalled(journal: Journal, **change: Any) -> Awaitable[int]:
    fields = {"name": "s", "data": {}, "source": "x", "at": AT, **change}
    return journal.signal(fields.pop("name"), fields.pop("data"), **fields)


@pytest.mark.parametrize(
    ("write", "change"),
    [
        (posted, {"run": ""}),
        (posted, {"run": "a\0b"}),
        (posted, {"kind": ""}),
        (posted, {"sender": "\ud800"}),
        (signalled, {"name": ""}),
        (signalled, {"source": ""}),
        *((write, {"at": datetime(2026, 2, 3)}) for write in (posted, signalled)),
        *((write, {"at": datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))}) for write in (posted, signalled)),
        *((write, {"data": {"n": float("nan")}}) for write in (posted, signalled)),
        *((write, {"data": {"n": {1, 2}}}) for write in (posted, signalled)),
        *((write, {"data": {"x": "x" * (1024 * 1024 - 7)}}) for write in (posted, signalled)),
    ],
)
async def test_a_message_or_signal_that_cannot_be_stored_is_refused(
    open_journal: Open, write: Callable[..., Awaitable[int]], change: dict[str, Any]
) -> None:
    """A bug of the caller, or data of more than 1 MiB, does not get as far as the disk."""
    journal = open_journal()
    with pytest.raises(JournalMisused):
        await write(journal, **change)
    assert journal.runs_with_messages() == []
    assert journal.signals("s", since=AT) == []


async def test_data_of_exactly_one_mebibyte_is_kept(open_journal: Open) -> None:
    """The limit is of the encoded bytes, {"x":"..."} included."""
    journal = open_journal()
    await posted(journal, data={"x": "x" * (1024 * 1024 - 8)})
    assert len(str(journal.messages("a")[0].data["x"])) == 1024 * 1024 - 8


async def test_a_signal_is_read_back_as_it_came(open_journal: Open) -> None:
    """Its time is when it happened, in UTC."""
    journal = open_journal()
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    number = await journal.signal("ticket.closed", {"id": "T-1"}, source="jira", at=tokyo)
    assert journal.signals("ticket.closed", since=AT) == [Signal(number, "ticket.closed", AT, "jira", {"id": "T-1"})]


async def test_signals_are_found_by_name_time_and_id(open_journal: Open) -> None:
    """They come in the order in which they were handed in, whenever they happened."""
    journal = open_journal()
    minutes = [5, 1, 9, 5, 3]
    ids = [await signalled(journal, at=AT + timedelta(minutes=minute)) for minute in minutes]
    await signalled(journal, name="other")

    def found(since_minute: int, **page: int) -> list[int]:
        signals = journal.signals("s", since=AT + timedelta(minutes=since_minute), **page)
        return [ids.index(signal.id) for signal in signals]

    assert found(0) == [0, 1, 2, 3, 4]
    assert found(5) == [0, 2, 3]
    assert found(5, after=ids[0]) == [2, 3]
    assert found(5, limit=2) == [0, 2]
    assert found(2, after=ids[0], limit=2) == [2, 3]
    assert found(0, after=2**70) == found(10) == []
    assert found(0, after=-1, limit=2**70) == [0, 1, 2, 3, 4]
    assert journal.signals("nothing", since=AT) == []


async def test_a_page_of_signals_holds_a_hundred(open_journal: Open) -> None:
    """The rest is found after the last one."""
    journal = open_journal()
    await asyncio.gather(*(signalled(journal) for _ in range(130)))
    page = journal.signals("s", since=AT)
    assert len(page) == 100
    assert len(journal.signals("s", since=AT, after=page[-1].id)) == 30


@pytest.mark.parametrize("change", [{"since": datetime(2026, 2, 3)}, {"limit": 0}, {"limit": -1}])
async def test_a_question_for_signals_that_means_nothing_is_refused(open_journal: Open, change: dict[str, Any]) -> None:
    """No page is without an end, and no time without a zone."""
    journal = open_journal()
    with pytest.raises(JournalMisused):
        journal.signals("s", **{"since": AT, **change})


async def test_a_blob_is_stored_with_the_records_and_read_by_its_hash(open_journal: Open) -> None:
    """The same content may come again, with another record or another run, and nothing may be a blob as well."""
    journal = open_journal()
    nothing = sha256(b"").hexdigest()
    await journal.append("a", 1, encoded("a", 1), blobs={LARGE_HASH: LARGE, nothing: b""})
    await journal.append("a", 2, encoded("a", 2), blobs={LARGE_HASH: LARGE})
    await journal.append("b", 1, encoded("b", 1), blobs={LARGE_HASH: LARGE})
    assert (journal.blob(LARGE_HASH), journal.blob(nothing)) == (LARGE, b"")
    assert len(list(journal.read("a"))) == 2


@pytest.mark.parametrize(
    "blobs",
    [
        {LARGE_HASH: LARGE + b"x"},
        {LARGE_HASH: LARGE, "a" * 64: b"x"},
        {LARGE_HASH.upper(): LARGE},
        {"": b""},
        {LARGE_HASH: bytearray(LARGE)},
    ],
    ids=["other content", "one of two", "upper case", "no hash", "no bytes"],
)
async def test_a_blob_that_is_not_what_its_hash_says_is_refused(open_journal: Open, blobs: dict[str, bytes]) -> None:
    """Neither records nor any blob of the append are written, and no message is taken."""
    journal = open_journal()
    number = await posted(journal)
    with pytest.raises(JournalMisused):
        await journal.append("a", 1, encoded("a", 1), takes=[number], blobs=blobs)
    assert list(journal.read("a")) == []
    assert len(journal.messages("a")) == 1
    with pytest.raises(JournalBroken):
        journal.blob(LARGE_HASH)


async def test_a_blob_has_a_largest_size(open_journal: Open) -> None:
    """Far below what SQLite can hold, so the error is ours and says the limit."""
    with pytest.raises(JournalMisused, match="at most 268435456"):
        await open_journal().append("a", 1, encoded("a", 1), blobs={LARGE_HASH: bytes(256 * 1024 * 1024 + 1)})


@pytest.mark.parametrize("takes", [["1"], [0], [2**63], [True]])
async def test_what_never_was_an_id_cannot_be_taken(open_journal: Open, takes: list[Any]) -> None:
    """A bug of the caller is told apart from a message that is gone."""
    journal = open_journal()
    with pytest.raises(JournalMisused):
        await journal.append("a", 1, encoded("a", 1), takes=takes)
    assert list(journal.read("a")) == []


async def test_a_blob_that_is_not_there_is_an_error(open_journal: Open) -> None:
    """The message names the hash; what is no hash is a bug of the caller."""
    journal = open_journal()
    with pytest.raises(JournalBroken, match=LARGE_HASH):
        journal.blob(LARGE_HASH)
    for name in ("", "x" * 64, LARGE_HASH.upper(), f"{LARGE_HASH}\n"):
        with pytest.raises(JournalMisused):
            journal.blob(name)


async def test_changes_tells_whether_anything_was_written(open_journal: Open) -> None:
    """Each kind of write gives another number; asking and reading do not, and nor does a write that was refused."""
    journal = open_journal()
    seen = [journal.changes()]
    for write in (
        lambda: journal.append("a", 1, encoded("a", 1)),
        lambda: posted(journal),
        lambda: signalled(journal),
        lambda: journal.append("a", 2, encoded("a", 2), takes=[1], blobs={LARGE_HASH: LARGE}),
    ):
        await write()
        assert journal.changes() != seen[-1]
        seen.append(journal.changes())
    with pytest.raises(SequenceConflict):
        await journal.append("a", 9, encoded("a", 9))
    assert len(list(journal.read("a")) + journal.messages("a")) == 2
    assert journal.changes() == journal.changes() == seen[-1]


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
    for ask in (
        lambda: journal.query("SELECT * FROM totals"),
        lambda: journal.messages("a"),
        lambda: journal.runs_with_messages(),
        lambda: journal.signals("s", since=AT),
        lambda: journal.blob(LARGE_HASH),
        lambda: journal.changes(),
    ):
        with pytest.raises(JournalUnavailable, match="closed"):
            ask()
    for write in (posted, signalled):
        with pytest.raises(JournalUnavailable, match="closed"):
            await write(journal)


async def test_a_journal_in_memory_fails_when_told_to() -> None:
    """The next writes of any kind raise the given error and write nothing; then it works again."""
    journal = MemoryJournal()
    full = JournalUnavailable("The disk is full", "here", "Free some space")
    journal.fail_next(full, times=2)
    for _ in range(2):
        with pytest.raises(JournalError) as failed:
            await journal.append("a", 1, encoded("a", 1))
        assert failed.value is full
    await journal.append("a", 1, encoded("a", 1))
    journal.fail_next(full, times=2)
    for write in (posted, signalled):
        with pytest.raises(JournalUnavailable, match="full"):
            await write(journal)
    assert journal.runs_with_messages() == []
    assert journal.changes() == 1
    assert await posted(journal) == 1
    journal.close()
