"""The journal's records about itself: a run named `audit`, which is no run of a playbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from hikeshi.journal import JSON, Record, SqliteJournal, append_to_stream

__all__ = ["AUDIT_RUN", "KEY_CHANGED", "KEY_REPLACED", "LOG_READ", "append_own", "own_records"]

AUDIT_RUN: Final = "audit"
LOG_READ: Final = "AuditLogRead"
KEY_CHANGED: Final = "AuditKeyChanged"
KEY_REPLACED: Final = "AuditKeyReplaced"


async def append_own(journal: SqliteJournal, kind: str, data: Mapping[str, JSON], at: datetime) -> int:
    """Append a record about the journal; return its number in the run. Raises JournalError."""
    return await append_to_stream(journal, AUDIT_RUN, kind, data, at)


def last_seq(journal: SqliteJournal) -> int:
    """Return the number of the last record about the journal, or 0."""
    rows = journal.query("SELECT seq FROM heads WHERE run = ?", (AUDIT_RUN,))
    return int(rows[0][0]) if rows else 0


def own_records(journal: SqliteJournal, after: int) -> Iterator[Record]:
    """Give the records about the journal from after + 1 on. Raises JournalBroken at the first that was altered."""
    return journal.read(AUDIT_RUN, after=after)
