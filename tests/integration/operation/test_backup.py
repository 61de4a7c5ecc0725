"""Backups of a journal that is being written, and what putting one back says and refuses."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from operated import Operated, make_project

from hikeshi.journal import verify
from hikeshi.journal.copying import head_of


@pytest.fixture
def project(tmp_path: Path) -> Operated:
    """A project in which one run has ended."""
    project = make_project(tmp_path / "project")
    assert project("run", "note").code == 0
    return project


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Where the backup goes."""
    return tmp_path / "backup.db"


def test_a_backup_under_load_is_whole_and_of_one_moment(project: Operated, copy: Path) -> None:
    """Another process appends thousands of records meanwhile; the copy ends somewhere, and is intact up to there."""
    with project.under_load():
        before = head_of(project.journal).records
        made = project("backup", str(copy), "--json")
        after = head_of(project.journal).records

    assert made.code == 0, made.err
    assert before <= made.document["records"] < after
    assert made.document["intact"]
    found = verify(copy)
    assert (found.status, found.records) == ("ok_unanchored_tail", made.document["records"])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in copy.parent.iterdir() if path.name.startswith((".backup", "backup.db-"))] == []
    key = copy.with_name("hikeshi.key")
    key.write_text(project("audit", "key").out)
    checked = project("audit", "verify", str(copy), "--key", str(key), "--json")
    assert (checked.code, checked.document["signed_to"]) == (0, made.document["signed_to"])


def test_a_backup_is_never_written_over_another_file(project: Operated, copy: Path) -> None:
    """Nor where nothing is to be backed up, and into no folder that is not there."""
    copy.write_text("somebody's")
    assert project("backup", str(copy)).code == 2
    assert copy.read_text() == "somebody's"
    assert "no such folder" in project("backup", str(copy.parent / "gone" / "x")).err
    empty = make_project(copy.parent / "empty")
    assert "there is no journal yet" in empty("backup", str(copy.parent / "x")).err
    assert not (copy.parent / "x").exists()


def test_a_journal_that_is_not_intact_is_copied_and_that_is_said(project: Operated, copy: Path) -> None:
    """A copy of what is left is worth more than none, and nobody takes it for a good one."""
    connection = sqlite3.connect(project.journal)
    connection.execute("DROP TRIGGER records_are_not_updated")
    connection.execute("UPDATE records SET encoded = CAST(encoded || ' ' AS BLOB) WHERE id = 2")
    connection.commit()
    connection.close()

    made = project("backup", str(copy), "--json")

    assert (made.code, made.document["intact"], made.document["first_bad"]["seq"]) == (6, False, 2)
    assert copy.exists()
    refused = project("restore", str(copy), "--replace")
    assert refused.code == 2
    assert "not intact" in refused.err


def test_what_is_newer_is_replaced_only_when_that_is_said(project: Operated, copy: Path) -> None:
    """It is kept under a name with the time, and what is lost is listed; the anchor's older log is found."""
    assert project("backup", str(copy)).code == 0
    later = project("run", "note", "--json").document["run"]
    before = head_of(project.journal)

    refused = project("restore", str(copy))
    assert refused.code == 2
    assert "--replace" in refused.err
    assert head_of(project.journal) == before

    done = project("restore", str(copy), "--replace", "--json")
    assert done.code == 0, done.err
    assert list(done.document["lost"]) == [later]
    assert list(done.document["older_than"].values()) == [before.records]
    aside = Path(done.document["aside"])
    assert aside.name.startswith("journal.db.replaced-")
    assert head_of(aside) == before
    assert verify(aside).first_bad is None
    assert later not in project("runs").out

    checked = project("audit", "verify", "--json")
    assert (checked.code, checked.document["status"]) == (6, "broken")
    assert checked.document["first_bad"]["position"] == done.document["records"] + 1
    assert project("run", "note").code == 0  # it goes on all the same


def test_a_backup_that_holds_everything_is_put_back_without_more(project: Operated, copy: Path) -> None:
    """A journal that is a beginning of the backup, or is gone, loses nothing; that it was restored is on record."""
    assert project("backup", str(copy)).code == 0
    (key := project.folder / ".hikeshi" / "audit.key").rename(copy.with_name("key"))
    shutil.rmtree(project.folder / ".hikeshi")
    (project.folder / ".hikeshi").mkdir(mode=0o700)
    copy.with_name("key").rename(key)

    first = project("restore", str(copy), "--json")
    assert first.code == 0, first.err
    assert (first.code, first.document["aside"], first.document["older_than"]) == (0, None, {})
    assert stat.S_IMODE(project.journal.stat().st_mode) == 0o600
    assert project("audit", "verify").code == 0
    connection = sqlite3.connect(project.journal)
    rows = connection.execute("SELECT encoded FROM records WHERE run = 'audit'").fetchall()
    connection.close()
    assert any(b"JournalRestored" in row[0] for row in rows)

    assert project("backup", str(copy.with_name("second.db"))).code == 0
    again = project("restore", str(copy.with_name("second.db")), "--json")
    assert (again.code, again.document["lost"]) == (0, {}), again.err
    assert again.document["aside"] is not None


def test_a_journal_that_cannot_be_read_is_set_aside_as_it_is(project: Operated, copy: Path) -> None:
    """For whoever looks into it later."""
    assert project("backup", str(copy)).code == 0
    project.journal.write_bytes(b"no database at all" * 100)

    assert "can't be told" in project("restore", str(copy)).err
    done = project("restore", str(copy), "--replace", "--json")

    assert done.code == 0, done.err
    aside = Path(done.document["aside"])
    assert aside.read_bytes().startswith(b"no database at all")
    assert project("run", "note").code == 0


@pytest.mark.parametrize("who", ["a writer", "a reader"])
def test_nothing_is_restored_while_somebody_has_the_journal_open(project: Operated, copy: Path, who: str) -> None:
    """Whether they drive runs or only look; nothing is moved."""
    assert project("backup", str(copy)).code == 0
    before = head_of(project.journal).records
    if who == "a writer":
        with project.under_load():
            refused = project("restore", str(copy), "--replace")
    else:
        reader = sqlite3.connect(f"file:{project.journal}?mode=ro", uri=True)
        reader.execute("SELECT count(*) FROM records").fetchone()
        refused = project("restore", str(copy), "--replace")
        reader.close()

    assert refused.code == 2
    assert "Somebody has the journal open" in refused.err or "processes work on this project" in refused.err
    assert head_of(project.journal).records >= before
    assert [name for name in os.listdir(project.journal.parent) if "restoring" in name or "replaced" in name] == []


def test_what_is_no_journal_is_not_restored(project: Operated, tmp_path: Path) -> None:
    """Another program's database, a text, a file that is not there."""
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE cookies (x)")
    connection.close()
    (tmp_path / "text").write_text("hello " * 200)
    before = head_of(project.journal)

    codes = [project("restore", str(tmp_path / name), "--replace").code for name in ("other.db", "text", "gone")]

    assert all(code in (2, 6) for code in codes)
    assert head_of(project.journal) == before
