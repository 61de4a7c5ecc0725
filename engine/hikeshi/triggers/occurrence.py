"""Something that happened outside, stored once: each occurrence is a stream of its own in the journal.

The rule: the name of the stream follows from source and ID, and the first record of a stream can be written once. So
whether something was seen before is decided by the journal, over restarts and between processes, and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.core.large import LARGEST_INLINE_BYTES, load_all, move_out, value_of
from hikeshi.journal import NO_BLOBS, ProjectionFailed, Record, SequenceConflict, encode_record
from hikeshi.playbook.unknown import from_json, to_json
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.triggers_projection import EventSeen

__all__ = ["Occurrence", "Occurrences", "Receipt", "digest_of", "stream_of"]

_MOST_ID = 200  # what is shown of an ID; the stream's name is made of all of it


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of something that was handed in: the stream it is stored as, and whether it is new."""

    event: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence as it is stored. `meant` are the triggers that it is for, or None for all of its source.

    `missed` says why it comes too late to be acted on. `data` is what expressions call `event`.
    """

    event: str
    source: str
    at: datetime
    data: Any
    meant: Sequence[tuple[str, str]] | None
    missed: str | None
    is_judged: bool


class Occurrences:
    """Stores and reads occurrences. Secrets are masked before anything is stored."""

    def __init__(self, app: Hikeshi) -> None:
        self._app = app

    async def receive(
        self,
        source: str,
        id: str,
        data: Any,
        *,
        meant: Sequence[tuple[str, str]] | None = None,
        also: Sequence[str] = (),
        due_at: str | None = None,
        missed: str | None = None,
    ) -> Receipt:
        """Store an occurrence; return once it is durable, or was found to be stored already.

        `also` are further IDs by which it would be recognised. Raises ValueError for data without a stored form,
        JournalError if it can't be stored.
        """
        event = stream_of(source, id)
        redactor = self._app.redactor
        fields: dict[str, Any] = {
            "source": source,
            "id": redactor.text(id)[:_MOST_ID],
            "data": to_json(redactor.data(data)),
            "for": None if meant is None else [list(each) for each in meant],
            "also": [digest_of(each) for each in also],
            "due_at": due_at,
            "missed": missed,
        }
        try:
            await self.append(event, 1, "EventReceived", fields)
        except SequenceConflict:
            return Receipt(event, is_new=False)
        except ProjectionFailed as exc:
            if not isinstance(exc.__cause__, EventSeen):
                raise
            return Receipt(exc.__cause__.event, is_new=False)
        return Receipt(event, is_new=True)

    async def append(
        self, event: str, seq: int, kind: str, fields: Mapping[str, Any], beside: Mapping[str, bytes] = NO_BLOBS
    ) -> None:
        """Append one record to the stream of an occurrence; what is large in it goes beside it. Raises JournalError."""
        encoded, blobs = self._encode(event, seq, kind, dict(fields))
        await self._app.journal.append(event, seq, [encoded], blobs={**blobs, **beside})

    def _encode(self, event: str, seq: int, kind: str, fields: dict[str, Any]) -> tuple[bytes, dict[str, bytes]]:
        at = self._app.clock.now()
        encoded = encode_record(run=event, seq=seq, at=at, kind=kind, path="", data=fields)
        if len(encoded) <= LARGEST_INLINE_BYTES:
            return encoded, {}
        moved, blobs = move_out(fields)
        if "outcomes" in fields:
            moved["outcomes"] = []
            for outcome in fields["outcomes"]:
                smaller, more = move_out(outcome)
                moved["outcomes"].append(smaller)
                blobs.update(more)
        return encode_record(run=event, seq=seq, at=at, kind=kind, path="", data=moved), blobs

    def read(self, event: str) -> Occurrence | None:
        """Return an occurrence, or None if there is none of this name. Raises JournalError."""
        records = self.records(event)
        first = next(records, None)
        if first is None or first.kind != "EventReceived":
            return None
        data: Mapping[str, Any] = first.data
        return Occurrence(
            event,
            data["source"],
            first.at,
            self.load(data["data"]),
            None if data["for"] is None else [(playbook, trigger) for playbook, trigger in data["for"]],
            data["missed"],
            next(records, None) is not None,
        )

    def records(self, event: str) -> Iterator[Record]:
        """Give the records of an occurrence, in order. Raises JournalError."""
        return self._app.journal.read(event)

    def load(self, stored: Any) -> Any:
        """Return the value that a record holds, with what is stored beside it in its place. Raises JournalError."""
        journal = self._app.journal
        return load_all(from_json(stored), lambda each: value_of(journal.blob(each.sha256)))

    def judgement(self, event: str) -> Record | None:
        """Return the record that says what the triggers made of an occurrence, or None before it is there."""
        return next((record for record in self.records(event) if record.kind == "EventJudged"), None)

    def unjudged(self, limit: int) -> list[tuple[str, datetime]]:
        """Return the occurrences that nobody has judged, with the time they came, in the order of the journal."""
        rows = self._app.journal.query(
            "SELECT event, at FROM trigger_events WHERE judged = 0 ORDER BY rowid LIMIT ?", (limit,)
        )
        return [(row["event"], datetime.fromisoformat(row["at"])) for row in rows]

    async def settle(
        self,
        event: str,
        kind: str,
        fields: Mapping[str, Any],
        still_open: str,
        beside: Mapping[str, bytes] = NO_BLOBS,
    ) -> bool:
        """Append a record that settles something of an occurrence, once; say whether this process did.

        `still_open` is a query that gives a row for `run` of the fields while it is not settled. Raises JournalError.
        """
        journal = self._app.journal
        while journal.query(still_open, (fields.get("run") or fields["plan"],)):
            seq = sum(1 for _ in self.records(event)) + 1
            try:
                await self.append(event, seq, kind, fields, beside)
            except SequenceConflict:
                continue
            return True
        return False


def stream_of(source: str, id: str) -> str:
    """Return the name under which an occurrence is in the journal. No run is called so."""
    digest = hashlib.sha256(f"{source}\0{id}".encode(errors="surrogatepass")).hexdigest()
    return f"event-{digest[:32]}"


def digest_of(value: Any) -> str:
    """Return a digest of plain data that two equal values share: 32 hexadecimal digits."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
