"""How quickly an instance may be called: so many requests in a while, and so many at once.

A product that is called too quickly refuses, and some lock the caller out for minutes. Waiting here costs nothing;
the answer 429 can cost the one request that mattered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Pace", "Pacer"]


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `requests` in each span of `per_s` seconds, and at most `at_once` that are not answered; None: no limit.

    A product's documented limits belong to all callers of an account, so a connector's own are best a little lower.
    """

    requests: int | None = None
    per_s: float = 1.0
    at_once: int | None = None


class Pacer:
    """Lets one instance's requests pass at a pace, in the order in which they came."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._begun: deque[float] = deque(maxlen=pace.requests or 0)  # when the last ones passed
        self._turn = asyncio.Lock()
        self._places = asyncio.Semaphore(pace.at_once) if pace.at_once is not None else None

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold one of the places for the time of the block."""
        if self._places is None:
            await self._wait()
            yield
            return
        async with self._places:
            await self._wait()
            yield

    async def _wait(self) -> None:
        if self._pace.requests is None:
            return
        async with self._turn:
            loop = asyncio.get_running_loop()
            if len(self._begun) == self._pace.requests:
                # A bucket that fills again would let twice as many pass in one span, and products count the span.
                await asyncio.sleep(self._begun[0] + self._pace.per_s - loop.time())
            self._begun.append(loop.time())
