"""The timeline of a run: what happened, when, in words that need no knowledge of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hikeshi.core import decode_event
from hikeshi.core import events as ev
from hikeshi.journal import Record
from hikeshi.report.words import words_for

__all__ = ["TimelineEntry", "timeline"]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line. `at` is aware UTC; `weight` says how much it matters: `detail`, `normal`, `good`, `warning`, `bad`."""

    seq: int
    at: datetime
    path: str
    kind: str
    text: str
    weight: str

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "path": self.path,
            "kind": self.kind,
            "text": self.text,
        }


def timeline(records: Iterable[Record]) -> Iterator[TimelineEntry]:
    """Give one entry for each record, in order."""
    parked = False
    for record in records:
        event = decode_event(record.kind, record.path, record.data)
        text, weight = words_for(event)
        if isinstance(event, ev.RunTakenOver) and parked:  # nobody had lost it
            text, weight = f"goes on in process {event.owner[:8]}", "detail"
        parked = isinstance(event, ev.RunParked) or (parked and not isinstance(event, ev.RunTakenOver))
        yield TimelineEntry(record.seq, record.at, record.path, record.kind, text, weight)
