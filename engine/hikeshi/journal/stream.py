"""Records under a name that is no run's: every process may append to it, and none owns it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from hikeshi.journal.errors import JournalUnavailable, SequenceConflict
from hikeshi.journal.journal import Journal
from hikeshi.journal.record import encode_record
from hikeshi.journal.stored_form import JSON

__all__ = ["append_to_stream"]

_ATTEMPTS: Final = 100


async def append_to_stream(journal: Journal, name: str, kind: str, data: Mapping[str, JSON], at: datetime) -> int:
    """Append a record and return its number. Whoever finds that another one was quicker takes the next place.

    Raises JournalError.
    """
    seq = 1
    for _ in range(_ATTEMPTS):
        try:
            await journal.append(name, seq, [encode_record(run=name, seq=seq, at=at, kind=kind, path="", data=data)])
        except SequenceConflict as exc:
            seq = exc.last_seq + 1
            continue
        return seq
    raise JournalUnavailable(
        f"The {kind} found no place", f"stream {name}", "Other processes write there all the time; see which"
    )
