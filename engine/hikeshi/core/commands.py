"""What core asks the runtime to do. Each is owed until an event answers it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hikeshi.quick_dataclass import dataclass

__all__ = ["Command", "Intent", "StartAction", "WaitUntil"]


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that was recorded as about to be sent, and has no result yet."""

    attempt: int
    key: str
    instance: str
    targets: tuple[Any, ...]
    prior: Any


@dataclass(frozen=True, slots=True)
class StartAction:
    """Carry out an action. With an `intent` it was under way when a process died: its recovery class decides."""

    path: str
    attempt: int
    action: str
    at: tuple[str, ...]  # the instances it may go to
    arguments: dict[str, Any]
    timeout_s: float | None
    maybe: bool
    possibly_repeated: bool = False  # an earlier attempt may have had its effect
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Record TimerFired at this time."""

    path: str
    due_at: datetime


Command = StartAction | WaitUntil
