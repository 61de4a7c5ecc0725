"""The journal: an append-only, hash-chained log of opaque records. It knows no kind of event."""

from typing import TYPE_CHECKING, Any

from hikeshi.journal.blobs import NO_BLOBS
from hikeshi.journal.checkpoints import Checkpoint, Place
from hikeshi.journal.errors import (
    JournalBroken,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalMisused,
    JournalNewer,
    JournalPruned,
    JournalUnavailable,
    LeaseLost,
    LeaseOver,
    ProjectionFailed,
    SequenceConflict,
)
from hikeshi.journal.inbox import Message
from hikeshi.journal.journal import Journal
from hikeshi.journal.ownership import Ownership
from hikeshi.journal.projection import Projection
from hikeshi.journal.record import Record, decode_record, encode_record
from hikeshi.journal.signals import Signal
from hikeshi.journal.sqlite import SqliteJournal
from hikeshi.journal.stored_form import JSON, encode_plain
from hikeshi.journal.stream import append_to_stream

if TYPE_CHECKING:
    from hikeshi.journal.verification import BadRecord, Verification, verify

__all__ = [
    "JSON",
    "NO_BLOBS",
    "BadRecord",
    "Checkpoint",
    "Journal",
    "JournalBroken",
    "JournalError",
    "JournalForeign",
    "JournalLocked",
    "JournalMisused",
    "JournalNewer",
    "JournalPruned",
    "JournalUnavailable",
    "LeaseLost",
    "LeaseOver",
    "Message",
    "Ownership",
    "Place",
    "Projection",
    "ProjectionFailed",
    "Record",
    "SequenceConflict",
    "Signal",
    "SqliteJournal",
    "Verification",
    "append_to_stream",
    "decode_record",
    "encode_plain",
    "encode_record",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Load verification when somebody verifies; a run does not."""
    if name in ("BadRecord", "Verification", "verify"):
        from hikeshi.journal import verification

        return getattr(verification, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
