"""Checkpoints, changes of keys and proofs in a pack: each is judged, and none believed because it is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pack_editor import Edit, Lines, Pack, said

from hikeshi.audit.note import new_signer, sign_note
from hikeshi.audit.tree_head import TreeHead
from hikeshi.audit.verification import verify_pack

pytestmark = pytest.mark.safety(24)


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
