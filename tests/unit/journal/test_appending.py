"""Appends that meet, from one loop or several, and the failures that they share. SAFETY rule 19."""

import asyncio
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hikeshi.journal import (
    JournalBroken,
    JournalError,
    JournalUnavailable,
    Record,
    SequenceConflict,
    SqliteJournal,
    verify,
)
from hikeshi.journal.append import Append
from hikeshi.journal.batch import BatchWriter
from hikeshi.journal.database import connect_writer
from hikeshi.journal.file import JournalFile
from hikeshi.journal.projection import Projections
from hikeshi.journal.record import decode_append

pytestmark = pytest.mark.safety(19)

Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]


class Gate:
    """Holds the writer in the middle of a batch while it is shut, and counts transactions by their changes."""

    name = "gate"
    version = 1
    schema = "CREATE TABLE gate (transactions INTEGER)"

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        if record.run == "first":
            self.entered.set()
            self.open.wait(5)


class Room:
    """Limits the size of the database as a full disk would, when a record says so."""

    name = "room"
    version = 1
    schema = "CREATE TABLE room (x)"

    def __init__(self) -> None:
        self.pages = 2**31

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        tx.execute(f"PRAGMA max_page_count = {self.pages}")


async def test_appends_that_meet_are_one_transaction(path: Path, open_journal: Open, encoded: Encode) -> None:
    """While one batch is written, the others gather; one commit serves them all."""
    gate = Gate()
    journal = open_journal(gate)
    watcher = sqlite3.connect(path, isolation_level=None)
    first = asyncio.create_task(journal.append("first", 1, encoded("first", 1)))
    await asyncio.to_thread(gate.entered.wait, 5)
    others = [asyncio.create_task(journal.append(f"r{n}", 1, encoded(f"r{n}", 1))) for n in range(30)]
    await asyncio.sleep(0)
    seen = set()
    gate.open.set()
    await first
    while not all(task.done() for task in others):
        seen.add(watcher.execute("SELECT count(*) FROM records").fetchone()[0])
        await asyncio.sleep(0)
    assert seen <= {1, 31}
    watcher.close()


async def test_one_conflict_in_a_batch_fails_alone(open_journal: Open, encoded: Encode) -> None:
    """Neighbours in the same transaction are written."""
    gate = Gate()
    journal = open_journal(gate)
    first = asyncio.create_task(journal.append("first", 1, encoded("first", 1)))
    await asyncio.to_thread(gate.entered.wait, 5)
    places = [("a", 1), ("a", 3), ("a", 2), ("b", 2), ("b", 1)]
    tasks = [asyncio.create_task(journal.append(run, seq, encoded(run, seq))) for run, seq in places]
    await asyncio.sleep(0)
    gate.open.set()
    await first
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        SequenceConflict,
        type(None),
        SequenceConflict,
        type(None),
    ]
    assert [len(list(journal.read(run))) for run in "ab"] == [2, 1]


async def test_an_append_given_up_before_its_turn_is_not_written(open_journal: Open, encoded: Encode) -> None:
    """A cancelled caller that was still queueing leaves nothing behind."""
    gate = Gate()
    journal = open_journal(gate)
    first = asyncio.create_task(journal.append("first", 1, encoded("first", 1)))
    await asyncio.to_thread(gate.entered.wait, 5)
    queued = asyncio.create_task(journal.append("a", 1, encoded("a", 1)))
    await asyncio.sleep(0)
    queued.cancel()
    await asyncio.sleep(0)
    gate.open.set()
    await first
    await journal.append("b", 1, encoded("b", 1))
    assert list(journal.read("a")) == []


async def test_an_append_given_up_while_it_is_written_is_whole(open_journal: Open, encoded: Encode) -> None:
    """Cancelling too late neither disturbs the writer nor halves the append."""
    gate = Gate()
    journal = open_journal(gate)
    first = asyncio.create_task(journal.append("first", 1, encoded("first", 1, 2)))
    await asyncio.to_thread(gate.entered.wait, 5)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.open.set()
    await journal.append("b", 1, encoded("b", 1))
    assert len(list(journal.read("first"))) == 2


async def test_a_busy_loop_does_not_starve_the_writer(open_journal: Open, encoded: Encode) -> None:
    """A loop that is never idle, but polls often, still gets its appends done."""
    journal = open_journal()

    async def never_idle() -> None:
        while True:
            sum(range(2_000))
            await asyncio.sleep(0)

    busy = asyncio.create_task(never_idle())
    for seq in range(1, 21):
        await asyncio.wait_for(journal.append("a", seq, encoded("a", seq)), 1)
    busy.cancel()


def test_several_event_loops_share_a_journal(path: Path, open_journal: Open, encoded: Encode) -> None:
    """Appends come from any thread with a loop; each is answered on its own."""
    journal = open_journal()

    async def fill(run: str) -> None:
        for seq in range(1, 41):
            await journal.append(run, seq, encoded(run, seq))

    threads = [threading.Thread(target=lambda run=run: asyncio.run(fill(run))) for run in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(list(journal.read(run))) for run in "abc"] == [40, 40, 40]
    assert verify(path).status == "ok_unanchored_tail"


def test_a_loop_that_ended_does_not_stop_the_writer(open_journal: Open, encoded: Encode) -> None:
    """Whoever stopped waiting can't take the others down."""
    gate = Gate()
    journal = open_journal(gate)

    async def leave() -> None:
        task = asyncio.create_task(journal.append("first", 1, encoded("first", 1)))
        await asyncio.to_thread(gate.entered.wait, 5)
        task.cancel()

    asyncio.run(leave())
    gate.open.set()
    asyncio.run(journal.append("b", 1, encoded("b", 1)))
    assert len(list(journal.read("first"))) == 1


async def test_closing_writes_what_is_queued(open_journal: Open, encoded: Encode) -> None:
    """Nobody who was let in is turned away."""
    journal = open_journal()
    tasks = [asyncio.create_task(journal.append(f"r{n}", 1, encoded(f"r{n}", 1))) for n in range(20)]
    await asyncio.sleep(0)
    journal.close()
    assert await asyncio.gather(*tasks) == [None] * 20


async def test_each_hash_covers_the_one_before(path: Path, open_journal: Open, encoded: Encode) -> None:
    """The chain can be checked with nothing but SHA-256 and the documented start."""
    records = encoded("a", 1, 2, 3)
    journal = open_journal()
    await journal.append("a", 1, records)
    expected = hashlib.sha256(b"hikeshi journal chain v1\0" + b"a").digest()
    for row, encoded_record in zip(journal.query("SELECT encoded, hash FROM records"), records, strict=True):
        expected = hashlib.sha256(expected + encoded_record).digest()
        assert (row["encoded"], row["hash"]) == (encoded_record, expected)


async def test_a_full_disk_fails_the_batch_and_heals(path: Path, open_journal: Open, encoded: Encode) -> None:
    """Nothing of a batch that found no room is left, and appends work again once there is room."""
    room = Room()
    journal = open_journal(room)
    await journal.append("a", 1, encoded("a", 1))
    room.pages = 1  # SQLite takes it as the present size
    await journal.append("a", 2, encoded("a", 2))
    outcomes = await asyncio.gather(
        journal.append("a", 3, encoded("a", 3) + encoded("a", 4, filling="x" * 200_000)),
        journal.append("b", 1, encoded("b", 1, filling="x" * 200_000)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [JournalUnavailable, JournalUnavailable]
    assert outcomes[0] is not outcomes[1]
    assert "the disk is full" in str(outcomes[0])
    assert "no change may start" in str(outcomes[0])
    assert [record.seq for record in journal.read("a")] == [1, 2]
    room.pages = 2**31
    # Raising the limit takes a record that fits into what is there.
    await journal.append("a", 3, encoded("a", 3))
    await journal.append("a", 4, encoded("a", 4, filling="x" * 200_000))
    journal.close()
    assert verify(path).records == 4


async def test_the_log_is_copied_into_the_database_and_used_again(
    path: Path, open_journal: Open, encoded: Encode
) -> None:
    """The file beside the journal does not grow with every record."""
    journal = open_journal()
    for seq in range(1, 25):
        await journal.append("a", seq, encoded("a", seq, filling="x" * 500_000))
    assert os.stat(path).st_size > 6_000_000
    assert os.stat(f"{path}-wal").st_size < 6_000_000


def test_a_log_of_many_small_commits_stays_short(path: Path, encoded: Encode) -> None:
    """What fills it is the pages that each commit writes, not only the bytes of the records."""
    file = JournalFile.at(path)
    connection = connect_writer(file, 1.0)
    connection.execute("PRAGMA synchronous = OFF")
    batches = BatchWriter(connection, file, Projections([]))
    for seq in range(1, 1001):
        outcomes = batches.write([Append("a", seq, decode_append("a", seq, encoded("a", seq)))])
        assert outcomes is not None
        assert not isinstance(outcomes[0], Exception)
        batches.tidy()
    assert os.stat(f"{path}-wal").st_size < 6_000_000
    batches.close()


async def test_a_long_reader_does_not_hold_appends_up(path: Path, open_journal: Open, encoded: Encode) -> None:
    """Copying the log gives way to somebody who still reads an older state, a verification for instance."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
    for seq in range(2, 8):
        await asyncio.wait_for(journal.append("a", seq, encoded("a", seq, filling="x" * 1_500_000)), 2)
    assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
    reader.close()


@pytest.mark.parametrize("lost", ["journal.db", "journal.db-wal"])
async def test_a_deleted_file_is_noticed(path: Path, open_journal: Open, encoded: Encode, lost: str) -> None:
    """SQLite would go on writing to a file that nobody can open any more; the journal does not."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    path.with_name(lost).unlink()
    with pytest.raises(JournalUnavailable, match="deleted, moved or replaced"):
        await journal.append("a", 2, encoded("a", 2))


async def test_a_file_moved_away_and_back_works_again(path: Path, open_journal: Open, encoded: Encode) -> None:
    """What was refused while the file was away is not in it afterwards."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    os.rename(path, path.with_name("elsewhere"))
    with pytest.raises(JournalUnavailable):
        await journal.append("a", 2, encoded("a", 2))
    os.rename(path.with_name("elsewhere"), path)
    assert [record.seq for record in journal.read("a")] == [1]
    await journal.append("a", 2, encoded("a", 2))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE records SET kind = 1", "DELETE FROM records", "REPLACE INTO records SELECT * FROM records"],
)
async def test_the_schema_refuses_accidents(open_journal: Open, encoded: Encode, statement: str) -> None:
    """A projection with a slip can't change what happened."""

    class Slip:
        name = "slip"
        version = 1
        schema = "CREATE TABLE slip (x)"

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            if record.seq == 2:
                tx.execute(statement.replace("kind = 1", "seq = 9"))

    journal = open_journal(Slip())
    await journal.append("a", 1, encoded("a", 1))
    with pytest.raises(JournalError, match="slip refused"):
        await journal.append("a", 2, encoded("a", 2))
    assert len(list(journal.read("a"))) == 1


async def test_reading_an_altered_run_stops_at_the_record(path: Path, open_journal: Open, encoded: Encode) -> None:
    """No run is driven on from records that nobody appended."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1, 2, 3))
    editor = sqlite3.connect(path, isolation_level=None)
    editor.execute("DROP TRIGGER records_are_not_updated")
    editor.execute("UPDATE records SET encoded = (SELECT encoded FROM records WHERE seq = 1) WHERE seq = 2")
    with pytest.raises(JournalBroken, match="run a, record 2"):
        list(journal.read("a"))
    editor.execute("UPDATE records SET encoded = ? WHERE seq = 2", encoded("a", 2, changed=True))
    with pytest.raises(JournalBroken, match="run a, record 2"):
        list(journal.read("a"))
    editor.close()


async def test_records_beyond_their_head_are_not_overwritten(path: Path, open_journal: Open, encoded: Encode) -> None:
    """Heads that somebody set back make the append fail alone and loudly."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1, 2))
    editor = sqlite3.connect(path, isolation_level=None)
    editor.execute("UPDATE heads SET seq = 1")
    editor.close()
    with pytest.raises(JournalBroken, match="verify the journal"):
        await journal.append("a", 2, encoded("a", 2))
    await journal.append("b", 1, encoded("b", 1))
