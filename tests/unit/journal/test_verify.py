"""Verification: each way of tampering with each record is found and named. SAFETY rule 23, without anchors yet."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hikeshi.journal import JournalBroken, JournalError, JournalForeign, JournalUnavailable, SqliteJournal, verify
from hikeshi.journal.chain import genesis_hash, next_hash

pytestmark = pytest.mark.safety(23)

LENGTH = 30
EACH = range(1, LENGTH + 1)

Tamper = Callable[[sqlite3.Connection, int], None]


@pytest.fixture
def intact(path: Path, encoded: Callable[..., list[bytes]]) -> Path:
    """A journal whose run "r" has 30 records, with others before, among and after them."""

    async def fill() -> None:
        journal = SqliteJournal.open(path)
        await journal.append("before", 1, encoded("before", 1, 2))
        await journal.append("r", 1, encoded("r", *range(1, 13)))
        await journal.append("among", 1, encoded("among", 1, 2, 3))
        await journal.append("r", 13, encoded("r", *range(13, LENGTH + 1)))
        await journal.append("after", 1, encoded("after", 1))
        journal.close()

    asyncio.run(fill())
    return path


@contextmanager
def edited(intact: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A copy of the journal, opened by somebody who knows how to get rid of triggers and constraints."""
    copy = intact.with_name("copy.db")
    shutil.copy(intact, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for trigger in ("records_are_not_updated", "records_are_not_deleted"):
        connection.execute(f"DROP TRIGGER {trigger}")
    try:
        yield copy, connection
    finally:
        connection.close()


def first_bad(intact: Path, tamper: Tamper, seq: int) -> tuple[str, int] | None:
    with edited(intact) as (copy, connection):
        tamper(connection, seq)
        connection.close()
        found = verify(copy)
    assert (found.status == "broken") == (found.first_bad is not None)
    return found.first_bad and (found.first_bad.run, found.first_bad.seq)


def flip(column: str, byte: float) -> Tamper:
    def tamper(connection: sqlite3.Connection, seq: int) -> None:
        (value,) = connection.execute(f"SELECT {column} FROM records WHERE run = 'r' AND seq = ?", (seq,)).fetchone()
        changed = bytearray(value)
        changed[min(int(byte * len(value)), len(value) - 1)] ^= 1
        connection.execute(f"UPDATE records SET {column} = ? WHERE run = 'r' AND seq = ?", (bytes(changed), seq))

    return tamper


def execute(*statements: str) -> Tamper:
    def tamper(connection: sqlite3.Connection, seq: int) -> None:
        other = seq % LENGTH + 1
        for statement in statements:
            connection.execute(statement, {"seq": seq, "other": other, "first": min(seq, other)})

    return tamper


def insert_in_the_middle(connection: sqlite3.Connection, seq: int) -> None:
    connection.execute("UPDATE records SET seq = -seq WHERE run = 'r' AND seq >= ?", (seq,))
    connection.execute("UPDATE records SET seq = 1 - seq WHERE run = 'r' AND seq < 0")
    copy_as(connection, "before", 1, "r", seq)


def copy_as(connection: sqlite3.Connection, run: str, seq: int, new_run: str, new_seq: int) -> None:
    connection.execute(
        "INSERT INTO records (run, seq, encoded, hash)"
        " SELECT ?, ?, encoded, hash FROM records WHERE run = ? AND seq = ?",
        (new_run, new_seq, run, seq),
    )


def swap(*columns: str) -> Tamper:
    """Swap columns of a record and its neighbour (of the last one: the first)."""

    def tamper(connection: sqlite3.Connection, seq: int) -> None:
        names = ", ".join(columns)
        marks = ", ".join("?" for _ in columns)
        query = f"SELECT id, {names} FROM records WHERE run = 'r' AND seq IN (?, ?)"
        (one, *ones), (two, *twos) = connection.execute(query, (seq, seq % LENGTH + 1)).fetchall()
        connection.execute("UPDATE records SET seq = -seq WHERE id IN (?, ?)", (one, two))
        for row, values in ((one, twos), (two, ones)):
            connection.execute(f"UPDATE records SET ({names}) = ({marks}) WHERE id = ?", (*values, row))
        connection.execute("UPDATE records SET seq = -seq WHERE seq < 0")

    return tamper


def place_itself(seq: int) -> tuple[str, int]:
    return "r", seq


def place_of_the_earlier(seq: int) -> tuple[str, int]:
    return "r", min(seq, seq % LENGTH + 1)


def place_after_the_end(seq: int) -> tuple[str, int]:
    return "r", LENGTH + 1


MATRIX: dict[str, tuple[Tamper, Callable[[int], tuple[str, int]]]] = {
    "flip the first byte": (flip("encoded", 0), place_itself),
    "flip a byte in the middle": (flip("encoded", 0.5), place_itself),
    "flip a byte of the data": (flip("encoded", 0.97), place_itself),
    "flip the last byte": (flip("encoded", 1), place_itself),
    "flip a byte of the hash": (flip("hash", 0.5), place_itself),
    "delete": (execute("DELETE FROM records WHERE run = 'r' AND seq = :seq"), place_itself),
    "delete from here on": (execute("DELETE FROM records WHERE run = 'r' AND seq >= :seq"), place_itself),
    "swap contents": (swap("encoded"), place_of_the_earlier),
    "swap contents and hashes": (swap("encoded", "hash"), place_of_the_earlier),
    "swap sequence numbers": (swap("seq"), place_of_the_earlier),
    "insert and move the rest": (insert_in_the_middle, place_itself),
    "copy to the end": (lambda c, seq: copy_as(c, "r", seq, "r", LENGTH + 1), place_after_the_end),
    "put in another run's row": (execute("UPDATE records SET run = 'x' WHERE run = 'r' AND seq = :seq"), place_itself),
    "put in a known run's row": (
        execute("UPDATE records SET run = 'among', seq = seq + 90 WHERE run = 'r' AND seq = :seq"),
        place_itself,
    ),
    "number much higher": (execute("UPDATE records SET seq = seq + 64 WHERE run = 'r' AND seq = :seq"), place_itself),
    "number as zero": (execute("UPDATE records SET seq = 0 WHERE run = 'r' AND seq = :seq"), place_itself),
    "number as text": (execute("UPDATE records SET seq = 'x' WHERE run = 'r' AND seq = :seq"), place_itself),
    "store as text": (
        execute("UPDATE records SET encoded = CAST(encoded AS TEXT) WHERE run = 'r' AND seq = :seq"),
        place_itself,
    ),
    "store nothing": (execute("UPDATE records SET encoded = x'' WHERE run = 'r' AND seq = :seq"), place_itself),
}


@pytest.mark.parametrize("way", MATRIX)
def test_tampering_with_any_record_is_found_and_named(intact: Path, way: str) -> None:
    """Whichever record it is done to, the first bad record is the one that verification names."""
    tamper, place = MATRIX[way]
    assert {seq: first_bad(intact, tamper, seq) for seq in EACH} == {seq: place(seq) for seq in EACH}


def test_any_flipped_byte_of_a_record_is_found(intact: Path) -> None:
    """No byte of a record is outside the chain."""
    with edited(intact) as (copy, connection):
        (value,) = connection.execute("SELECT encoded FROM records WHERE run = 'r' AND seq = 5").fetchone()
        for position in range(len(value)):
            changed = bytearray(value)
            changed[position] ^= 1
            connection.execute("UPDATE records SET encoded = ? WHERE run = 'r' AND seq = 5", (bytes(changed),))
            bad = verify(copy).first_bad
            assert bad is not None
            assert (bad.run, bad.seq) == ("r", 5)


def test_an_intact_journal_is_ok_as_far_as_it_can_tell(intact: Path) -> None:
    """Verification counts what it saw, and says in plain words what it can't see."""
    found = verify(intact)
    assert (found.status, found.records, found.runs) == ("ok_unanchored_tail", LENGTH + 6, 4)
    assert (found.first_bad, found.problems) == (None, ())
    for word in ("cut off", "whole runs", "older copy", "anew", "signed checkpoint kept elsewhere"):
        assert word in found.note


def test_a_journal_is_verified_while_it_is_written(intact: Path, encoded: Callable[..., list[bytes]]) -> None:
    """A running process neither hinders verification nor is hindered."""
    journal = SqliteJournal.open(intact)
    asyncio.run(journal.append("r", LENGTH + 1, encoded("r", LENGTH + 1)))
    assert verify(intact).records == LENGTH + 7
    asyncio.run(journal.append("r", LENGTH + 2, encoded("r", LENGTH + 2)))
    journal.close()
    assert verify(intact).status == "ok_unanchored_tail"


def test_an_empty_journal_is_ok(path: Path) -> None:
    """Nothing appended, nothing wrong."""
    SqliteJournal.open(path).close()
    assert verify(path).records == 0


@pytest.mark.parametrize("cut", [1, 5, LENGTH])
def test_a_cut_tail_is_found_by_the_head_it_left(intact: Path, cut: int) -> None:
    """Records that the head still knows are missed."""
    delete = execute(f"DELETE FROM records WHERE run = 'r' AND seq > {LENGTH - cut}")
    assert first_bad(intact, delete, 0) == ("r", LENGTH - cut + 1)


def test_a_tail_cut_together_with_its_head_is_not_found_yet(intact: Path) -> None:
    """The limit that the note speaks of: the newest run removed without a trace."""
    cut = execute("DELETE FROM records WHERE run = 'after'", "DELETE FROM heads WHERE run = 'after'")
    assert first_bad(intact, cut, 0) is None


@pytest.mark.parametrize(
    ("run", "next_run", "next_seq"), [("before", "r", 1), ("among", "r", 13)], ids=["first run", "run in the middle"]
)
def test_a_whole_run_removed_leaves_a_gap(intact: Path, run: str, next_run: str, next_seq: int) -> None:
    """The numbers of the journal have no gap, so a removed run is missed unless somebody closes it."""
    cut = execute(f"DELETE FROM records WHERE run = '{run}'", f"DELETE FROM heads WHERE run = '{run}'")
    assert first_bad(intact, cut, 0) == (next_run, next_seq)


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("DELETE FROM heads WHERE run = 'r'", ("r", LENGTH)),
        ("DELETE FROM records WHERE run = 'after'", ("after", 1)),
        ("INSERT INTO heads VALUES ('ghost', 3, x'00')", ("ghost", 1)),
        ("UPDATE heads SET seq = 7 WHERE run = 'r'", ("r", 8)),
        ("UPDATE heads SET seq = 'x' WHERE run = 'r'", ("r", 1)),
        ("UPDATE heads SET seq = 99 WHERE run = 'r'", ("r", LENGTH + 1)),
        ("UPDATE heads SET hash = x'00' WHERE run = 'r'", ("r", LENGTH)),
        ("UPDATE heads SET run = 'q' WHERE run = 'r'", ("r", LENGTH)),
    ],
)
def test_a_changed_head_is_found(intact: Path, statement: str, bad: tuple[str, int]) -> None:
    """Heads and records have to agree."""
    assert first_bad(intact, execute(statement), 0) == bad


def test_a_record_that_follows_the_chain_but_not_the_head_is_found(
    intact: Path, encoded: Callable[..., list[bytes]]
) -> None:
    """Adding a record with a right hash is not enough."""
    (forged,) = encoded("r", LENGTH + 1)

    def add(connection: sqlite3.Connection, seq: int) -> None:
        (last,) = connection.execute("SELECT hash FROM heads WHERE run = 'r'").fetchone()
        row = ("r", LENGTH + 1, forged, next_hash(last, forged))
        connection.execute("INSERT INTO records (run, seq, encoded, hash) VALUES (?, ?, ?, ?)", row)

    assert first_bad(intact, add, 0) == ("r", LENGTH + 1)


def test_records_do_not_fit_into_another_run(intact: Path, encoded: Callable[..., list[bytes]]) -> None:
    """Each run's chain starts from its own name."""
    assert genesis_hash("a") != genesis_hash("b")


def test_records_that_changed_their_order_in_the_journal_are_found(intact: Path) -> None:
    """The order of the whole journal and that of each run agree."""
    swap_ids = execute(
        "UPDATE records SET id = -1 WHERE run = 'r' AND seq = 4",
        "UPDATE records SET id = id - 1 WHERE run = 'r' AND seq = 5",
        "UPDATE records SET id = (SELECT id + 1 FROM records WHERE run = 'r' AND seq = 5) WHERE id = -1",
    )
    assert first_bad(intact, swap_ids, 0) == ("r", 4)


def test_a_doubled_row_is_found_without_the_index(intact: Path) -> None:
    """Somebody who rebuilt the table without its constraint can't hide a record that stands twice."""
    double = execute(
        "CREATE TABLE copies AS SELECT * FROM records",
        "DROP TABLE records",
        "CREATE TABLE records (id INTEGER PRIMARY KEY, run, seq, encoded, hash)",
        "INSERT INTO records SELECT * FROM copies",
        "INSERT INTO records (run, seq, encoded, hash) SELECT run, seq, encoded, hash FROM copies WHERE id = 7",
    )
    assert first_bad(intact, double, 0) == ("r", 5)


def test_each_run_names_its_first_problem_once(intact: Path) -> None:
    """Several broken runs are told apart, in the order of the journal."""
    with edited(intact) as (copy, connection):
        connection.execute("DELETE FROM records WHERE run = 'r' AND seq IN (3, 9)")
        connection.execute("UPDATE records SET encoded = x'00' WHERE run = 'before' AND seq = 2")
        connection.close()
        found = verify(copy)
    assert [(bad.run, bad.seq) for bad in found.problems] == [("before", 2), ("r", 3)]
    assert found.first_bad == found.problems[0]


def test_at_most_a_hundred_problems_are_listed(path: Path, encoded: Callable[..., list[bytes]]) -> None:
    """A journal full of holes gives a list that can be read."""

    async def fill() -> None:
        journal = SqliteJournal.open(path)
        await asyncio.gather(*(journal.append(f"r{n}", 1, encoded(f"r{n}", 1)) for n in range(120)))
        journal.close()

    asyncio.run(fill())
    with edited(path) as (copy, connection):
        connection.execute("UPDATE records SET hash = zeroblob(32)")
        assert len(verify(copy).problems) == 100


def test_damaged_projections_do_not_matter(intact: Path) -> None:
    """Only records, heads and their chain are evidence; the rest can be rebuilt."""
    drop = execute("DROP TABLE projections", "DROP TABLE projection_objects", "CREATE TABLE projections (x)")
    assert first_bad(intact, drop, 0) is None


def test_a_journal_without_its_tables_is_an_error(intact: Path) -> None:
    """A file that lost its records altogether says so."""
    with edited(intact) as (copy, connection):
        connection.execute("DROP TABLE records")
        with pytest.raises(JournalBroken, match="tables are gone"):
            verify(copy)


def test_an_index_that_disagrees_with_its_table_is_found(intact: Path) -> None:
    """A run is read by the index, so a record that only the table has would be lost without a word."""
    content = bytearray(intact.read_bytes())
    places = [at for at in range(len(content)) if content.startswith(b"among", at)]
    # In a row of the table the record's bytes follow the run and its number; in a row of the index they do not.
    in_index = [at for at in places if b'{"v":1' not in content[at : at + 14] and content[at - 1] != ord('"')]
    content[in_index[0]] ^= 1
    intact.write_bytes(content)
    assert verify(intact).status == "broken"


def test_a_missing_file_is_an_error(path: Path) -> None:
    """Verifying creates nothing."""
    with pytest.raises(JournalUnavailable, match="no journal"):
        verify(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"x", b"not a database " * 1_000, b"SQLite format 3\0" + b"\0" * 5_000])
def test_a_file_that_is_no_journal_is_an_error(path: Path, content: bytes) -> None:
    """Whatever the file is, verification says that it is not a journal."""
    path.write_bytes(content)
    with pytest.raises(JournalForeign):
        verify(path)


def test_garbage_in_the_file_never_crashes_verification(intact: Path) -> None:
    """Overwritten anywhere, a journal is broken, an error of ours, or as good as before."""
    original = intact.read_bytes()
    chance = random.Random(5)
    outcomes = set()
    for _ in range(150):
        changed = bytearray(original)
        start = chance.randrange(len(changed))
        changed[start : start + chance.choice([1, 40, 4_096])] = chance.randbytes(chance.choice([1, 40, 4_096]))
        intact.write_bytes(changed[: chance.choice([len(original), len(original) // 2, None])])
        try:
            outcomes.add(verify(intact).status)
        except JournalError as exc:
            outcomes.add(type(exc).__name__)
        finally:
            for suffix in ("-wal", "-shm"):
                intact.with_name(intact.name + suffix).unlink(missing_ok=True)
    assert "broken" in outcomes
