"""Several processes on one journal, and processes that are killed while they write."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from hikeshi.journal import SqliteJournal, verify

Start = Callable[..., subprocess.Popen[str]]
Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]

WRITER = """
import asyncio, resource, sys
from datetime import UTC, datetime
from pathlib import Path
from hikeshi.journal import JournalUnavailable, SequenceConflict, SqliteJournal, encode_record

def encoded(run, seq, **data):
    return encode_record(run=run, seq=seq, at=datetime.now(UTC), kind="Noted", path="s", data=data)
"""

FILL = (
    WRITER
    + """
async def fill(journal, run, seqs):
    for seq in seqs:
        await journal.append(run, seq, [encoded(run, seq, filling="x" * 500)])
        print(run, seq, flush=True)

async def main():
    journal = SqliteJournal.open(Path(sys.argv[1]))
    await asyncio.gather(*(fill(journal, run, range(1, int(sys.argv[2]) + 1)) for run in sys.argv[3:]))
    journal.close()

asyncio.run(main())
"""
)

CONTEND = (
    WRITER
    + """
async def main():
    journal = SqliteJournal.open(Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    won, seq = 0, 1
    while seq <= 60:
        try:
            await journal.append("shared", seq, [encoded("shared", seq, by=sys.argv[2])])
            won += 1
        except SequenceConflict as conflict:
            seq = conflict.last_seq
        seq += 1
    journal.close()
    print(won, flush=True)

asyncio.run(main())
"""
)

FULL_DISK = (
    WRITER
    + """
async def main():
    journal = SqliteJournal.open(Path(sys.argv[1]))
    await journal.append("a", 1, [encoded("a", 1)])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
    seq = 2
    try:
        while True:
            await journal.append("a", seq, [encoded("a", seq, filling="x" * 20_000)])
            seq += 1
    except JournalUnavailable as exc:
        print(exc, flush=True)
    try:
        await journal.append("b", 1, [encoded("b", 1, filling="x" * 20_000)])
        print("no error")
    except JournalUnavailable as exc:
        print("still full", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    await journal.append("a", seq, [encoded("a", seq)])
    print(seq, flush=True)
    journal.close()

asyncio.run(main())
"""
)


def test_two_processes_append_to_one_journal(path: Path, start_python: Start) -> None:
    """Both create, open and fill the same file at the same time, and all of it is there."""
    processes = [start_python(FILL, path, 60, f"{name}1", f"{name}2") for name in ("x", "y")]
    outputs = [process.communicate(timeout=20)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [len(lines) for lines in outputs] == [120, 120]
    found = verify(path)
    assert (found.status, found.records, found.runs) == ("ok_unanchored_tail", 240, 4)


def test_two_processes_never_write_the_same_place(path: Path, start_python: Start) -> None:
    """Each place of a run that two want is won by exactly one of them."""
    processes = [start_python(CONTEND, path, name) for name in ("x", "y")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    won = [int(process.communicate("go\n", timeout=20)[0]) for process in processes]
    assert sum(won) == 60
    assert verify(path).records == 60


def test_a_killed_writer_loses_nothing_it_was_told(
    path: Path, start_python: Start, open_journal: Open, encoded: Encode
) -> None:
    """After kill -9 the chain is whole, every acknowledged record is there, and writing goes on."""
    process = start_python(FILL, path, 100_000, "a", "b", "c")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    lines += process.communicate(timeout=20)[0].splitlines()
    acknowledged = {"a": 0, "b": 0, "c": 0}
    for line in lines:
        match line.split():
            case [run, seq] if seq.isdigit():
                acknowledged[run] = max(acknowledged[run], int(seq))
    assert verify(path).status == "ok_unanchored_tail"
    journal = open_journal()
    stored = {run: len(list(journal.read(run))) for run in acknowledged}
    # One more of each run may have been committed before its line was printed, and a last line may be cut off.
    assert all(0 <= stored[run] - acknowledged[run] <= 2 for run in acknowledged)
    asyncio.run(journal.append("a", stored["a"] + 1, encoded("a", stored["a"] + 1)))


def test_a_file_system_without_room_is_reported_and_survived(path: Path, start_python: Start) -> None:
    """The system refuses to let the files grow; when it stops refusing, the run goes on where it was."""
    message, still_full, last_seq = start_python(FULL_DISK, path).communicate(timeout=20)[0].splitlines()
    assert "Cannot write the journal: the disk" in message
    assert str(path) in message
    assert still_full == "still full"
    found = verify(path)
    assert (found.status, found.records) == ("ok_unanchored_tail", int(last_seq))
