"""Reading packs: whatever somebody has put into one, it is judged by itself and never believed."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pack_editor import Lines, Pack, manifest, said

from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import verify_pack

pytestmark = pytest.mark.safety(24)


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


@pytest.mark.parametrize("runs", [None, "ab", 5, {}, ["a", 5], [None]])
def test_a_manifest_of_several_runs_that_does_not_say_which_is_refused(pack: Pack, runs: Any) -> None:
    """Nobody could tell whether one of them was left out."""
    edit = manifest(format="hikeshi audit pack 2", run=None, runs=runs)

    assert "its manifest lacks runs" in pack.refused(edit)


@pytest.mark.parametrize(("runs", "missing"), [(["b"], []), (["b", "c"], ["c"])])
def test_a_pack_of_several_runs_shows_a_record_of_each(pack: Pack, runs: list[str], missing: list[str]) -> None:
    """One that says it is about a run, and holds no record of it, proves nothing."""
    found = pack.judged(manifest(format="hikeshi audit pack 2", run=None, runs=runs))

    assert sorted({each.run for each in found.problems}) == missing


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"{", b"\xff", b"[" * 100_000])
def test_a_manifest_that_cannot_be_read_is_refused(pack: Pack, text: bytes) -> None:
    """Whatever stands there instead."""
    assert "not a pack" in pack.refused(lambda lines: lines.update({"manifest.json": [text]}))


def test_a_blob_that_is_not_there_or_another_is_named(pack: Pack) -> None:
    """By the hash that the records know it by."""
    name = "ab" * 32
    assert said(pack.judged(manifest(blobs=[name]))) == [f" 0 0 the blob {name} is missing"]

    def edit(lines: Lines) -> None:
        manifest(blobs=[name])(lines)
        lines[f"blobs/{name}"] = [b"something"]

    assert said(pack.judged(edit)) == [f" 0 0 the blob {name} is not the one that was stored"]


@pytest.mark.parametrize(
    "line",
    [b"5", b"[]", b'["a", 1]', b'["a", 1, 5]', b'[5, 1, "00"]', b'["a", 0, "00"]', b"\xff", b'["a", true, "00"]'],
)
def test_a_line_of_the_list_that_is_no_record_is_a_problem(pack: Pack, line: bytes) -> None:
    """In the place of the one that stood there; the list of an anchor knows which."""
    found = pack.judged(lambda lines: lines["leaves.jsonl"].__setitem__(0, line), pack.anchor)

    assert (found.status, said(found)[0][:6]) == ("broken", "a 1 1 ")


@pytest.mark.parametrize("line", [b"5", b'["a", 0, "00"]', b'["a", 9223372036854775808, "00"]'])
def test_a_line_of_the_list_that_is_no_record_is_a_problem_without_a_checkpoint_too(pack: Pack, line: bytes) -> None:
    """Though it is in the place of a record of a run that the pack does not show, and nobody has signed the list."""

    def edit(lines: Lines) -> None:
        lines["leaves.jsonl"][0] = line
        lines["checkpoints.jsonl"] = []

    found = pack.judged(edit)

    assert (found.status, found.signed_to) == ("broken", 0)
    assert " 1 1 is missing: record 0 stands in its place" in said(found)


def test_a_blob_of_one_byte_is_read(pack: Pack) -> None:
    """As is one that is a byte longer than what is read at once."""
    for content in (b"\n", b"x" * 1024 * 1024 + b"\n"):
        name = sha256(content).hexdigest()

        def edit(lines: Lines, name: str = name, content: bytes = content) -> None:
            manifest(blobs=[name])(lines)
            lines[f"blobs/{name}"] = [content[:-1]]

        assert said(pack.judged(edit)) == []


@pytest.mark.parametrize(("seq", "is_one"), [(2**63 - 1, True), (2**63, False)])
def test_a_number_of_a_record_has_its_bounds(pack: Pack, seq: int, is_one: bool) -> None:
    """Those of the journal: beyond them it is no record of the run."""
    line = json.dumps(["b", seq, "00" * 32]).encode()
    found = pack.judged(lambda lines: lines["leaves.jsonl"].__setitem__(4, line))

    assert found.status == "broken"
    assert (found.runs == 2) is is_one


def test_a_record_that_is_no_record_any_more_is_shown_as_it_stands(pack: Pack) -> None:
    """In base64, so that it stays one line; what is not even that is no record either."""
    for line in (b"!aGVsbG8=", b"!", b"!*"):
        found = pack.judged(lambda lines, line=line: lines["records.jsonl"].__setitem__(2, line))  # type: ignore[misc]
        assert said(found)[0].startswith("b 3 5 "), line


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
@pytest.mark.parametrize("gone", [b"!", b""])
def test_records_without_their_bytes_are_a_problem(pack: Pack, gone: bytes) -> None:
    """Nothing in the pack says that they were pruned, so somebody has just taken them out."""
    found = pack.judged(lambda lines: lines.update({"records.jsonl": [gone] * 3}), pack.anchor)

    assert found.status == "broken"
    assert [(each.run, each.seq, each.position) for each in found.problems] == [("b", 1, 2)]
