"""The journal: an append-only, hash-chained log of opaque records. It knows no kind of event."""

from hikeshi.journal.errors import (
    JournalBroken,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalMisused,
    JournalNewer,
    JournalUnavailable,
    ProjectionFailed,
    SequenceConflict,
)
from hikeshi.journal.journal import Journal
from hikeshi.journal.ownership import Ownership
from hikeshi.journal.projection import Projection
from hikeshi.journal.record import JSON, Record, decode_record, encode_record
from hikeshi.journal.sqlite import SqliteJournal
from hikeshi.journal.verify import BadRecord, Verification, verify

__all__ = [
    "JSON",
    "BadRecord",
    "Journal",
    "JournalBroken",
    "JournalError",
    "JournalForeign",
    "JournalLocked",
    "JournalMisused",
    "JournalNewer",
    "JournalUnavailable",
    "Ownership",
    "Projection",
    "ProjectionFailed",
    "Record",
    "SequenceConflict",
    "SqliteJournal",
    "Verification",
    "decode_record",
    "encode_record",
    "verify",
]
