"""Reading what anchors kept: nothing in their files has to be as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchor_file import Anchored, read_anchors
from hikeshi.audit.errors import AuditError
from hikeshi.audit.note import new_signer, sign_note

NOTE = json.dumps({"size": 1, "note": "text"})
HASH = "ab" * 32


def read(path: Path, *lines: str) -> Anchored:
    path.write_text("\n".join((NOTE, *lines)), encoding="utf-8")
    return read_anchors([path])


def listed(first: Any, *leaves: Any) -> str:
    return json.dumps({"first": first, "leaves": leaves})


@pytest.mark.parametrize(
    ("leaf", "kept"),
    [
        (["a", 1, HASH], True),
        (["a", 2**63 - 1, HASH], True),
        (["a", 2**63, HASH], False),
        (["a", 0, HASH], False),
        (["a", -1, HASH], False),
        (["a", True, HASH], False),
        (["a", 1.0, HASH], False),
        (["a", 1, HASH[2:]], False),
        (["a", 1, HASH + "00"], False),
        (["a", 1, "no hexadecimal"], False),
        (["a", 1, None], False),
        ([None, 1, HASH], False),
        (["a", 1], False),
        ("a1", False),
        (None, False),
    ],
)
def test_a_list_ends_where_something_is_no_record(tmp_path: Path, leaf: Any, kept: bool) -> None:
    """What was before counts; what comes after would stand in another place than it says."""
    found = read(tmp_path / "anchor", listed(1, ["z", 1, HASH], leaf, ["z", 2, HASH]))

    assert len(found.leaves) == (3 if kept else 1)
    assert found.notes == ["text"]


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([listed(1, ["a", 1, HASH], ["a", 2, HASH]), listed(3, ["a", 3, HASH])], 3),
        ([listed(1, ["a", 1, HASH], ["a", 2, HASH]), listed(2, ["a", 2, HASH], ["a", 3, HASH])], 3),
        ([listed(1, ["a", 1, HASH], ["a", 2, HASH]), listed(1, ["a", 1, HASH])], 2),
        ([listed(1, ["a", 1, HASH]), listed(3, ["a", 3, HASH])], 1),
        ([listed(2, ["a", 2, HASH])], 0),
        ([listed(0, ["a", 1, HASH])], 0),
        ([listed(-1, ["a", 1, HASH])], 0),
        ([listed(True, ["a", 1, HASH])], 0),
        ([listed("1", ["a", 1, HASH])], 0),
        ([json.dumps({"first": 1, "leaves": {"a": 1}})], 0),
    ],
)
def test_parts_of_a_list_are_put_together_as_far_as_none_is_missing(
    tmp_path: Path, lines: list[str], count: int
) -> None:
    """Two processes may have sent the same records twice."""
    found = read(tmp_path / "anchor", *lines)

    assert [seq for _, seq, _ in found.leaves] == list(range(1, count + 1))


def test_of_several_anchors_the_longest_list_counts_and_all_notes(tmp_path: Path) -> None:
    """Each keeps what it was sent."""
    read(tmp_path / "one", listed(1, ["a", 1, HASH]))
    read(tmp_path / "two", listed(1, ["a", 1, HASH], ["a", 2, HASH]))

    for order in (["one", "two"], ["two", "one"]):
        found = read_anchors(tmp_path / name for name in order)
        assert (len(found.notes), len(found.leaves)) == (2, 2)


def test_words_of_a_log_server_and_torn_lines_are_passed_over(tmp_path: Path) -> None:
    """Also what is JSON and nothing of ours."""
    lines = [
        '<110>1 2026 host hikeshi: {"size": 2, "note": "more"} end',
        '{"note": "torn',
        "[1]",
        '{"note": 5}',
        "{'a'}",
    ]

    assert read(tmp_path / "anchor", *lines, "{" * 5000).notes == ["text", "more"]


def test_a_file_may_be_one_note(tmp_path: Path) -> None:
    """As tools of others keep it; a text without a signature is none, and nor is what begins beyond a megabyte."""
    path = tmp_path / "note"
    note = sign_note("log\n1\nroot\n", new_signer("log"))
    path.write_text(note, encoding="utf-8")
    assert read_anchors([path]).notes == [note]

    for text in ("log\n1\nroot\n", "x" * 1024 * 1024 + note):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AuditError, match="No checkpoint"):
            read_anchors([path])
    path.write_text("x" * 1024 * 1000 + note, encoding="utf-8")
    assert len(read_anchors([path]).notes) == 1


def test_an_anchor_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """It is never taken for an empty one."""
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(AuditError, match="cannot be read"):
            read_anchors([path])
