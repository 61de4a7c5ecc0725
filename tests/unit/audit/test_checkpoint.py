"""Checkpoints: over everything, from where the last one ended, never over a journal that lost something."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from hikeshi.audit.checkpoint import CheckpointMaker, edge_of
from hikeshi.audit.errors import AuditError, KeyNotUsable
from hikeshi.audit.keys import KEY_FILE, key_to_sign
from hikeshi.audit.leaf import leaf_of
from hikeshi.audit.merkle import Tree
from hikeshi.audit.note import open_note
from hikeshi.audit.tree_head import TreeHead
from hikeshi.audit.verification import verify_journal

Now = Callable[[], datetime]


async def test_a_checkpoint_is_over_all_records_in_their_order(log: Any, now: Now) -> None:
    """Its root is that of a tree of which every leaf is made anew."""
    await log.add("a", 3)
    await log.add("b", 2)
    await log.add("a", 1)

    made = await CheckpointMaker(log.journal, log.folder, now).make()

    leaves = [leaf_of(each.run.encode(), each.seq, each.hash) for each in log.journal.places(0, 100)]
    key = key_to_sign(log.folder).verifier
    head = TreeHead.parse(open_note(made.note, [key], "here")[0], "here")
    assert (head.origin, head.size, head.root) == (key.name, 6, Tree(leaves).root())
    assert log.journal.last_checkpoint() == made


async def test_a_checkpoint_goes_on_from_the_last_one(log: Any, now: Now) -> None:
    """Also one that another process has made; without new records there is none."""
    maker, other = (CheckpointMaker(log.journal, log.folder, now) for _ in range(2))
    await log.add("a", 700)
    await maker.make()
    assert await other.make() is None
    await log.add("a", 4)
    made = await other.make()

    leaves = [leaf_of(each.run.encode(), each.seq, each.hash) for each in log.journal.places(0, 1000)]
    assert edge_of(made).root() == Tree(leaves).root()
    assert await maker.make() is None


async def test_an_empty_journal_has_no_checkpoint(log: Any, now: Now) -> None:
    """And no key is made for it."""
    assert await CheckpointMaker(log.journal, log.folder, now).make() is None
    assert not (log.folder / KEY_FILE).exists()


async def test_no_checkpoint_hides_that_records_were_lost(log: Any, now: Now) -> None:
    """The end of the journal was cut off after it was signed."""
    await log.add("a", 5)
    maker = CheckpointMaker(log.journal, log.folder, now)
    await maker.make()
    edit(log, "DROP TRIGGER records_are_not_deleted", "DELETE FROM records WHERE id > 3")

    with pytest.raises(AuditError, match="has 3 records, and its last checkpoint was made over 5"):
        await maker.make()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoints SET edge = zeroblob(64)",
        "UPDATE checkpoints SET edge = x'00'",
        "UPDATE checkpoints SET size = 4",
        "UPDATE checkpoints SET note = 'no note'",
        "UPDATE checkpoints SET at = 'never'",
    ],
)
async def test_nothing_is_signed_on_top_of_an_altered_checkpoint(log: Any, now: Now, statement: str) -> None:
    """Whatever was altered in it."""
    await log.add("a", 5)
    maker = CheckpointMaker(log.journal, log.folder, now)
    await maker.make()
    await log.add("a", 1)
    edit(log, statement)

    with pytest.raises(Exception, match=r"altered|not a signed note|cannot be read"):
        await maker.make()


async def test_nothing_is_signed_over_a_gap(log: Any, now: Now) -> None:
    """A record in the middle is gone before anybody has signed it."""
    await log.add("a", 5)
    edit(log, "DROP TRIGGER records_are_not_deleted", "DELETE FROM records WHERE id = 3")

    with pytest.raises(AuditError, match="Record 3 of the journal is not where it was"):
        await CheckpointMaker(log.journal, log.folder, now).make()


async def test_a_lost_key_is_not_replaced_in_silence(log: Any, now: Now) -> None:
    """Auditors have pinned it."""
    await log.add("a", 5)
    await CheckpointMaker(log.journal, log.folder, now).make()
    await log.add("a", 1)
    (log.folder / KEY_FILE).unlink()

    with pytest.raises(KeyNotUsable, match=r"is gone.*rotate --lost"):
        await CheckpointMaker(log.journal, log.folder, now).make()
    assert not (log.folder / KEY_FILE).exists()


async def test_what_is_signed_verifies(log: Any, now: Now) -> None:
    """The two sides of this package agree."""
    await log.add("a", 5)
    await CheckpointMaker(log.journal, log.folder, now).make()
    await log.add("a", 2)

    found = verify_journal(log.path, key_to_sign(log.folder).verifier)

    assert (found.status, found.records, found.signed_to) == ("ok_unanchored_tail", 7, 5)


async def test_others_have_their_turn_while_many_records_are_signed(log: Any, now: Now) -> None:
    """After every 500 of them, so that no run waits for a checkpoint."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def counted() -> datetime:
        seen.append(turns)
        return now()

    await log.add("a", 1001)
    seen: list[int] = []
    others = asyncio.create_task(take_turns())
    await CheckpointMaker(log.journal, log.folder, counted).make()
    others.cancel()

    assert seen[0] >= 3


def edit(log: Any, *statements: str) -> None:
    """Change the file as somebody else does."""
    with closing(sqlite3.connect(log.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
