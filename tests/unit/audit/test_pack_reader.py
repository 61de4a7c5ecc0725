"""Reading packs: whatever somebody has put into one, it is judged by itself and never believed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchors import FileAnchor
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.errors import PackError
from hikeshi.audit.keys import key_to_sign
from hikeshi.audit.note import VerifierKey, new_signer, sign_note
from hikeshi.audit.pack import write_pack
from hikeshi.audit.tree_head import TreeHead
from hikeshi.audit.verification import Verdict, verify_pack

pytestmark = pytest.mark.safety(24)

Lines = dict[str, list[bytes]]
Edit = Callable[[Lines], Any]


class Pack:
    """A pack of run b, out of five records of two runs with two checkpoints; each edit is of a copy."""

    def __init__(self, log: Any, now: Any, folder: Path) -> None:
        self.path, self.anchor, self._edited = folder / "pack", folder / "anchor", folder / "edited"
        asyncio.run(self._fill(log, now))
        self.key: VerifierKey = key_to_sign(log.folder).verifier
        write_pack(log.path, self.path, self.key, run="b")
        with zipfile.ZipFile(self.path) as archive:
            self.lines: Lines = {name: archive.read(name).splitlines() for name in archive.namelist()}

    async def _fill(self, log: Any, now: Any) -> None:
        for run, count in (("a", 1), ("b", 2), ("a", 1), ("b", 1)):
            await log.add(run, count)
            await CheckpointMaker(log.journal, log.folder, now).make()
            await Delivery(log.journal, [FileAnchor(self.anchor)], now).send()

    def edited(self, edit: Edit) -> Path:
        lines = {name: list(each) for name, each in self.lines.items()}
        edit(lines)
        with zipfile.ZipFile(self._edited, "w") as archive:
            for name, each in lines.items():
                archive.writestr(name, b"".join(line + b"\n" for line in each))
        return self._edited

    def judged(self, edit: Edit, *anchors: Path) -> Verdict:
        return verify_pack(self.edited(edit), self.key, anchors)

    def refused(self, edit: Edit) -> str:
        with pytest.raises(PackError) as caught:
            self.judged(edit)
        return str(caught.value)


@pytest.fixture
def pack(log: Any, now: Any, tmp_path: Path) -> Pack:
    return Pack(log, now, tmp_path)


def said(found: Verdict) -> list[str]:
    return [f"{each.run} {each.seq} {each.position} {each.what}" for each in found.problems]


def manifest(**changes: Any) -> Edit:
    def edit(lines: Lines) -> None:
        document = {**json.loads(b"".join(lines["manifest.json"])), **changes}
        lines["manifest.json"] = [json.dumps(document).encode()]

    return edit


def test_the_untouched_pack_is_ok(pack: Pack) -> None:
    """Or else every finding below would mean nothing."""
    found = pack.judged(lambda lines: None, pack.anchor)

    assert (found.status, found.records, found.runs, found.signed_to, found.anchored_to) == ("ok", 5, 2, 5, 5)
    assert (found.scope, found.problems, found.remarks, found.first_bad) == ("b", (), (), None)


def test_another_number_of_records_than_the_pack_was_made_of_is_a_problem(pack: Pack) -> None:
    """More or fewer: the place is the first that is too many, or not there."""
    assert said(pack.judged(manifest(size=6))) == [" 0 6 is missing: the pack was made of 6 records, and lists 5"]
    assert said(pack.judged(manifest(size=4))) == [" 0 5 was added: the pack was made of 4 records, and lists 5"]


def test_records_behind_the_last_are_a_problem(pack: Pack) -> None:
    """Nobody knows whose they are."""
    found = pack.judged(lambda lines: lines["records.jsonl"].extend([b"{}", b"{}"]))

    assert said(found) == [" 0 0 2 records stand behind the last one of the pack"]


def test_a_pack_of_a_run_without_a_record_of_it_proves_nothing(pack: Pack) -> None:
    """The run it says it is about is not in its list."""

    def edit(lines: Lines) -> None:
        manifest(run="c")(lines)
        lines["records.jsonl"] = []

    assert "c 1 0 is missing: the pack shows nothing of its run" in said(pack.judged(edit))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": "another format"}, "format"),
        ({"size": "5"}, "lacks size or run"),
        ({"size": True}, "lacks size or run"),
        ({"run": 5}, "lacks size or run"),
        ({"blobs": None}, "lacks blobs"),
        ({"blobs": "abc"}, "lacks blobs"),
        ({"blobs": ["a", 5]}, "lacks blobs"),
    ],
)
def test_a_manifest_that_is_none_is_refused(pack: Pack, changes: dict[str, Any], why: str) -> None:
    """With what it lacks."""
    assert why in pack.refused(manifest(**changes))


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_refused(pack: Pack, text: bytes) -> None:
    """Whatever stands there instead."""
    assert "not a pack" in pack.refused(lambda lines: lines.update({"manifest.json": [text]}))


def test_two_files_of_one_name_are_refused(pack: Pack) -> None:
    """One program would read the first, another the second."""
    path = pack.edited(lambda lines: None)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("leaves.jsonl", b"")

    with pytest.raises(PackError, match="two files of one name"):
        verify_pack(path, pack.key)


def test_a_blob_that_is_not_there_or_another_is_named(pack: Pack) -> None:
    """By the hash that the records know it by."""
    name = "ab" * 32
    assert said(pack.judged(manifest(blobs=[name]))) == [f" 0 0 the blob {name} is missing"]

    def edit(lines: Lines) -> None:
        manifest(blobs=[name])(lines)
        lines[f"blobs/{name}"] = [b"something"]

    assert said(pack.judged(edit)) == [f" 0 0 the blob {name} is not the one that was stored"]


def proofs(change: Callable[[dict[str, Any]], dict[str, Any] | None], about: str) -> Edit:
    def edit(lines: Lines) -> None:
        found = [json.loads(line) for line in lines["proofs.jsonl"]]
        assert any(about in each for each in found)
        changed = [change(each) if about in each else each for each in found]
        lines["proofs.jsonl"] = [json.dumps(each).encode() for each in changed]

    return edit


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 2},
        {"position": 4},
        {"position": 0},
        {"hashes": []},
        {"hashes": ["00" * 32]},
        {"run": "a"},
        {"run": "c"},
    ],
)
def test_a_proof_of_something_else_than_the_last_record_is_a_problem(pack: Pack, change: dict[str, Any]) -> None:
    """Whoever relies on the proof alone has to find it here."""
    found = pack.judged(proofs(lambda proof: {**proof, **change}, "run"))

    assert "its proof does not lead to the checkpoint over 5 records" in " ".join(said(found))
    assert found.status == "broken"


def test_a_false_proof_stands_at_the_place_of_its_record(pack: Pack) -> None:
    """If there is such a record; else nowhere."""
    (found,) = said(pack.judged(proofs(lambda proof: {**proof, "hashes": []}, "run")))
    assert found.startswith("b 3 5 its proof")
    (nowhere,) = said(pack.judged(proofs(lambda proof: {**proof, "seq": 2}, "run")))
    assert nowhere.startswith("b 2 0 its proof")


def test_a_proof_between_checkpoints_that_does_not_hold_is_a_problem(pack: Pack) -> None:
    """The later one is named, and the one it does not go on from."""
    found = said(pack.judged(proofs(lambda proof: {**proof, "hashes": ["00" * 32]}, "old")))

    assert " 0 0 checkpoint 3 does not go on from checkpoint 1" in found
    assert " 0 0 checkpoint 5 does not go on from checkpoint 4" in found


@pytest.mark.parametrize(
    "change", [{"hashes": None}, {"hashes": ["zz"]}, {"hashes": 5}, {"size": None}, {"position": "x"}]
)
def test_a_proof_that_cannot_be_read_is_a_problem(pack: Pack, change: dict[str, Any]) -> None:
    """It is not passed over: somebody has been at it."""
    found = pack.judged(proofs(lambda proof: {**proof, **change}, "run"))

    assert said(found) == [" 0 0 a proof in the pack cannot be read"]


@pytest.mark.parametrize(("about", "name"), [("run", "size"), ("old", "new"), ("old", "old")])
def test_a_proof_about_a_checkpoint_that_nobody_believes_does_no_harm(pack: Pack, about: str, name: str) -> None:
    """It proves nothing."""
    changed = proofs(lambda proof: {**proof, name: 77, "hashes": []}, about)

    assert pack.judged(changed).problems == ()


@pytest.mark.parametrize(
    "line", [b"5", b'{"size": 1}', b'{"size": true, "note": "x"}', b"torn", b'{"size": "1"}', b"["]
)
def test_a_line_among_the_checkpoints_that_is_none_breaks_nothing_off(pack: Pack, line: bytes) -> None:
    """One without a note is a changed one; what has no size is no checkpoint at all."""
    found = pack.judged(lambda lines: lines["checkpoints.jsonl"].append(line))

    assert (found.status, found.signed_to) == ("broken" if line == b'{"size": 1}' else "ok_unanchored_tail", 5)


@pytest.mark.parametrize(
    "line", [b"5", b'{"seq": 1}', b'{"seq": true, "statement": "x"}', b'{"seq": 1, "statement": 5}']
)
def test_a_line_among_the_changes_of_keys_that_is_none_means_nothing(pack: Pack, line: bytes) -> None:
    """No key is believed because of it."""
    found = pack.judged(lambda lines: lines["keys.jsonl"].append(line))

    assert (found.status, found.signed_to) == ("ok_unanchored_tail", 5)


@pytest.mark.parametrize(
    "line",
    [b"5", b"[]", b'["a", 1]', b'["a", 1, 5]', b'[5, 1, "00"]', b'["a", 0, "00"]', b"\xff", b'["a", true, "00"]'],
)
def test_a_line_of_the_list_that_is_no_record_is_a_problem(pack: Pack, line: bytes) -> None:
    """In the place of the one that stood there; the list of an anchor knows which."""
    found = pack.judged(lambda lines: lines["leaves.jsonl"].__setitem__(0, line), pack.anchor)

    assert (found.status, said(found)[0][:6]) == ("broken", "a 1 1 ")


@pytest.mark.parametrize(("seq", "is_one"), [(2**63 - 1, True), (2**63, False)])
def test_a_number_of_a_record_has_its_bounds(pack: Pack, seq: int, is_one: bool) -> None:
    """Those of the journal: beyond them it is no record of the run."""
    line = json.dumps(["b", seq, "00" * 32]).encode()
    found = pack.judged(lambda lines: lines["leaves.jsonl"].__setitem__(4, line))

    assert found.status == "broken"
    assert (found.runs == 2) is is_one


@pytest.mark.parametrize("name", ["manifest.json", "leaves.jsonl", "records.jsonl", "checkpoints.jsonl", "keys.jsonl"])
def test_a_pack_without_one_of_its_parts_is_refused(pack: Pack, name: str) -> None:
    """A part that is gone is never an empty one."""
    assert "not a pack" in pack.refused(lambda lines: lines.pop(name))


def test_a_record_that_is_no_record_any_more_is_shown_as_it_stands(pack: Pack) -> None:
    """In base64, so that it stays one line; what is not even that is no record either."""
    for line in (b"!aGVsbG8=", b"!", b"!*"):
        found = pack.judged(lambda lines, line=line: lines["records.jsonl"].__setitem__(2, line))  # type: ignore[misc]
        assert said(found)[0].startswith("b 3 5 "), line


def test_the_last_line_need_not_be_ended(pack: Pack) -> None:
    """Somebody's editor may have taken that away."""
    path = pack.edited(lambda lines: None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).removesuffix(b"\n") for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in parts.items():
            archive.writestr(name, each)

    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"


def test_a_part_of_several_megabytes_is_read_whole(pack: Pack) -> None:
    """Piece by piece; a line that is longer than a piece is one line."""
    long = b'{"seq": 1, "x": "' + b"y" * 2_500_000 + b'"}'

    assert pack.judged(lambda lines: lines["keys.jsonl"].extend([long, long])).status == "ok_unanchored_tail"


def test_an_entry_that_is_not_where_the_archive_says_is_refused(pack: Pack) -> None:
    """The directory of the archive points behind its end."""
    path = pack.edited(lambda lines: None)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        order = archive.namelist().index("leaves.jsonl")
    at = -1
    for _ in range(order + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    content[at + 42 : at + 46] = struct.pack("<I", len(content) - 28)
    path.write_bytes(content)

    with pytest.raises(PackError):
        verify_pack(path, pack.key)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_part_that_cannot_be_unpacked_is_refused(pack: Pack, method: int) -> None:
    """Of a pack that somebody has compressed, and somebody else damaged."""
    path = pack.edited(lambda lines: None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, each in parts.items():
            archive.writestr(name, each)
    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo("leaves.jsonl").header_offset + 30 + len("leaves.jsonl")
    content = bytearray(path.read_bytes())
    content[begin + 10 : begin + 20] = b"\xff" * 10
    path.write_bytes(content)

    with pytest.raises(PackError, match="cannot be unpacked"):
        verify_pack(path, pack.key)


def test_a_manifest_that_says_it_is_huge_is_not_read(pack: Pack) -> None:
    """What the archive says of its size is looked at first: 64 megabytes are the most."""
    path = pack.edited(lambda lines: None)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        order = archive.namelist().index("manifest.json")
    at = -1
    for _ in range(order + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    most = 64 * 1024 * 1024
    content[at + 24 : at + 28] = struct.pack("<I", most)
    path.write_bytes(content)
    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"

    content[at + 24 : at + 28] = struct.pack("<I", most + 1)
    path.write_bytes(content)
    with pytest.raises(PackError, match="its manifest is too large"):
        verify_pack(path, pack.key)


@pytest.mark.safety(23)
@pytest.mark.parametrize("altered", [b"\x00\x01", b"no record", b'{"a":\n1}', b""])
def test_a_record_that_was_altered_goes_out_as_it_stands(pack: Pack, log: Any, tmp_path: Path, altered: bytes) -> None:
    """On one line, whatever it has become, so that whoever verifies finds that one and no other."""
    with contextlib.closing(sqlite3.connect(log.path)) as connection:
        connection.execute("DROP TRIGGER records_are_not_updated")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE records SET encoded = ? WHERE run = 'b' AND seq = 2", (altered,))
        connection.commit()
    again = tmp_path / "again"
    write_pack(log.path, again, pack.key, run="b")

    with zipfile.ZipFile(again) as archive:
        lines = archive.read("records.jsonl").splitlines()
    assert lines[0].startswith(b"{")
    assert lines[1] == b"!" + base64.b64encode(altered)
    found = verify_pack(again, pack.key)
    assert (found.status, said(found)[0][:6]) == ("broken", "b 2 3 ")


@pytest.mark.safety(23)
@pytest.mark.parametrize(("size", "status"), [(3, "ok"), (5, "ok"), (6, "wrong_key")])
def test_a_stranger_who_signs_in_the_name_of_the_log_is_found(pack: Pack, size: int, status: str) -> None:
    """Where the right key has signed as much, it is only remarked upon; beyond that, somebody else goes on with it."""
    stranger = new_signer(pack.key.name)
    note = sign_note(TreeHead(pack.key.name, size, b"r" * 32).text, stranger)
    other = sign_note(TreeHead("another/log", 99, b"r" * 32).text, new_signer("another/log"))
    with pack.anchor.open("a", encoding="utf-8") as file:
        for each in (note, other, "torn", sign_note("no checkpoint\n", stranger)):
            file.write(json.dumps({"note": each}) + "\n")

    found = verify_pack(pack.path, pack.key, [pack.anchor])

    assert (found.status, found.anchored_to) == (status, 5)
    assert [text for text in found.remarks if "is of another log (another/log)" in text]
    assert len([text for text in found.remarks if "was passed over" in text]) == 2
    assert ("earlier checkpoints are signed by a key that the given one does not vouch for" in found.remarks) is (
        status == "ok"
    )
