"""Large values in a file: stored once, linked to the records that refer to them, and checked by verification."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from hikeshi.journal import JournalBroken, JournalError, Record, SqliteJournal, Verification, verify

Open = Callable[..., SqliteJournal]
Encode = Callable[..., list[bytes]]

SMALL, LARGE, LONELY = b"small", b"large " * 20_000, b"of one record only"


def hash_of(content: bytes) -> str:
    return sha256(content).hexdigest()


def hex_sql(content: bytes) -> str:
    return f"x'{hash_of(content)}'"


@pytest.fixture
def intact(path: Path, encoded: Encode) -> Path:
    """A journal in which records 2 and 4 of run "r" refer to blobs, and record 1 of "s" to one of them."""

    async def fill() -> None:
        journal = SqliteJournal.open(path)
        refers = encoded("r", 2, small=hash_of(SMALL), large=hash_of(LARGE))
        await journal.append("r", 1, encoded("r", 1) + refers, blobs={hash_of(SMALL): SMALL, hash_of(LARGE): LARGE})
        await journal.append("s", 1, encoded("s", 1, large=hash_of(LARGE)), blobs={hash_of(LARGE): LARGE})
        refers = encoded("r", 4, lonely=hash_of(LONELY))
        await journal.append("r", 3, encoded("r", 3) + refers, blobs={hash_of(LONELY): LONELY})
        journal.close()

    asyncio.run(fill())
    return path


@contextmanager
def edited(intact: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A copy of the journal, opened by somebody who knows how to get rid of triggers and constraints."""
    copy = intact.with_name("copy.db")
    shutil.copy(intact, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    try:
        yield copy, connection
    finally:
        connection.close()


def verified(intact: Path, *statements: str) -> Verification:
    with edited(intact) as (copy, connection):
        for statement in statements:
            connection.execute(statement)
        connection.close()
        return verify(copy)


def problems(intact: Path, *statements: str) -> list[tuple[str, int]]:
    found = verified(intact, *statements)
    assert (found.status == "broken") == bool(found.problems)
    return [(bad.run, bad.seq) for bad in found.problems]


def test_intact_blobs_are_ok(intact: Path) -> None:
    """And the note says which loss nobody could find."""
    found = verify(intact)
    assert (found.status, found.runs, found.records) == ("ok_unanchored_tail", 2, 5)
    assert "a blob was removed together with the links" in found.note


def test_the_same_content_is_stored_once(intact: Path, open_journal: Open) -> None:
    """Each record that holds the hash is linked to it."""
    journal = open_journal()
    assert journal.query("SELECT count(*) FROM blobs")[0][0] == 3
    links = journal.query("SELECT run, seq FROM blob_links WHERE hash = ? ORDER BY run", (sha256(LARGE).digest(),))
    assert [tuple(link) for link in links] == [("r", 2), ("s", 1)]


async def test_a_blob_that_no_record_names_belongs_to_the_first(open_journal: Open, encoded: Encode) -> None:
    """The journal does not know how a record refers to it, and verification still names a place."""
    journal = open_journal()
    await journal.append("a", 1, encoded("a", 1))
    await journal.append("a", 2, encoded("a", 2, 3), blobs={hash_of(SMALL): SMALL})
    assert [tuple(link) for link in journal.query("SELECT run, seq FROM blob_links")] == [("a", 2)]


@pytest.mark.parametrize(
    ("content", "bad"), [(SMALL, [("r", 2)]), (LARGE, [("r", 2), ("s", 1)]), (LONELY, [("r", 4)])], ids=len
)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blobs SET content = content || x'00' WHERE hash = {}",
        "UPDATE blobs SET content = substr(content, 2) WHERE hash = {}",
        "UPDATE blobs SET content = CAST(content AS TEXT) WHERE hash = {}",
        "UPDATE blobs SET content = zeroblob(length(content)) WHERE hash = {}",
        "DELETE FROM blobs WHERE hash = {}",
    ],
)
def test_an_altered_or_missing_blob_is_found_and_named(
    intact: Path, statement: str, content: bytes, bad: list[tuple[str, int]]
) -> None:
    """Each run that refers to it is named with the first record that does."""
    assert problems(intact, statement.replace("{}", hex_sql(content))) == bad


def test_what_is_wrong_with_a_blob_is_said(intact: Path) -> None:
    """Altered and missing are told apart, with the hash."""
    missing = verified(intact, f"DELETE FROM blobs WHERE hash = {hex_sql(SMALL)}").first_bad
    altered = verified(intact, f"UPDATE blobs SET content = x'00' WHERE hash = {hex_sql(SMALL)}").first_bad
    assert missing is not None
    assert altered is not None
    assert missing.what == f"the blob {hash_of(SMALL)} that it refers to is missing"
    assert altered.what == f"the blob {hash_of(SMALL)} that it refers to is not the one that was stored"


def test_swapped_blobs_are_found(intact: Path) -> None:
    """Content under another content's hash is altered content."""
    swap = [
        f"UPDATE blobs SET hash = x'00' WHERE hash = {hex_sql(SMALL)}",
        f"UPDATE blobs SET hash = {hex_sql(SMALL)} WHERE hash = {hex_sql(LONELY)}",
        f"UPDATE blobs SET hash = {hex_sql(LONELY)} WHERE hash = x'00'",
    ]
    assert problems(intact, *swap) == [("r", 2)]


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("DELETE FROM blob_links", [("", 0)] * 3),
        ("UPDATE blob_links SET seq = 9 WHERE seq = 4", [("r", 9)]),
        ("UPDATE blob_links SET run = 'q' WHERE seq = 4", [("q", 4)]),
        ("UPDATE blob_links SET hash = x'00' WHERE seq = 4", [("r", 4), ("", 0)]),
        ("UPDATE blob_links SET hash = 'text' WHERE seq = 4", [("r", 4), ("", 0)]),
        ("UPDATE blob_links SET seq = 'text' WHERE seq = 4", [("r", 0)]),
        ("INSERT INTO blobs VALUES (x'00', x'00')", [("", 0)]),
    ],
)
def test_links_that_lead_nowhere_are_found(intact: Path, statement: str, bad: list[tuple[str, int]]) -> None:
    """Blobs, links and records have to agree."""
    assert problems(intact, statement) == bad


def test_a_tail_cut_together_with_its_head_is_found_by_its_blobs(intact: Path) -> None:
    """Removing the newest records without a trace takes removing what they referred to as well."""
    cut = [
        "DELETE FROM records WHERE id = 5",
        "UPDATE heads SET (seq, hash) = (SELECT seq, hash FROM records WHERE id = 4) WHERE run = 'r'",
    ]
    assert problems(intact, *cut) == [("r", 4)]
    links = f"DELETE FROM blob_links WHERE hash = {hex_sql(LONELY)}"
    assert problems(intact, *cut, links, f"DELETE FROM blobs WHERE hash = {hex_sql(LONELY)}") == []


def test_a_run_with_a_broken_chain_is_named_once(intact: Path) -> None:
    """From its first bad record on nothing in a run is proven, its blobs neither."""
    broken = "UPDATE records SET encoded = x'00' WHERE run = 'r' AND seq = 1"
    assert problems(intact, broken, "DELETE FROM blobs") == [("r", 1), ("s", 1)]


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE blobs"],
        ["DROP TABLE blob_links"],
        ["DROP TABLE blobs", "DROP TABLE blob_links"],
        ["DROP TABLE blobs", "PRAGMA user_version = 1"],
    ],
    ids=len,
)
def test_lost_tables_are_an_error(intact: Path, statements: list[str]) -> None:
    """A lower version in the header does not hide them while one of them is left."""
    with pytest.raises(JournalBroken, match="tables are gone"):
        verified(intact, *statements)


def test_a_lower_version_does_not_hide_an_altered_blob(intact: Path) -> None:
    """What is in the file is checked, whatever its header says."""
    alter = f"UPDATE blobs SET content = x'00' WHERE hash = {hex_sql(SMALL)}"
    assert problems(intact, "PRAGMA user_version = 1", alter) == [("r", 2)]


def test_any_flipped_byte_of_a_blob_in_the_file_is_found(intact: Path) -> None:
    """Whether SQLite can still read the page or not."""
    original = intact.read_bytes()
    for position in (original.index(b"large large") + 40, original.index(SMALL), original.rindex(b"large large")):
        changed = bytearray(original)
        changed[position] ^= 1
        intact.write_bytes(changed)
        assert verify(intact).status == "broken"


def test_a_blob_on_a_damaged_page_is_found(intact: Path) -> None:
    """A chain of pages that leads nowhere breaks off the reading, not the verification."""
    content = bytearray(intact.read_bytes())
    page_bytes = int.from_bytes(content[16:18], "big")
    pages = range(0, len(content), page_bytes)
    of_large = [page for page in pages if bytes(content[page + 4 : page + page_bytes]) in LARGE]
    content[of_large[3] : of_large[3] + 4] = b"\xff" * 4  # where the next page of the chain is
    intact.write_bytes(content)
    assert [(bad.run, bad.seq) for bad in verify(intact).problems][:2] == [("r", 2), ("s", 1)]


@pytest.mark.parametrize("content", ["x'00'", "CAST(x'ff' AS TEXT)", "5"])
async def test_an_altered_blob_is_not_given_to_a_run(intact: Path, open_journal: Open, content: str) -> None:
    """Reading checks the hash, and says what is wrong with which blob."""
    journal = open_journal()
    editor = sqlite3.connect(intact, isolation_level=None)
    editor.execute("DROP TRIGGER blobs_are_not_updated")
    editor.execute("PRAGMA ignore_check_constraints = ON")
    editor.execute(f"UPDATE blobs SET content = {content} WHERE hash = {hex_sql(SMALL)}")
    editor.close()
    with pytest.raises(JournalBroken, match=f"not the one that was appended.*{hash_of(SMALL)}"):
        journal.blob(hash_of(SMALL))
    assert journal.blob(hash_of(LARGE)) == LARGE


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blobs SET content = x'00'",
        "DELETE FROM blobs",
        "REPLACE INTO blobs SELECT * FROM blobs",
        "UPDATE blob_links SET seq = 1",
        "DELETE FROM blob_links",
        "REPLACE INTO blob_links SELECT * FROM blob_links",
    ],
)
async def test_the_schema_refuses_accidents_with_blobs(open_journal: Open, encoded: Encode, statement: str) -> None:
    """A projection with a slip can't change what is stored."""

    class Slip:
        name = "slip"
        version = 1
        schema = "CREATE TABLE slip (x)"

        def apply(self, tx: sqlite3.Connection, record: Record) -> None:
            if record.seq == 2:
                tx.execute(statement)

    journal = open_journal(Slip())
    await journal.append("a", 1, encoded("a", 1), blobs={hash_of(SMALL): SMALL})
    with pytest.raises(JournalError, match="slip refused"):
        await journal.append("a", 2, encoded("a", 2))
    assert journal.blob(hash_of(SMALL)) == SMALL


async def test_the_log_does_not_grow_with_blobs(path: Path, open_journal: Open, encoded: Encode) -> None:
    """It is copied into the database and used again, and a blob that is there already is not written again."""
    journal = open_journal()
    for seq in range(1, 9):
        content = os.urandom(1_500_000)
        await journal.append("a", seq, encoded("a", seq), blobs={hash_of(content): content})
    grown = os.stat(path).st_size
    assert grown > 6_000_000
    assert os.stat(f"{path}-wal").st_size < 7_500_000
    for seq in range(9, 14):
        await journal.append("a", seq, encoded("a", seq), blobs={hash_of(content): content})
    journal.close()
    assert os.stat(path).st_size < 12_500_000
