"""The journal's records about itself: a run named `audit`, which is no run of a playbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from hikeshi.audit.errors import AuditError
from hikeshi.journal import JSON, Record, SequenceConflict, SqliteJournal, encode_record

__all__ = ["AUDIT_RUN", "KEY_CHANGED", "KEY_REPLACED", "LOG_READ", "append_own", "own_records"]

AUDIT_RUN: Final = "audit"
LOG_READ: Final = "AuditLogRead"
KEY_CHANGED: Final = "AuditKeyChanged"
KEY_REPLACED: Final = "AuditKeyReplaced"
_ATTEMPTS: Final = 100


async def append_own(journal: SqliteJournal, kind: str, data: Mapping[str, JSON], at: datetime) -> int:
    """Append a record about the journal; return its number in the run. Raises JournalError.

    Every process may, so whoever finds that another one was quicker takes the next place.
    """
    for _ in range(_ATTEMPTS):
        seq = last_seq(journal) + 1
        try:
            await journal.append(
                AUDIT_RUN, seq, [encode_record(run=AUDIT_RUN, seq=seq, at=at, kind=kind, path="", data=data)]
            )
        except SequenceConflict:
            continue
        return seq
    raise AuditError(
        f"The {kind} found no place", f"run {AUDIT_RUN}", "Other processes write there all the time; see which"
    )


def last_seq(journal: SqliteJournal) -> int:
    """Return the number of the last record about the journal, or 0."""
    rows = journal.query("SELECT seq FROM heads WHERE run = ?", (AUDIT_RUN,))
    return int(rows[0][0]) if rows else 0


def own_records(journal: SqliteJournal, after: int = 0) -> Iterator[Record]:
    """Give the records about the journal. Raises JournalBroken at the first that was altered."""
    return journal.read(AUDIT_RUN, after=after)
