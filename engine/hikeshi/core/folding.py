"""Folding stored bytes: the only way in which a state comes about, in a first run and after a restart alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hikeshi.core.codec import decode_event
from hikeshi.core.events import Event
from hikeshi.core.evolve import evolve
from hikeshi.core.state import RunState

__all__ = ["fold"]

_STORED = b'{"$hikeshi":"stored"'


def fold(state: RunState, seq: int, at: datetime, kind: str, path: str, data: dict[str, Any], encoded: bytes) -> Event:
    """Fold one record into the state, and return its event. Raises UnknownEvent, IllegalMove."""
    event = decode_event(kind, path, data)
    if _STORED in encoded:
        state.has_stored = True
    evolve(state, event, seq, at)
    return event
