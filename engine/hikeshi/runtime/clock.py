"""Time, as the runtime asks for it. A fake one ships in `hikeshi.testing`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""

    async def sleep_until(self, at: datetime) -> None:
        """Wait until this time."""


_LONGEST_NAP_S = 5.0  # so soon a jump of the clock is noticed
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, at: datetime) -> None:
        """Wait until this time, by the clock on the wall or by the time that has passed, whichever is first.

        So a wait ends in time when the clock was set forward or the machine slept, and no later than it was meant to
        when the clock was set back.
        """
        wanted_s = (at - self.now()).total_seconds()
        begun = time.clock_gettime(_BOOT)
        while True:
            passed_s = time.clock_gettime(_BOOT) - begun
            left_s = min((at - self.now()).total_seconds(), wanted_s - passed_s)
            if left_s <= 0:
                return
            await self.sleep(min(left_s, _LONGEST_NAP_S))
