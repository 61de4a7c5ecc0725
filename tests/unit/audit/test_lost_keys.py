"""A key that was lost: it is replaced openly, and nobody vouches for the new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.errors import KeyNotUsable
from hikeshi.audit.key_change import SigningKey, change_key
from hikeshi.audit.keys import KEY_FILE, NEXT_KEY_FILE, key_to_sign, load_key
from hikeshi.audit.stream import AUDIT_RUN
from hikeshi.audit.verification import verify_journal

AT = datetime(2026, 2, 3, tzinfo=UTC)
Now = Callable[[], datetime]


async def test_a_lost_key_is_replaced_openly(log: Any, now: Now) -> None:
    """Whoever pinned the lost one does not believe the new one; whoever pins the new one does, also what was before."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    lost = key_to_sign(log.folder).verifier
    with pytest.raises(KeyNotUsable, match="not lost"):
        await change_key(log.journal, log.folder, actor="mei", at=AT, lost=True)
    (log.folder / KEY_FILE).unlink()

    new = await change_key(log.journal, log.folder, actor="mei", at=AT, lost=True)
    await CheckpointMaker(log.journal, log.folder, now).make()

    assert verify_journal(log.path, lost).status == "wrong_key"
    found = verify_journal(log.path, new)
    assert (found.status, found.signed_to) == ("ok_unanchored_tail", 4)
    assert "earlier checkpoints" in found.remarks[0]


async def test_a_key_that_never_signed_anything_needs_no_record_to_be_replaced(log: Any) -> None:
    """Nobody can have pinned it."""
    new = await change_key(log.journal, log.folder, actor="mei", at=AT, lost=True)

    assert load_key(log.folder / KEY_FILE).verifier == new
    assert list(log.journal.read(AUDIT_RUN)) == []


async def test_whoever_replaces_a_lost_key_is_in_the_journal(log: Any, now: Now) -> None:
    """With the new key, which keeps the name of the log."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    lost = key_to_sign(log.folder).verifier
    (log.folder / KEY_FILE).unlink()

    new = await change_key(log.journal, log.folder, actor="mei", at=AT, lost=True)

    (record,) = log.journal.read(AUDIT_RUN)
    assert (record.kind, record.data) == ("AuditKeyReplaced", {"by": "mei", "new": str(new)})
    assert new.name == lost.name != ""
    assert load_key(log.folder / KEY_FILE).verifier == new


async def test_a_replacement_that_was_interrupted_is_finished(log: Any, now: Now) -> None:
    """The process died after the record was stored and before the new key was in its place."""
    await log.add("a", 3)
    await CheckpointMaker(log.journal, log.folder, now).make()
    (log.folder / KEY_FILE).unlink()
    new = await change_key(log.journal, log.folder, actor="mei", at=AT, lost=True)
    (log.folder / KEY_FILE).rename(log.folder / NEXT_KEY_FILE)

    assert SigningKey(log.journal, log.folder).current().verifier == new
    assert not (log.folder / NEXT_KEY_FILE).exists()
