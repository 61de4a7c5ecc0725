"""What is said of a journal in the end: the status, which problems, and what was passed over."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchors import FileAnchor
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.keys import key_to_sign
from hikeshi.audit.note import read_note, sign_note
from hikeshi.audit.tree_head import TreeHead
from hikeshi.audit.verification import verify_journal
from hikeshi.journal import append_to_stream
from hikeshi.journal.pruning import RETENTION, RUNS_PRUNED, PrunedRun, Removal, digest_of

pytestmark = pytest.mark.safety(23)

AT = datetime(2026, 2, 3, tzinfo=UTC)
Now = Callable[[], datetime]


async def sign(log: Any, now: Now, *anchors: Path) -> None:
    """Make a checkpoint over what is stored, and send it."""
    await CheckpointMaker(log.journal, log.folder, now).make()
    assert await Delivery(log.journal, [FileAnchor(anchor) for anchor in anchors], now).send() == []


async def prune(log: Any, run: str) -> None:
    """Say that a run is pruned, and take its bytes out."""
    hashes = [row[0] for row in log.journal.query("SELECT hash FROM records WHERE run = ? ORDER BY seq", (run,))]
    each = PrunedRun(run, len(hashes), digest_of(hashes))
    data = {"by": "mei", "before": "", "pack": "p", "sha256": "", "runs": [each._asdict()], "limits": []}
    seq = await append_to_stream(log.journal, RETENTION, RUNS_PRUNED, data, AT)
    await log.journal.remove_bytes(Removal([each], seq))


def edit(log: Any, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(log.path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def test_a_journal_of_one_record_may_be_ok(log: Any, now: Now, tmp_path: Path) -> None:
    """If that is signed and anchored; one without any record has nothing that could be."""
    empty = verify_journal(log.path, None)
    assert (empty.status, empty.records, empty.first_bad) == ("ok_unanchored_tail", 0, None)

    await log.add("a", 1)
    await sign(log, now, tmp_path / "anchor")

    found = verify_journal(log.path, key_to_sign(log.folder).verifier, [tmp_path / "anchor"])
    assert (found.status, found.records, found.anchored_to) == ("ok", 1, 1)


async def test_who_believes_no_key_believes_no_signature(log: Any, now: Now, tmp_path: Path) -> None:
    """Neither those of the journal nor those of an anchor; the records are examined all the same."""
    await log.add("a", 2)
    await sign(log, now, tmp_path / "anchor")

    found = verify_journal(log.path, None, [tmp_path / "anchor"])

    assert (found.status, found.signed_to, found.anchored_to) == ("ok_unanchored_tail", 0, 0)


async def test_a_copy_of_some_time_ago_is_broken_unless_one_says_that_it_is_one(
    log: Any, now: Now, tmp_path: Path
) -> None:
    """An anchor knows of more records than there are."""
    await log.add("a", 3)
    await sign(log, now, tmp_path / "anchor")
    key = key_to_sign(log.folder).verifier
    edit(log, "DROP TRIGGER records_are_not_deleted", "DELETE FROM records WHERE id > 2", "DELETE FROM checkpoints")
    edit(log, "UPDATE heads SET seq = 2, hash = (SELECT hash FROM records WHERE id = 2)")

    assert verify_journal(log.path, key, [tmp_path / "anchor"]).status == "broken"
    assert verify_journal(log.path, key, [tmp_path / "anchor"], may_be_older=True).status == "ok_unanchored_tail"


@pytest.mark.parametrize(("is_signed", "status"), [(True, "ok_unanchored_tail"), (False, "broken")])
async def test_that_a_run_was_pruned_has_to_be_signed(log: Any, now: Now, is_signed: bool, status: str) -> None:
    """Anybody who can write could have taken it out and said so; the record that says it may be the last one signed."""
    await log.add("new", 1)
    await log.add("old", 2)
    await sign(log, now)
    await prune(log, "old")
    if is_signed:
        await sign(log, now)

    found = verify_journal(log.path, key_to_sign(log.folder).verifier)

    assert (found.status, found.pruned) == (status, 2)
    assert [(each.run, each.seq, each.position) for each in found.problems] == ([] if is_signed else [("old", 1, 2)])
    assert is_signed or "nobody whom you believe has signed" in found.problems[0].what


async def test_that_a_run_was_pruned_is_no_problem_of_who_believes_no_key(log: Any, now: Now) -> None:
    """Whoever gives no key has not asked for signatures."""
    await log.add("old", 2)
    await sign(log, now)
    await prune(log, "old")

    found = verify_journal(log.path, None)

    assert (found.status, found.problems, found.pruned) == ("ok_unanchored_tail", (), 2)


async def test_of_many_problems_the_first_hundred_are_told(log: Any) -> None:
    """By their places; more would tell nobody anything."""
    for number in range(102):
        await log.add(f"run-{number}", 1)
    edit(log, "DROP TRIGGER records_are_not_updated", "UPDATE records SET encoded = 'x'")

    found = verify_journal(log.path, None)

    assert [each.position for each in found.problems] == list(range(1, 101))
    assert found.first_bad == found.problems[0]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("note = 'no note'", "not a signed note"),
        ("note = x'00ff'", "not a signed note"),
        ("size = 2", "stands in the place of checkpoint 2"),
    ],
)
async def test_a_checkpoint_that_was_altered_is_a_problem(log: Any, now: Now, change: str, what: str) -> None:
    """At the place that it is said to be over."""
    await log.add("a", 3)
    await sign(log, now)
    edit(log, f"UPDATE checkpoints SET {change}")

    (found,) = verify_journal(log.path, key_to_sign(log.folder).verifier).problems

    assert (found.run, found.seq, found.position) == ("", 0, 2 if "size" in change else 3)
    assert f"the checkpoint over {found.position} records: " in found.what
    assert what in found.what


async def test_what_an_anchor_holds_that_is_no_checkpoint_is_numbered(log: Any, now: Now, tmp_path: Path) -> None:
    """From one on, as whoever looks into the file counts them."""
    await log.add("a", 3)
    anchor = tmp_path / "anchor"
    anchor.write_text(json.dumps({"note": "torn"}) + "\n", encoding="utf-8")
    await sign(log, now, anchor)

    found = verify_journal(log.path, key_to_sign(log.folder).verifier, [anchor])

    assert found.status == "ok"
    assert [remark.partition(" was passed over")[0] for remark in found.remarks] == ["anchored checkpoint 1"]


async def test_what_the_key_has_signed_of_another_log_does_not_count(log: Any, now: Now, tmp_path: Path) -> None:
    """Somebody uses one key for two logs; whatever it says of the other, it says nothing of this one."""
    await log.add("a", 3)
    await sign(log, now)
    signer, anchor = key_to_sign(log.folder), tmp_path / "anchor"
    head = TreeHead.parse(read_note(log.journal.last_checkpoint().note, "here").text, "here")
    other = sign_note(TreeHead("another/log", head.size, head.root).text, signer)
    anchor.write_text(json.dumps({"note": other}) + "\n", encoding="utf-8")

    found = verify_journal(log.path, signer.verifier, [anchor])

    assert (found.status, found.signed_to, found.anchored_to) == ("ok_unanchored_tail", 3, 0)
    assert found.remarks == ("anchored checkpoint 1 was passed over: It is about another log (another/log)",)


async def test_a_journal_from_before_there_were_checkpoints_is_verified(log: Any) -> None:
    """It has no table of them, and so nothing is signed."""
    await log.add("a", 3)
    key = key_to_sign(log.folder).verifier
    edit(log, "DROP TABLE checkpoints")

    found = verify_journal(log.path, key)

    assert (found.records, found.signed_to) == (3, 0)
