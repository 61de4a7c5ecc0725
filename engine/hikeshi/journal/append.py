"""What one append writes, all of it or nothing: the next records of a run, messages taken, blobs stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hikeshi.journal.blobs import Blob, checked_blobs
from hikeshi.journal.inbox import checked_takes
from hikeshi.journal.record import Record, decode_append

_USUAL_RECORD_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Append:
    """Records of one run, the ids of the messages that it takes, and the blobs that its records refer to."""

    run: str
    expected_seq: int
    records: Sequence[Record]
    takes: Sequence[int] = ()
    blobs: Sequence[Blob] = ()

    @property
    def weight(self) -> int:
        """How much of a batch it takes, in records of a usual size."""
        record_bytes = sum(len(record.encoded) for record in self.records)
        return len(self.records) + (record_bytes + self.blob_bytes) // _USUAL_RECORD_BYTES

    @property
    def blob_bytes(self) -> int:
        return sum(len(blob.content) for blob in self.blobs)


def checked_append(
    run: str, expected_seq: int, records: Sequence[bytes | Record], takes: Sequence[int], blobs: Mapping[str, bytes]
) -> Append:
    """Return an append that can be written if its place is right. Raises JournalMisused for one that never can."""
    decoded = decode_append(run, expected_seq, records)
    if not takes and not blobs:
        return Append(run, expected_seq, decoded)
    where = f"append to run {run!r} at {expected_seq}"
    return Append(run, expected_seq, decoded, checked_takes(takes, where), checked_blobs(blobs, where))
