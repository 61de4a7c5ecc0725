"""What core asks the runtime to do. Each is owed until an event answers it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from hikeshi.quick_dataclass import dataclass

__all__ = ["AwaitSignal", "Command", "FindHolds", "Intent", "PlanCovered", "StartAction", "TakeKey", "WaitUntil"]


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
    """Carry out an action. With an `intent` it was under way when a process died: its recovery class decides.

    `approvals` gives, for each approval that covers the action, the targets it allows (`action`, a NUL, identity).
    `hold_s`: its hold ends after this time. `keeps`: it opens no hold. `releases`: the hold that it closes.
    """

    path: str
    attempt: int
    action: str
    at: tuple[str, ...]  # the instances it may go to
    arguments: dict[str, Any]
    timeout_s: float | None
    maybe: bool
    possibly_repeated: bool = False  # an earlier attempt may have had its effect
    intent: Intent | None = None
    hold_s: float | None = None
    keeps: bool = False
    releases: str | None = None
    approvals: tuple[tuple[str, AbstractSet[str]], ...] = ()
    consents: AbstractSet[str] = frozenset()  # for each guardrail that asked: its rule, a NUL, and the target's key


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Record TimerFired at this time."""

    path: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class AwaitSignal:
    """Record the next signal of this name after the one numbered `after`; at `due_at`, TimerFired."""

    path: str
    name: str
    since: datetime
    after: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class PlanCovered:
    """Plan what an approval covers from the present state, and ask people about exactly that."""

    path: str
    question: str
    by: tuple[str, ...]
    quorum: int
    within_s: float


@dataclass(frozen=True, slots=True)
class FindHolds:
    """Look up which holds there are on these targets."""

    path: str
    targets: list[Any]


@dataclass(frozen=True, slots=True)
class TakeKey:
    """Take a key that only one run may have; wait for it, unless `on_conflict` says otherwise."""

    path: str
    key: str
    on_conflict: str


Command = StartAction | WaitUntil | AwaitSignal | PlanCovered | FindHolds | TakeKey
