"""Calls for many targets that a product refuses as a whole: one that it does not take must keep no others from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from hikeshi.connector.errors import (
    Ambiguous,
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    RouteRefused,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.runtime.rules import ChangeStopped

__all__ = ["by_halves"]

_T = TypeVar("_T")
_R = TypeVar("_R")
# They say nothing of a single entry: each would meet the same.
_OF_ALL = (ChangeStopped, RateLimited, RouteRefused, Timeout, Unauthorized, Unavailable)
_OF_SOME = (Ambiguous, Conflict, Forbidden, Invalid, NotFound, Unsupported)
# One of 500 is found by ten refusals, three by thirty. Where there are more, most likely none is taken.
_MOST_REFUSALS = 32
_MOST_REFUSALS_OF_ALL = 12


async def by_halves(
    entries: Sequence[_T], work: Callable[[Sequence[_T]], Awaitable[_R]], *, apart: bool = True
) -> list[tuple[Sequence[_T], _R | ConnectorError]]:
    """Return what the work on the entries came to, part by part: all at once, or what it gave or raised for each part.

    Where it is refused as a whole and nothing was applied, each half is tried by itself, and so on, until the entries
    that are not taken are alone, or there were too many refusals to go on.
    """
    made: list[tuple[Sequence[_T], _R | ConnectorError]] = []
    waiting: list[Sequence[_T]] = [entries]
    refusals, most = 0, _MOST_REFUSALS_OF_ALL
    while waiting:
        some = waiting.pop()
        try:
            made.append((some, await work(some)))
            most = _MOST_REFUSALS
        except ConnectorError as exc:
            refusals += 1
            if apart and len(some) > 1 and refusals < most and _may_be_due_to_some(exc):
                half = len(some) // 2
                waiting += [some[half:], some[:half]]
                continue
            made.append((some, exc))
            if isinstance(exc, _OF_ALL):
                made += [(rest, _untried(exc)) for rest in reversed(waiting)]
                break
    return made


def _may_be_due_to_some(exc: ConnectorError) -> bool:
    """Say whether an error may be due to some of the entries, and nothing was applied for any."""
    return exc.applied is Applied.NO and (isinstance(exc, _OF_SOME) or type(exc) is ConnectorError)


def _untried(exc: ConnectorError) -> ConnectorError:
    """Return the error of what was not sent any more, since it would have met the same."""
    return type(exc)(f"it was not tried: {exc.message}", applied=Applied.NO, retry_after_s=exc.retry_after_s)
