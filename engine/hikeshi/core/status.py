"""The statuses of steps and runs, and every move between them. Nothing else decides which moves exist."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ENDED", "MOVES", "IllegalMove", "RunStatus", "StepStatus", "check_move"]


class StepStatus(StrEnum):
    """Where one step, or one item of a loop, stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    BLOCKED = "blocked"  # something it needs has failed
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # a change was sent, and its outcome cannot be established


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"  # for people, a time or a signal
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_S = StepStatus

MOVES: dict[StepStatus, frozenset[StepStatus]] = {
    _S.WAITING: frozenset({_S.RUNNING, _S.SKIPPED, _S.BLOCKED, _S.FAILED, _S.SUCCEEDED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.CANCELLED}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.FAILED}),
    _S.SUCCEEDED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.FAILED: frozenset(),
    _S.BLOCKED: frozenset(),
    _S.CANCELLED: frozenset(),
}

ENDED = frozenset(status for status, moves in MOVES.items() if not moves)


class IllegalMove(Exception):
    """An event asks for a move that does not exist: the journal does not belong to this program, or we are wrong."""


def check_move(path: str, old: StepStatus, new: StepStatus) -> None:
    """Raise IllegalMove unless the table has this move."""
    if new not in MOVES[old]:
        raise IllegalMove(f"{path or 'the run'} cannot go from {old} to {new}")
