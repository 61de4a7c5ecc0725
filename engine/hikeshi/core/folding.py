"""Folding stored bytes: the only way in which a state comes about, in a first run and after a restart alike.

Events that a state keeps nothing of are noted without being read again: there is nothing that could differ.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.codec import decode_event
from hikeshi.core.events import Event
from hikeshi.core.evolve import evolve
from hikeshi.core.state import RunState

__all__ = ["fold", "is_only_noted", "note"]

_STORED = b'{"$hikeshi":"stored"'


def fold(state: RunState, seq: int, at: datetime, kind: str, path: str, data: dict[str, Any], encoded: bytes) -> Event:
    """Fold one record into the state, and return its event. Raises UnknownEvent, IllegalMove."""
    event = decode_event(kind, path, data)
    if _STORED in encoded:
        state.has_stored = True
    evolve(state, event, seq, at)
    return event


def is_only_noted(event: Event) -> bool:
    """Say whether a state keeps nothing of an event but its place and time, so that `note` does what `fold` does.

    One with an error is read back as any other: an error may hold what comes back in another form.
    """
    match event:  # they are for the ledger of holds, a projection, and long
        case ev.HoldsOpened():
            return True
        case ev.TargetsSettled():
            return all(each.error is None for each in event.settled)
        case _:
            return False


def note(state: RunState, seq: int, at: datetime, encoded: bytes) -> None:
    """Fold a record of which the state keeps its place and its time in UTC."""
    if _STORED in encoded:
        state.has_stored = True
    state.seq = seq
    state.now = at
