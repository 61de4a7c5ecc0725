"""Where appends are committed: on their loop while that is quick, else in the writer's thread. SAFETY rule 19."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.journal import Record, SqliteJournal, verify
from hikeshi.journal.append import Append
from hikeshi.journal.batch import BatchWriter, Outcome, Work
from hikeshi.journal.database import connect_writer
from hikeshi.journal.file import JournalFile
from hikeshi.journal.pace import Pace
from hikeshi.journal.projection import Projections
from hikeshi.journal.record import decode_append
from hikeshi.journal.writer import Writer

pytestmark = pytest.mark.safety(19)

Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class Threads:
    """Notes which thread wrote each run."""

    name = "threads"
    version = 1
    schema = "CREATE TABLE threads (x)"

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def apply(self, tx: sqlite3.Connection, record: Record) -> None:
        self.of[record.run] = threading.get_ident()


class Batches:
    """In the place of a file: commits that take as long as they are told to, or find another process writing."""

    def __init__(self) -> None:
        self.commit_s = 0.0
        self.threads: list[int] = []
        self.others_write = False

    def write(self, works: Sequence[Work], *, may_wait: bool = True) -> list[Outcome] | None:
        if self.others_write and not may_wait:
            return None
        self.threads.append(threading.get_ident())
        return [1 for _ in works]

    def is_untidy(self) -> bool:
        return False

    def tidy(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
def writer(batches: Batches) -> Iterator[Writer]:
    made = Writer(batches, "nowhere")  # type: ignore[arg-type]  # what it uses of a BatchWriter
    yield made
    made.close()


def append_of(records: int = 1) -> Append:
    return Append("a", 1, [Record("a", 1, AT, "Noted", "", {}, b"{}")] * records)


async def test_large_records_are_left_to_the_thread(writer: Writer, batches: Batches) -> None:
    """One record may hold a thousand targets."""
    await writer.write(append_of())
    large = Record("a", 1, AT, "HoldsOpened", "", {}, b" " * 1_000_000)
    await writer.write(Append("a", 1, [large]))
    assert threading.get_ident() not in batches.threads


async def test_the_first_commit_holds_up_no_loop(writer: Writer, batches: Batches) -> None:
    """It opens files, which takes its time on any disk."""
    await writer.write(append_of())
    assert batches.threads != [threading.get_ident()]


async def test_appends_of_one_turn_are_one_commit_on_their_own_loop(writer: Writer, batches: Batches) -> None:
    """Nothing is handed over to another thread while commits are quick."""
    await writer.write(append_of())
    await asyncio.gather(*(writer.write(append_of()) for _ in range(30)))
    assert batches.threads[1:] == [threading.get_ident()]


async def test_after_a_slow_commit_the_thread_writes(writer: Writer, batches: Batches) -> None:
    """A slow disk holds up the loop once, not at every append."""
    await writer.write(append_of())
    batches.commit_s = 0.05
    await writer.write(append_of())
    await writer.write(append_of())
    await writer.write(append_of())
    here = threading.get_ident()
    assert [each == here for each in batches.threads] == [False, True, False, False]


async def test_a_large_turn_is_left_to_the_thread(writer: Writer, batches: Batches) -> None:
    """Thousands of records take their time on any disk."""
    await writer.write(append_of())
    await asyncio.gather(*(writer.write(append_of(20)) for _ in range(30)))
    assert threading.get_ident() not in batches.threads


async def test_while_another_process_writes_the_thread_waits_for_it(writer: Writer, batches: Batches) -> None:
    """The loop never waits for a lock."""
    await writer.write(append_of())
    batches.others_write = True
    await writer.write(append_of())
    assert len(batches.threads) == 2
    assert threading.get_ident() not in batches.threads


async def test_a_turn_that_was_given_up_is_not_committed(writer: Writer, batches: Batches) -> None:
    """Somebody who was cancelled before the end of the turn leaves nothing behind."""
    await writer.write(append_of())
    given_up = asyncio.create_task(writer.write(append_of()))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0.01)
    assert len(batches.threads) == 1


def test_a_pause_grows_with_what_was_slow() -> None:
    """At most one part in two hundred of all time goes into commits that turn out to be slow."""
    now = 0.0
    pace = Pace(lambda: now)
    pace.took(0.001)
    assert pace.allows()
    pace.took(0.01)
    now = 1.9
    assert not pace.allows()
    now = 2.1
    assert pace.allows()


async def test_a_file_is_written_on_the_loop_and_stays_whole(
    path: Path, open_journal: Open, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chain does not depend on who wrote."""
    monkeypatch.setattr("hikeshi.journal.pace._QUICK_S", 10.0)
    threads = Threads()
    open_journal(threads).close()  # whoever creates the tables copies the log at the next commit
    journal = open_journal(threads)
    await journal.append("first", 1, encoded("first", 1))
    await asyncio.gather(*(journal.append(f"r{n}", 1, encoded(f"r{n}", 1, 2)) for n in range(20)))
    assert {threads.of[f"r{n}"] for n in range(20)} == {threading.get_ident()}
    journal.close()
    assert verify(path).records == 41


async def test_another_process_that_writes_does_not_hold_up_the_loop(
    path: Path, open_journal: Open, encoded: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The append waits for its lock, and everything else goes on."""
    monkeypatch.setattr("hikeshi.journal.pace._QUICK_S", 10.0)
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    await journal.append("a", 2, encoded("a", 2))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    waiting = asyncio.create_task(journal.append("a", 3, encoded("a", 3)))
    await asyncio.sleep(0.05)
    assert time.monotonic() - began < 5
    assert not waiting.done()
    other.execute("ROLLBACK")
    await asyncio.wait_for(waiting, 5)
    other.close()


def test_a_write_that_is_broken_off_leaves_the_connection_usable(path: Path, encoded: Encode) -> None:
    """Somebody who ends the program in the middle of a commit of its loop leaves no transaction open."""

    class BrokenOff:
        name = "broken"
        version = 1
        schema = "CREATE TABLE broken (x)"

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            if record.run == "a":
                raise KeyboardInterrupt

    connection = connect_writer(JournalFile.at(path), 1.0)
    batches = BatchWriter(connection, JournalFile.at(path), Projections([BrokenOff()]))
    batches.refill()
    with pytest.raises(KeyboardInterrupt):
        batches.write([Append("a", 1, decode_append("a", 1, encoded("a", 1)))])
    assert batches.write([Append("b", 1, decode_append("b", 1, encoded("b", 1)))]) == [1]
    batches.close()
