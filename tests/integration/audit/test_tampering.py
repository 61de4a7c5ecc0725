"""Every way of tampering with every record of a journal of 200 is found, and the first bad record is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from audit_archive import Archive, build_now, go_on, rows_of, sign_anew, write_anew

from hikeshi.audit.note import new_signer
from hikeshi.audit.verification import Verdict, verify_journal

RECORDS = 200
EACH = range(1, RECORDS + 1)
CASES: dict[str, int] = {}

Tamper = Callable[[sqlite3.Connection, int], None]
Place = tuple[str, int, int]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A journal of six runs, signed and anchored about every 25 records."""
    return build_now(tmp_path_factory.mktemp("archive"), records=RECORDS)


@pytest.fixture(scope="module", autouse=True)
def counted(pytestconfig: pytest.Config) -> Iterator[None]:
    """Say at the end how many cases were tried."""
    yield
    reporter = pytestconfig.pluginmanager.getplugin("terminalreporter")
    if CASES and reporter is not None:
        shown = ", ".join(f"{name} {count}" for name, count in CASES.items())
        reporter.write_line(f"\ntampering: {sum(CASES.values())} cases ({shown})")


def tampered(archive: Archive, tamper: Tamper, at: int, anchors: list[Path]) -> Verdict:
    """Return the verdict on a copy that was tampered with at a place."""
    with archive.edited() as (copy, connection):
        tamper(connection, at)
        connection.execute("COMMIT")
        connection.close()
        return verify_journal(copy, archive.key, anchors)


def place(found: Verdict) -> Place | None:
    bad = found.first_bad
    return None if bad is None else (bad.run, bad.seq, bad.position)


def at_itself(archive: Archive, at: int) -> Place:
    return (*archive.places[at - 1], at)


def at_the_next(archive: Archive, at: int) -> Place:
    return (*archive.places[at], at + 1)


def flip(column: str) -> Tamper:
    def tamper(connection: sqlite3.Connection, at: int) -> None:
        (value,) = connection.execute(f"SELECT {column} FROM records WHERE id = ?", (at,)).fetchone()
        changed = bytearray(value)
        changed[at * 7 % len(changed)] ^= 1 << at % 8
        connection.execute(f"UPDATE records SET {column} = ? WHERE id = ?", (bytes(changed), at))

    return tamper


def delete(connection: sqlite3.Connection, at: int) -> None:
    connection.execute("DELETE FROM records WHERE id = ?", (at,))


def delete_and_close_the_gap(connection: sqlite3.Connection, at: int) -> None:
    delete(connection, at)
    for number in range(at + 1, RECORDS + 1):
        connection.execute("UPDATE records SET id = ? WHERE id = ?", (number - 1, number))


def swap_with_next(connection: sqlite3.Connection, at: int) -> None:
    for old, new in ((at, -1), (at + 1, at), (-1, at + 1)):
        connection.execute("UPDATE records SET id = ? WHERE id = ?", (new, old))


def change_and_compute_anew(connection: sqlite3.Connection, at: int) -> None:
    rows = rows_of(connection)
    run, seq, encoded = rows[at - 1]
    rows[at - 1] = run, seq, encoded.replace(b"Noted", b"Faked")
    write_anew(connection, rows)


def delete_and_compute_anew(connection: sqlite3.Connection, at: int) -> None:
    rows = rows_of(connection)
    del rows[at - 1]
    write_anew(connection, rows)


def swap_and_compute_anew(connection: sqlite3.Connection, at: int) -> None:
    rows = rows_of(connection)
    rows[at - 1], rows[at] = rows[at], rows[at - 1]
    write_anew(connection, rows)


def insert_and_compute_anew(connection: sqlite3.Connection, at: int) -> None:
    """Insert a forged record before this one, into another run or, every third time, into a new one."""
    rows = rows_of(connection)
    _, seq, encoded = rows[at - 1]
    rows.insert(at - 1, ("forged" if at % 3 == 0 else f"r-{at % 6}", seq, encoded.replace(b"Noted", b"Faked")))
    write_anew(connection, rows)


def cut_to(connection: sqlite3.Connection, keep: int) -> None:
    """Leave only the first records, as if the others had never been: heads and checkpoints fit them."""
    write_anew(connection, rows_of(connection)[:keep])
    connection.execute("DELETE FROM checkpoints WHERE size > ?", (keep,))


def cut_records_only(connection: sqlite3.Connection, keep: int) -> None:
    connection.execute("DELETE FROM records WHERE id > ?", (keep,))


def with_another_key(tamper: Tamper) -> Tamper:
    def changed(connection: sqlite3.Connection, at: int) -> None:
        tamper(connection, at)
        (name,) = connection.execute("SELECT note FROM checkpoints LIMIT 1").fetchone()
        sign_anew(connection, new_signer(name.splitlines()[0]))

    return changed


def without_checkpoints(tamper: Tamper) -> Tamper:
    def changed(connection: sqlite3.Connection, at: int) -> None:
        tamper(connection, at)
        connection.execute("DELETE FROM checkpoints")

    return changed


BEFORE_LAST = range(1, RECORDS)
MATRIX: dict[str, tuple[Tamper, range, Callable[[Archive, int], Place]]] = {
    "a bit of the bytes": (flip("encoded"), EACH, at_itself),
    "a bit of the hash": (flip("hash"), EACH, at_itself),
    "deleted": (delete, EACH, at_itself),
    "deleted, gap closed": (delete_and_close_the_gap, EACH, at_itself),
    "swapped with the next": (swap_with_next, BEFORE_LAST, at_itself),
    "changed, chain anew": (change_and_compute_anew, EACH, at_itself),
    "deleted, chain anew": (delete_and_compute_anew, EACH, at_itself),
    "swapped, chain anew": (swap_and_compute_anew, BEFORE_LAST, at_itself),
    "inserted, chain anew": (insert_and_compute_anew, EACH, at_itself),
    "tail cut": (cut_to, range(RECORDS), at_the_next),
    "tail cut, heads left": (cut_records_only, range(RECORDS), at_the_next),
    "changed, another key": (with_another_key(change_and_compute_anew), EACH, at_itself),
    "changed, unsigned": (without_checkpoints(change_and_compute_anew), EACH, at_itself),
}


def test_the_untouched_copy_is_ok(archive: Archive) -> None:
    """Or else every finding below would mean nothing."""
    found = verify_journal(archive.path, archive.key, [archive.anchor])

    assert (found.status, found.records, found.anchored_to, found.problems) == ("ok", RECORDS, RECORDS, ())
    assert len(archive.sizes) >= RECORDS // 30


@pytest.mark.safety(23)
@pytest.mark.parametrize("name", MATRIX)
def test_tampering_is_found_and_the_first_bad_record_is_named(archive: Archive, name: str) -> None:
    """By its run, its number there, and its place in the journal, with an anchor that lists the records."""
    tamper, places, expected = MATRIX[name]
    for at in places:
        found = tampered(archive, tamper, at, [archive.anchor])

        assert found.status == "broken", (name, at)
        assert place(found) == expected(archive, at), (name, at)
    CASES[name] = len(places)


@pytest.mark.safety(23)
@pytest.mark.parametrize("name", MATRIX)
def test_tampering_is_found_by_an_anchor_that_has_notes_alone(archive: Archive, name: str) -> None:
    """It is then narrowed down to the records between two checkpoints, where only their tree tells."""
    tamper, places, expected = MATRIX[name]
    tried = places[::8]
    for at in tried:
        found = tampered(archive, tamper, at, [archive.notes_only])

        run, seq, position = expected(archive, at)
        before = max((size for size in archive.sizes if size < position), default=0)
        assert found.status == "broken", (name, at)
        assert found.first_bad is not None
        named = (found.first_bad.run, found.first_bad.seq) == (run, seq)
        assert named or before < found.first_bad.position <= position, (name, at)
    CASES[f"{name} (notes alone)"] = len(tried)


@pytest.mark.safety(23)
@pytest.mark.parametrize("name", ["changed, chain anew", "deleted, chain anew", "inserted, chain anew"])
def test_a_chain_computed_anew_is_found_without_an_anchor(archive: Archive, name: str) -> None:
    """The checkpoints in the journal itself do not fit it, and nobody else can sign others."""
    tamper, places, _ = MATRIX[name]
    for at in places[::5]:
        assert tampered(archive, tamper, at, []).status == "broken", (name, at)
    CASES[f"{name} (no anchor)"] = len(places[::5])


@pytest.mark.safety(23)
def test_another_key_never_verifies(archive: Archive) -> None:
    """A journal that fits its checkpoints, which somebody else has signed; and the right journal with a wrong key."""
    tamper = with_another_key(change_and_compute_anew)
    for at in EACH[::5]:
        assert tampered(archive, tamper, at, []).status == "wrong_key", at
    wrong = new_signer(archive.key.name).verifier

    assert verify_journal(archive.path, wrong, []).status == "wrong_key"
    assert verify_journal(archive.path, wrong, [archive.anchor]).status == "wrong_key"
    CASES["another key (no anchor)"] = len(EACH[::5]) + 2


@pytest.mark.safety(23)
def test_an_older_copy_is_found_against_a_newer_anchor(archive: Archive) -> None:
    """The file is what it once was, checkpoints included; alone it is intact, and the anchor knows of more."""
    for size in archive.sizes[:-1]:
        alone = verify_journal(archive.older[size], archive.key, [])
        found = verify_journal(archive.older[size], archive.key, [archive.anchor])

        assert (alone.status, alone.signed_to) == ("ok_unanchored_tail", size)
        assert (found.status, place(found)) == ("broken", at_the_next(archive, size))
        by_notes = verify_journal(archive.older[size], archive.key, [archive.notes_only])
        assert by_notes.status == "broken"
        assert by_notes.first_bad is not None
        assert by_notes.first_bad.position == size + 1
    CASES["older copy"] = 2 * len(archive.sizes[:-1])


@pytest.mark.safety(23)
def test_a_log_that_went_on_from_an_older_copy_is_found(archive: Archive, tmp_path: Path) -> None:
    """With the real key, and sent to the same anchor: it has signed two stories, and the anchor keeps the first."""
    for size in archive.sizes[:-1]:
        forked = tmp_path / f"forked-{size}"
        go_on(archive, size, forked)
        anchor, journal = forked / "anchor", forked / "journal.db"
        alone = verify_journal(journal, archive.key)
        found = verify_journal(journal, archive.key, [anchor])
        by_notes = verify_journal(journal, archive.key, [archive.notes_only])

        assert alone.status == "ok_unanchored_tail"
        assert (found.status, place(found)) == ("broken", at_the_next(archive, size))
        assert (by_notes.status, by_notes.first_bad and by_notes.first_bad.position) == ("broken", size + 1)
    CASES["went on from an older copy"] = 2 * len(archive.sizes[:-1])


def test_at_least_a_thousand_cases_are_tried() -> None:
    """As many as the matrix has, whatever part of it is run."""
    assert sum(len(places) for _, places, _ in MATRIX.values()) >= 1_000
