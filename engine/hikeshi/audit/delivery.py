"""Bringing checkpoints to the anchors. One that cannot be reached gets the newest when it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from hikeshi.audit.anchors import Anchor, Sheet
from hikeshi.audit.errors import AuditError
from hikeshi.journal import Checkpoint, JournalError, Place, SqliteJournal

__all__ = ["Delivery"]

_PAGE: Final = 500


class Delivery:
    """Sends the newest checkpoint to each anchor that has not got it."""

    def __init__(self, journal: SqliteJournal, anchors: Sequence[Anchor], now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._anchors = anchors
        self._now = now

    async def send(self) -> list[JournalError]:
        """Send the newest checkpoint, and return why it could not be sent where it couldn't. Raises JournalError."""
        import asyncio

        last = self._journal.last_checkpoint()
        if last is None:
            return []
        found = await asyncio.gather(*(self._send_to(anchor, last) for anchor in self._anchors), return_exceptions=True)
        problems = [each for each in found if isinstance(each, BaseException)]
        for each in problems:
            if not isinstance(each, JournalError):
                raise each
        return [each for each in problems if isinstance(each, JournalError)]

    async def _send_to(self, anchor: Anchor, checkpoint: Checkpoint) -> None:
        import asyncio

        known = self._journal.anchored_size(anchor.name)
        if known >= checkpoint.size:
            return
        sheet = Sheet(checkpoint, lambda: self._pages(known, checkpoint.size))
        try:
            receipt = await asyncio.to_thread(anchor.send, sheet)
        except JournalError:
            raise
        except Exception as exc:  # an anchor's defect must not keep the others from getting it
            raise AuditError(
                f"The anchor has a defect ({type(exc).__name__})", anchor.name, "Please report it"
            ) from exc
        await self._journal.keep_receipt(anchor.name, checkpoint.size, receipt, at=self._now())

    def _pages(self, after: int, upto: int) -> Iterator[list[Place]]:
        # Where records were removed since, a page may end behind `upto`; SQLite takes less than 0 for no limit at all.
        while page := self._journal.places(after, min(_PAGE, max(0, upto - after))):
            yield page
            after = page[-1].position
