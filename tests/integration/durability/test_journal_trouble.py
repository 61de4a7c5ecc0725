"""A journal that cannot be used: a full disk under way, and files that are locked, not writable, foreign or newer."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from durable_process import opened
from durable_site import Site

from hikeshi.journal import JournalError, JournalForeign, JournalLocked, JournalNewer, SqliteJournal
from hikeshi.runtime.projections import standard_projections

pytestmark = pytest.mark.safety(19)

FULL_DISK = Path(__file__).parent / "full_disk_process.py"
TEXT = """
id: t
steps:
  - {id: one, action: edr.get_host, with: {name: pc1}}
  - {id: two, action: edr.get_host, with: {name: pc2}}
  - {id: cut1, action: edr.isolate_host, with: {host: "{{ steps.one }}", reason: r}}
  - {id: cut2, action: edr.isolate_host, with: {host: "{{ steps.two }}", reason: r}}
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path), "COLUMNS": "200"}


# --- a disk that becomes full -----------------------------------------------------------------------------------------


def full(site: Site, patience_s: float) -> subprocess.Popen[str]:
    """Start a process whose disk is full after its first change."""
    site.write(TEXT)
    command = [sys.executable, str(FULL_DISK), str(site.folder), str(site.folder / "room"), str(patience_s)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment(), stdout=pipe, stderr=pipe, text=True)
    site.processes.append(process)
    return process


def test_a_full_disk_starts_no_change_says_why_and_goes_on_when_there_is_room(site: Site) -> None:
    """Nobody has to start anything again: the run waits, and ends as if nothing had been."""
    process = full(site, patience_s=60)
    assert process.stdout is not None
    for _ in range(2):  # it is tried again and again
        line = process.stdout.readline()
        assert line.startswith("trouble: run "), line + str(process.communicate())
        assert "starts nothing" in line
        assert "full" in line
        assert str(site.folder) in line
    assert site.fleet.changes("isolate") == {"pc1": 1}

    (site.folder / "room").touch()
    output, errors = process.communicate(timeout=60)

    assert output.splitlines()[-1] == "ended: succeeded", errors
    assert site.fleet.changes("isolate") == {"pc1": 1, "pc2": 1}


def test_a_disk_that_stays_full_halts_the_run_and_the_next_process_goes_on(site: Site) -> None:
    """What was done and could not be stored is found by looking: no change is sent twice."""
    process = full(site, patience_s=1.5)
    output, errors = process.communicate(timeout=60)
    assert output.splitlines()[-1].startswith("halted: "), errors
    assert "full" in output.splitlines()[-1]
    assert site.fleet.changes("isolate") == {"pc1": 1}

    told = site.end_of(site.start("work", park_after_s=1))

    assert told["ended"] == {"succeeded": 1}
    assert site.fleet.changes("isolate") == {"pc1": 1, "pc2": 1}


# --- files that cannot be used ----------------------------------------------------------------------------------------


@pytest.fixture
def used(site: Site) -> Site:
    """A project with one run in its journal."""
    site.write(TEXT)

    async def run() -> None:
        async with site.app() as app:
            await app.start_run("t", {}, actor="ana", mode="live")

    asyncio.run(run())
    site.fleet.asked.clear()
    return site


def journal_of(site: Site) -> Path:
    return site.folder / ".hikeshi" / "journal.db"


def foreign(path: Path) -> None:
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE accounts (name TEXT)")
    other.commit()
    other.close()


def no_database(path: Path) -> None:
    path.write_text("these are notes of somebody\n" * 100, encoding="utf-8")


def newer(path: Path) -> None:
    journal = sqlite3.connect(path)
    journal.execute("PRAGMA user_version = 999")
    journal.commit()
    journal.close()


SPOILED: dict[str, tuple[Callable[[Path], None], type[JournalError], str]] = {
    "foreign": (foreign, JournalForeign, "is a database of another program"),
    "no database": (no_database, JournalForeign, "is not a"),
    "newer": (newer, JournalNewer, "has schema 999, this program knows"),
}


def begun(site: Site, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a command of the program with --json."""
    line = [*before, sys.executable, "-m", "hikeshi.cli", "--project", str(site.folder), *arguments, "--json"]
    return subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code of a command, and its document."""
    output, errors = process.communicate(timeout=60)
    assert output, errors
    return process.returncode, json.loads(output)


def command(site: Site, *arguments: str, before: Sequence[str] = ()) -> tuple[int, dict[str, dict[str, str]]]:
    return ended(begun(site, *arguments, before=before))


async def start_and_fail(site: Site) -> JournalError:
    app = opened(site.folder)
    try:
        with pytest.raises(JournalError) as caught:
            await app.start_run("t", {}, actor="ana", mode="live")
        return caught.value
    finally:
        await app.aclose()


@pytest.mark.parametrize("how", SPOILED)
def test_a_file_that_is_no_journal_of_ours_is_refused_and_not_touched(used: Site, how: str) -> None:
    """By the application before anything is sent, and by the command line with its own exit code."""
    spoil, error, words = SPOILED[how]
    spoil(journal_of(used))
    before = journal_of(used).read_bytes()

    failed = asyncio.run(start_and_fail(used))
    code, told = command(used, "runs")

    assert isinstance(failed, error)
    assert words in str(failed)
    assert str(journal_of(used)) in str(failed)
    assert (code, told["error"]["code"]) == (6, "journal")
    assert words in told["error"]["message"]
    assert used.fleet.asked == []
    assert journal_of(used).read_bytes() == before


def test_a_journal_that_somebody_keeps_locked_is_an_error_that_says_how_to_find_them(used: Site) -> None:
    """Nothing is sent; when the lock is gone, everything works again."""
    holder = sqlite3.connect(journal_of(used), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    listing = begun(used, "runs")  # it waits for a while, as the other one does
    failed = asyncio.run(start_and_fail(used))
    code, told = ended(listing)
    holder.close()

    assert isinstance(failed, JournalLocked)
    assert "lsof" in str(failed)
    assert (code, told["error"]["code"]) == (6, "journal")
    assert "locked" in told["error"]["message"]
    assert used.fleet.asked == []
    assert command(used, "runs")[0] == 0


@pytest.mark.skipif(os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may write every file")
def test_a_journal_that_may_only_be_read_is_an_error_that_says_so(used: Site) -> None:
    """Found when it is opened, before anything is sent."""
    folder = journal_of(used).parent
    for path in (*folder.glob("journal.db*"), folder):
        path.chmod(0o500 if path.is_dir() else 0o400)
    rights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    code, told = command(used, "runs", before=rights)
    started = used.start("start", "t", before=rights)
    _, errors = started.communicate(timeout=60)
    folder.chmod(0o700)

    assert (code, told["error"]["code"]) == (6, "journal")
    for words in (told["error"]["message"], errors):
        assert "only be read" in words or "owner and the mode" in words
    assert started.returncode != 0
    assert used.fleet.asked == []


def test_a_journal_that_becomes_locked_under_way_is_waited_for(used: Site) -> None:
    """It is said why; nothing starts meanwhile; the run goes on by itself."""
    used.fleet.isolated.clear()
    troubles: list[str] = []

    async def run() -> str | None:
        async with used.app() as app:
            app.journal = SqliteJournal.open(app.journal_path, standard_projections(), busy_timeout_s=0.1)
            holder = sqlite3.connect(journal_of(used), isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")

            def note(text: str) -> None:
                troubles.append(text)
                holder.close()

            app.trouble = note
            state = await app.start_run("t", {}, actor="ana", mode="live")
            return state.finished

    assert asyncio.run(run()) == "succeeded"
    assert len(troubles) == 1
    assert "starts nothing" in troubles[0]
    assert used.fleet.changes("isolate") == {"pc1": 1, "pc2": 1}
