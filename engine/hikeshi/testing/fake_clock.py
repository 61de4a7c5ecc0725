"""Virtual time for tests: waiting costs nothing, and hours pass when nobody has anything else to do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

__all__ = ["FakeClock"]

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    """A clock whose `sleep` ends as soon as everything else in the event loop waits too.

    Time then jumps to the earliest sleeper, so sleepers wake in the order of their times. What waits for a real file
    or a real network counts as waiting: use in-memory fakes beside it.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._watching = False

    def now(self) -> datetime:
        """Return the present virtual time, aware, in UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait this long in virtual time."""
        loop = asyncio.get_running_loop()
        due_at = self._now + timedelta(seconds=max(0.0, seconds))
        awake: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (due_at, next(self._order), awake))
        if not self._watching:
            self._watching = True
            loop.call_soon(self._look, loop)
        await awake

    def advance(self, seconds: float) -> None:
        """Let time pass by hand. Wakes nobody: sleepers wake when the event loop is idle."""
        self._now += timedelta(seconds=seconds)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Move on if nothing else can run now, else look again after it has."""
        if not getattr(loop, "_ready", ()):  # asyncio tells nobody in public whether it is idle
            self._wake_first()
        if self._sleepers:
            loop.call_soon(self._look, loop)
        else:
            self._watching = False

    def _wake_first(self) -> None:
        while self._sleepers:
            due_at, _, awake = heapq.heappop(self._sleepers)
            if not awake.done():  # a cancelled sleeper does not move the time
                self._now = max(self._now, due_at)
                awake.set_result(None)
                return
