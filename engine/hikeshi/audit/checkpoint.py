"""Making checkpoints: the tree grows by what is new, its head is signed, and both are stored beside the records.

Nothing waits for this, and a failure of it stops nothing: what could not be signed now is signed with the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from hikeshi.audit.errors import AuditError
from hikeshi.audit.key_change import SigningKey
from hikeshi.audit.leaf import add_places
from hikeshi.audit.merkle import Edge
from hikeshi.audit.note import read_note, sign_note
from hikeshi.audit.tree_head import TreeHead
from hikeshi.journal import Checkpoint, SqliteJournal

__all__ = ["CheckpointMaker", "edge_of"]

_PAGE: Final = 500  # records; between two pages others have their turn


class CheckpointMaker:
    """Makes the checkpoints of one journal. The state of the project, with its key, is in `folder`."""

    def __init__(self, journal: SqliteJournal, folder: Path, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._key = SigningKey(journal, folder)
        self._now = now

    async def make(self) -> Checkpoint | None:
        """Make a checkpoint over all records that are stored now, and return it; None if there are no new ones.

        Raises KeyNotUsable, AuditError if records that were signed are not there any more, and JournalError.
        """
        from asyncio import sleep

        last, size = self._journal.last_checkpoint(), self._journal.size()
        if last is not None and size <= last.size:
            _refuse_loss(last, size)
            return None
        if not size:
            return None
        edge = Edge() if last is None else edge_of(last)
        while page := self._journal.places(edge.size, _PAGE):
            add_places(edge, page)
            await sleep(0)
        key = self._key.current()
        head = TreeHead(key.verifier.name, edge.size, edge.root())
        made = Checkpoint(edge.size, self._now(), sign_note(head.text, key), edge.to_bytes())
        await self._journal.keep_checkpoint(made)
        return made


def edge_of(checkpoint: Checkpoint) -> Edge:
    """Return the tree that a checkpoint was made over, to go on from. Raises AuditError if its parts do not fit."""
    where = f"checkpoint {checkpoint.size}"
    head = TreeHead.parse(read_note(checkpoint.note, where).text, where)
    try:
        edge = Edge.from_bytes(checkpoint.size, checkpoint.edge)
    except ValueError:
        edge = Edge()
    if head.size != edge.size or head.root != edge.root():
        raise AuditError("The last checkpoint was altered", where, "Verify the journal: hikeshi audit verify")
    return edge


def _refuse_loss(last: Checkpoint, size: int) -> None:
    if size < last.size:
        raise AuditError(
            f"The journal has {size} records, and its last checkpoint was made over {last.size}: some were removed",
            f"checkpoint {last.size}",
            "Keep the file as it is, and verify it: hikeshi audit verify",
        )
