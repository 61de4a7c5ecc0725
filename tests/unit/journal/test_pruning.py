"""Taking bytes out of a journal: only of whole runs that are listed, with their blobs, and nothing else ever."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

import hikeshi
from hikeshi.journal import JournalBroken, JournalPruned, SqliteJournal, append_to_stream, encode_record, verify
from hikeshi.journal.pruning import RETENTION, RUNS_PRUNED, PrunedRun, Removal, digest_of, pruned_by
from hikeshi.journal.statements import migrations, run_script

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]


async def prune(journal: SqliteJournal, run: str) -> int:
    """Say that a run is pruned, and take its bytes out."""
    hashes = [row[0] for row in journal.query("SELECT hash FROM records WHERE run = ? ORDER BY seq", (run,))]
    each = PrunedRun(run, len(hashes), digest_of(hashes))
    data = {"by": "x", "before": "", "pack": "p", "sha256": "", "runs": [each._asdict()], "limits": []}
    seq = await append_to_stream(journal, RETENTION, RUNS_PRUNED, data, AT)
    return await journal.remove_bytes(Removal([each], seq))


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def test_the_bytes_of_a_run_are_gone_and_its_places_are_there(
    path: Path, open_journal: Open, encoded: Encode
) -> None:
    """Also from the file, once its log is folded in; other runs, and appending to them, are as before."""
    journal = open_journal()
    text = "a-rather-long-text-that-is-found " * 4
    record = encode_record(run="old", seq=1, at=AT, kind="Noted", path="", data={"text": text})
    await journal.append("old", 1, [record, *encoded("old", 2)])
    await journal.append("new", 1, encoded("new", 1))
    places = journal.places(0, 10)

    assert await prune(journal, "old") == 2
    assert journal.places(0, 3) == places
    with pytest.raises(JournalPruned, match="was pruned"):
        list(journal.read("old"))
    await journal.append("new", 2, encoded("new", 2))
    assert len(list(journal.read("new"))) == 2
    journal.close()
    assert b"a-rather-long-text" not in content_of(path)
    found = verify(path)
    assert (found.status, found.pruned, found.records) == ("ok_unanchored_tail", 2, 5)


async def test_large_values_go_with_the_last_run_that_refers_to_them(open_journal: Open) -> None:
    """One that another run has, too, stays."""
    journal = open_journal()
    contents = {sha256(text).hexdigest(): text for text in (b"own" * 9, b"shared" * 9)}
    own, shared = contents
    for run in ("old", "new"):
        kept = contents if run == "old" else {shared: contents[shared]}
        data = {"blobs": list(kept)}
        await journal.append(
            run, 1, [encode_record(run=run, seq=1, at=AT, kind="Noted", path="", data=data)], blobs=kept
        )

    await prune(journal, "old")

    assert journal.blob(shared) == contents[shared]
    with pytest.raises(JournalBroken, match="not stored"):
        journal.blob(own)
    assert [row[0] for row in journal.query("SELECT run FROM blob_links")] == ["new"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET encoded = x'' WHERE run = 'new'",
        "UPDATE records SET encoded = x'00' WHERE run = 'old'",
        "UPDATE records SET encoded = x'', hash = zeroblob(32) WHERE run = 'old'",
        "UPDATE records SET encoded = x'', seq = seq + 7 WHERE run = 'old'",
        "DELETE FROM records WHERE run = 'old'",
        "DELETE FROM records WHERE run = 'new'",
        "DELETE FROM pruned",
        "UPDATE pruned SET run = 'new'",
        "DELETE FROM blob_links WHERE run = 'new'",
        "DELETE FROM blobs",
    ],
)
async def test_the_speed_bumps_let_nothing_else_through(path: Path, open_journal: Open, statement: str) -> None:
    """Whoever goes past the program by accident is stopped, after pruning as before."""
    journal = open_journal()
    blob = b"value" * 9
    name = sha256(blob).hexdigest()
    for run in ("old", "new"):
        record = encode_record(run=run, seq=1, at=AT, kind="Noted", path="", data={"blob": name})
        await journal.append(run, 1, [record], blobs={name: blob})
    await prune(journal, "old")
    journal.close()
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match=r"never|stays pruned"):
        connection.execute(statement)
    connection.close()


async def test_tables_are_not_filled_from_bytes_that_somebody_took(path: Path, open_journal: Open) -> None:
    """Only what is listed as pruned is passed over."""
    journal = open_journal()
    await journal.append("a", 1, [encode_record(run="a", seq=1, at=AT, kind="Noted", path="", data={})])
    await journal.append("old", 1, [encode_record(run="old", seq=1, at=AT, kind="Noted", path="", data={})])
    await prune(journal, "old")
    assert journal.rebuild() == 2
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER records_are_not_updated")
    connection.execute("UPDATE records SET encoded = x'' WHERE run = 'a'")
    connection.commit()
    connection.close()

    with pytest.raises(JournalBroken, match="not a record"):
        journal.rebuild()
    with pytest.raises(JournalBroken):
        list(journal.read("a"))


@pytest.mark.parametrize(
    "data",
    [{}, {"runs": "x"}, {"runs": [1]}, {"runs": [{"run": 1, "records": 1, "hashes": ""}]}, {"runs": [{"run": "a"}]}],
    ids=str,
)
async def test_a_record_of_another_form_says_nothing(open_journal: Open, data: dict[str, object]) -> None:
    """Whoever edits the file can't make verification fail otherwise than by a finding."""
    journal = open_journal()
    await append_to_stream(journal, RETENTION, RUNS_PRUNED, data, AT)  # type: ignore[arg-type]
    (record,) = journal.read(RETENTION)

    assert list(pruned_by(record)) == []


async def test_a_journal_from_before_pruning_is_brought_up_to_date(path: Path, open_journal: Open) -> None:
    """Its records stay, and its old runs can be pruned."""
    connection = sqlite3.connect(path, isolation_level=None)
    for script in migrations()[:3]:
        run_script(connection, script)
    connection.execute(f"PRAGMA application_id = {0x48494B45}")
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    assert verify(path).status == "ok_unanchored_tail"
    journal = open_journal()
    await journal.append("old", 1, [encode_record(run="old", seq=1, at=AT, kind="Noted", path="", data={})])

    assert await prune(journal, "old") == 1


def test_a_program_from_before_pruning_leaves_the_journal_alone(tmp_path: Path, path: Path, open_journal: Open) -> None:
    """It would take what was pruned for damage, or fill its tables without what others know."""
    open_journal().close()
    old = tmp_path / "program" / "hikeshi"
    shutil.copytree(Path(hikeshi.__file__).parent / "journal", old / "journal")
    shutil.copy(Path(hikeshi.__file__).parent / "quick_dataclass.py", old)
    (old / "__init__.py").touch()
    (old / "journal" / "sql" / "migrations" / "0004_pruned_runs.sql").unlink()
    before = path.read_bytes()
    program = (
        "import sys; from pathlib import Path; from hikeshi.journal import *; SqliteJournal.open(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(old.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "JournalNewer" in done.stderr
    assert "schema 4, this program knows 3" in done.stderr
    assert path.read_bytes() == before
