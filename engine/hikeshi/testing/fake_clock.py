"""Virtual time for tests: waiting costs nothing, and hours pass when nobody has anything else to do.

`FakeClock` works in any event loop, for one test. `VirtualClock` is the time of a whole simulated world, in which
processes come and go: see `hikeshi.testing.virtual_loop`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["START", "FakeClock", "VirtualClock"]

_INSTANT_S = 1e-5  # sums of floating-point times differ by less than this
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    """A clock whose `sleep` ends as soon as everything else in the event loop waits too.

    Time then jumps to the earliest sleeper, so sleepers wake in the order of their times. What waits for a real file
    or a real network counts as waiting: use in-memory fakes beside it.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._watching = False

    def now(self) -> datetime:
        """Return the present virtual time, aware, in UTC."""
        return self._now

    def boot_s(self) -> float:
        """Return the seconds since the clock was made, which stands for the start of the machine."""
        return (self._now - self._start).total_seconds()

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

    async def sleep_until(self, at: datetime) -> None:
        """Wait until this virtual time."""
        await self.sleep((at - self._now).total_seconds())

    def advance(self, seconds: float) -> None:
        """Let time pass by hand. Wakes nobody: sleepers wake when the event loop is idle."""
        self._now += timedelta(seconds=seconds)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Move on if nothing else can run now, else look again after it has."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled; a clock with no other must not keep those of others waiting
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


class VirtualClock:
    """The time of a simulated world, and what is going to happen there outside of any process.

    `real_s` is what truly passed since the world began. A process sees less: `now()` may be wrong by `wall_error_s`,
    `boot_s()` counts from the last start of the machine, and the timers of event loops stand still while it sleeps.
    `happenings` counts what others look out for; who lets it happen adds to it, so that nobody need look in vain.
    """

    def __init__(self, start: datetime = START) -> None:
        self.real_s = 0.0
        self.wall_error_s = 0.0
        self.slept_s = 0.0
        self._asleep_since_s: float | None = None
        self._asleep_until_s = 0.0
        self._start = start
        self._booted_at_s = 0.0
        self.happenings = 0
        self._sleepers: list[asyncio.Future[None]] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return what the wall clock shows, aware, in UTC."""
        return self._start + timedelta(seconds=self.real_s + self.wall_error_s)

    def boot_s(self) -> float:
        """Return the seconds since the machine started, those in which it slept included."""
        return self.real_s - self._booted_at_s

    async def sleep(self, seconds: float) -> None:
        """Wait this long in the running event loop."""
        await asyncio.sleep(max(0.0, seconds))

    async def sleep_until(self, at: datetime) -> None:
        """Wait until the wall clock shows this time, or as long as it would have taken when this was called."""
        wanted_s = (at - self.now()).total_seconds()
        began_s = self.boot_s()
        while True:
            left_s = min((at - self.now()).total_seconds(), wanted_s - (self.boot_s() - began_s))
            if left_s <= _INSTANT_S:
                return
            await self._sleep_undisturbed(left_s)

    async def _sleep_undisturbed(self, seconds: float) -> None:
        """Wait this long, or until a clock is no longer what it was."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _end, over)
        self._sleepers.append(over)
        try:
            await over
        finally:
            timer.cancel()
            self._sleepers.remove(over)

    def _disturb(self) -> None:
        for over in self._sleepers:
            _end(over)

    @property
    def awake_s(self) -> float:
        """Return the seconds that the timers of event loops have counted."""
        return (self.real_s if self._asleep_since_s is None else self._asleep_since_s) - self.slept_s

    def at(self, real_s: float, happens: Callable[[], None]) -> None:
        """Let something happen in the world at this time, whether a process lives then or not."""
        heapq.heappush(self._agenda, (max(real_s, self.real_s), next(self._order), happens))

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        """Let something happen in the world after this time."""
        self.at(self.real_s + seconds, happens)

    async def until_outside(self, seconds: float) -> None:
        """Wait for something outside that takes this long, whatever becomes of the timers of this process."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.after(seconds, lambda: _end(over))
        await over

    def next_at(self) -> float | None:
        """Return when the next thing happens in the world, or None if nothing is going to."""
        return self._agenda[0][0] if self._agenda else None

    def pass_until(self, real_s: float) -> None:
        """Let time pass, and everything happen that happens until then."""
        while self._agenda and self._agenda[0][0] <= real_s:
            at_s, _, happens = heapq.heappop(self._agenda)
            self.real_s = max(self.real_s, at_s)
            happens()
        self.real_s = max(self.real_s, real_s)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or backwards. No time passes."""
        self.wall_error_s += seconds
        self._disturb()

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: time passes for the world, and not for the timers of event loops."""
        if self._asleep_since_s is not None:
            self._asleep_until_s = max(self._asleep_until_s, self.real_s + seconds)
            return  # it sleeps already, and now for longer
        self._asleep_since_s, self._asleep_until_s = self.real_s, self.real_s + seconds
        while self.real_s < self._asleep_until_s:
            self.pass_until(self._asleep_until_s)
        self.slept_s += self.real_s - self._asleep_since_s
        self._asleep_since_s = None
        self._disturb()

    def reboot(self) -> None:
        """Let the machine start anew: `boot_s` counts from here."""
        self._booted_at_s = self.real_s


def _end(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
