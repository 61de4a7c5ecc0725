"""Writing packs: what stands in each file, byte for byte, and what of the journal a pack shows."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sqlite3
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.errors import PackError
from hikeshi.audit.keys import KEY_FILE, write_key
from hikeshi.audit.note import SignerKey
from hikeshi.audit.pack import Written, write_pack
from hikeshi.audit.verification import verify_journal, verify_pack
from hikeshi.journal import encode_record

pytestmark = pytest.mark.safety(24)

SIGNER = SignerKey.parse("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz", "here")
KEY = SIGNER.verifier
AT = datetime(2026, 2, 3, tzinfo=UTC)
MANIFEST = """\
{
 "format": "hikeshi audit pack 1",
 "run": "b",
 "size": 5,
 "records": 2,
 "key": "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
 "blobs": []
}
"""


@pytest.fixture
def signed(log: Any, now: Any, anchor: Any) -> Any:
    """A journal of the runs a and b: three records and two, of which the last but one was signed and anchored."""

    async def fill() -> None:
        write_key(log.folder / KEY_FILE, SIGNER)
        for run, count in (("a", 1), ("b", 1), ("a", 1), ("b", 1)):
            await log.add(run, count)
        await CheckpointMaker(log.journal, log.folder, now).make()
        await Delivery(log.journal, [anchor], now).send()
        await log.add("a", 1)

    asyncio.run(fill())
    return log


def parts(pack: Path) -> dict[str, str]:
    with zipfile.ZipFile(pack) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def documents(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_file_of_a_pack_has_its_form(signed: Any, tmp_path: Path) -> None:
    """That which other programs read, and which the manual describes."""
    written = write_pack(signed.path, tmp_path / "pack", KEY, run="b")

    assert written == Written(2, 5, 4)
    found = parts(tmp_path / "pack")
    assert found["manifest.json"] == MANIFEST
    places = [(each.run, each.seq, each.hash.hex()) for each in signed.journal.places(0, 10)]
    assert found["leaves.jsonl"] == "".join(f'["{run}",{seq},"{digest}"]\n' for run, seq, digest in places)
    records = [(each["run"], each["seq"]) for each in documents(found["records.jsonl"])]
    assert records == [("b", 1), ("b", 2)]
    last = signed.journal.last_checkpoint()
    (checkpoint,) = documents(found["checkpoints.jsonl"])
    assert (checkpoint["size"], checkpoint["note"]) == (4, last.note)
    (receipt,) = documents(found["receipts.jsonl"])
    assert (receipt["anchor"], receipt["size"]) == ("memory", 4)
    assert base64.b64decode(receipt["receipt"]) == b"got it"
    (proof,) = documents(found["proofs.jsonl"])
    assert {key: proof[key] for key in ("run", "seq", "position", "size")} == {
        "run": "b",
        "seq": 2,
        "position": 4,
        "size": 4,
    }
    assert found["keys.jsonl"] == ""


def test_the_bytes_of_a_pack_depend_on_the_journal_alone(signed: Any, tmp_path: Path) -> None:
    """No clock, user or system is in them; each list may grow beyond four gigabytes, which shows from the start."""
    write_pack(signed.path, tmp_path / "pack", KEY)

    with zipfile.ZipFile(tmp_path / "pack") as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {(entry.create_system, entry.external_attr) for entry in entries} == {(3, 0o600 << 16)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.extract_version for entry in entries if entry.filename.endswith(".jsonl")} == {45}


def test_a_pack_of_a_journal_that_was_never_signed_says_so(log: Any, tmp_path: Path) -> None:
    """It shows the records, and proves nothing of them."""
    for run in ("a", "b"):
        asyncio.run(log.add(run, 1))

    assert write_pack(log.path, tmp_path / "pack", KEY) == Written(2, 2, 0)
    found = parts(tmp_path / "pack")
    assert (found["checkpoints.jsonl"], found["proofs.jsonl"], found["receipts.jsonl"]) == ("", "", "")
    assert len(documents(found["records.jsonl"])) == 2


async def add_large(log: Any, run: str, content: bytes) -> str:
    """Append a record that refers to a large value; return its hash."""
    digest = sha256(content).hexdigest()
    record = encode_record(run=run, seq=1, at=AT, kind="Noted", path="", data={"large": digest})
    await log.journal.append(run, 1, [record], blobs={digest: content})
    return digest


async def test_a_large_value_of_several_runs_is_in_the_pack_once(log: Any, tmp_path: Path) -> None:
    """And listed once."""
    digests = [await add_large(log, run, b"x" * 100_000) for run in ("a", "b")]

    write_pack(log.path, tmp_path / "pack", KEY)

    found = parts(tmp_path / "pack")
    assert json.loads(found["manifest.json"])["blobs"] == digests[:1]
    assert found[f"blobs/{digests[0]}"] == "x" * 100_000
    assert verify_pack(tmp_path / "pack", KEY).status == "ok_unanchored_tail"


@pytest.mark.safety(23)
async def test_a_large_value_that_is_gone_is_missing_in_the_pack_too(log: Any, tmp_path: Path) -> None:
    """The pack is written all the same, and whoever verifies it is told."""
    digest = await add_large(log, "a", b"x" * 100_000)
    edit(log, "DROP TRIGGER blobs_are_not_deleted", "DELETE FROM blobs")

    write_pack(log.path, tmp_path / "pack", KEY)

    assert [each.what for each in verify_pack(tmp_path / "pack", KEY).problems] == [f"the blob {digest} is missing"]


def edit(log: Any, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(log.path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_pack_of_a_journal_of_an_older_engine_shows_what_is_there(signed: Any, tmp_path: Path) -> None:
    """It knew nothing of checkpoints, of anchors and of large values."""
    later = ("checkpoints", "receipts", "blob_links", "blobs")
    edit(signed, *(f"DROP TABLE {name}" for name in later), "PRAGMA user_version = 1")

    assert write_pack(signed.path, tmp_path / "pack", KEY) == Written(5, 5, 0)
    assert verify_pack(tmp_path / "pack", KEY).status == "ok_unanchored_tail"


@pytest.mark.safety(23)
@pytest.mark.parametrize(
    ("change", "leaf"),
    [
        ("seq = 0", ["b", 0]),
        ("seq = -5", ["b", -5]),
        ("seq = 'x'", ["b", None]),
        ("hash = x''", ["b", 2]),
        ("hash = 'text'", ["b", 2]),
        ("run = x'ff'", ["\\xff", 2]),
    ],
)
def test_a_row_that_is_no_record_any_more_goes_out_in_its_place(
    signed: Any, tmp_path: Path, change: str, leaf: list[Any]
) -> None:
    """It is listed as what it has become, and whoever verifies the pack finds that it was altered."""
    edit(signed, "DROP TRIGGER records_are_not_updated", f"UPDATE records SET {change} WHERE id = 4")

    written = write_pack(signed.path, tmp_path / "pack", KEY)

    found = parts(tmp_path / "pack")
    listed, proofs = documents(found["leaves.jsonl"]), documents(found["proofs.jsonl"])
    assert (written.size, listed[3][:2]) == (5, leaf)
    assert [each["seq"] for each in proofs if each["run"] == "b"] in ([1], [2])
    assert verify_pack(tmp_path / "pack", KEY).status == "broken"


@pytest.mark.safety(23)
@pytest.mark.parametrize("altered", [b"\x00\x01", b"no record", b'{"a":\n1}', b"{}", b"!", b"!aGk="])
def test_what_is_found_in_a_pack_is_what_is_found_in_its_journal(signed: Any, tmp_path: Path, altered: bytes) -> None:
    """Of each altered record: whoever has only the pack reads the same words."""
    with contextlib.closing(sqlite3.connect(signed.path)) as connection:
        connection.execute("DROP TRIGGER records_are_not_updated")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE records SET encoded = ? WHERE id = 3", (altered,))
        connection.commit()

    write_pack(signed.path, tmp_path / "pack", KEY)

    found = verify_pack(tmp_path / "pack", KEY)
    assert found.problems == verify_journal(signed.path, KEY).problems
    assert [(each.run, each.seq, each.position) for each in found.problems] == [("a", 2, 3)]


@pytest.mark.safety(23)
def test_a_record_that_was_broken_into_lines_is_one_in_the_pack(signed: Any, tmp_path: Path) -> None:
    """It still says what it said, and is not the bytes that were signed: so it reads in the pack, too."""
    edit(
        signed,
        "DROP TRIGGER records_are_not_updated",
        "UPDATE records SET encoded = CAST(replace(CAST(encoded AS TEXT), ',', char(44, 10)) AS BLOB) WHERE id = 3",
    )

    write_pack(signed.path, tmp_path / "pack", KEY)

    (found,) = verify_pack(tmp_path / "pack", KEY).problems
    assert (found,) == verify_journal(signed.path, KEY).problems
    assert (found.run, found.seq, found.position) == ("a", 2, 3)
    assert "not a record" not in found.what


def test_a_checkpoint_over_more_records_than_there_are_goes_out_without_a_proof(signed: Any, tmp_path: Path) -> None:
    """There is no tree to prove it with, and the pack is written all the same: that records are gone is found."""
    edit(signed, "DROP TRIGGER records_are_not_deleted", "DELETE FROM records WHERE id > 3")

    written = write_pack(signed.path, tmp_path / "pack", KEY)

    assert written == Written(3, 3, 0)
    assert documents(parts(tmp_path / "pack")["checkpoints.jsonl"])[0]["size"] == 4
    assert verify_pack(tmp_path / "pack", KEY).status == "broken"


def test_a_checkpoint_over_nothing_goes_out_without_a_proof(signed: Any, tmp_path: Path) -> None:
    """Somebody has put it there; the others are proven as before."""
    edit(signed, "INSERT INTO checkpoints SELECT 0, at, note, edge FROM checkpoints")

    assert write_pack(signed.path, tmp_path / "pack", KEY) == Written(5, 5, 4)
    found = parts(tmp_path / "pack")
    assert [each["size"] for each in documents(found["checkpoints.jsonl"])] == [0, 4]
    assert not [each for each in documents(found["proofs.jsonl"]) if "old" in each]


def test_a_file_that_is_there_is_said_before_anything_is_read(tmp_path: Path) -> None:
    """Nobody waits for a large journal to hear that."""
    (tmp_path / "pack").touch()

    with pytest.raises(PackError, match="The file exists"):
        write_pack(tmp_path / "no journal", tmp_path / "pack", KEY)


def test_a_file_that_comes_to_be_meanwhile_is_not_written_over(
    signed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else was quicker, at the last moment; nothing is left of ours."""
    pack = tmp_path / "packs" / "pack"
    pack.parent.mkdir()
    monkeypatch.setattr(os, "fsync", lambda _: pack.write_bytes(b"theirs"))

    with pytest.raises(PackError, match="The file exists"):
        write_pack(signed.path, pack, KEY)
    assert pack.read_bytes() == b"theirs"
    assert list(pack.parent.iterdir()) == [pack]


def test_a_pack_that_cannot_be_written_says_why(signed: Any, tmp_path: Path) -> None:
    """And a link that leads nowhere is a file that is there."""
    with pytest.raises(PackError, match="cannot be written: No such file or directory"):
        write_pack(signed.path, tmp_path / "no" / "folder", KEY)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PackError, match="The file exists"):
        write_pack(signed.path, tmp_path / "link", KEY)
