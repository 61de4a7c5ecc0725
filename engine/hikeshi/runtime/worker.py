"""Going on with everything that is due: runs whose process is gone, whose time has come, or that somebody answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from hikeshi.core import RunState
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.ledger import Hold, released_together

__all__ = ["Due", "Worker", "Works"]

_LOOK_EVERY_S = 0.5
_BREATH_S = 0.02
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done now, and when something is due next."""

    runs: Sequence[str]
    holds: Sequence[Hold]
    next_at: datetime | None

    def __bool__(self) -> bool:
        return bool(self.runs or self.holds)


class Works(Protocol):
    """What a worker works on."""

    def due(self) -> Due:
        """Return what nobody does and somebody has to."""

    async def go_on_quietly(self, run: str) -> RunState | None:
        """Go on with a run, or return None if somebody else was quicker. Raises RunHalted and the like."""

    async def release_due(self, holds: Sequence[Hold]) -> RunState | None:
        """Release holds whose time is over, in one run; return None if somebody else was quicker with one of them."""


class Worker:
    """Works until nothing is due, or for ever.

    `ended` is told of each run that was gone on with; `trouble` of what could not be done. What could not be done is
    left alone for a while, so that it is not tried over and over.
    """

    def __init__(
        self,
        works: Works,
        clock: Clock,
        *,
        ended: Callable[[RunState], None] = lambda _: None,
        trouble: Callable[[str, Exception], None] = lambda _, __: None,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._works = works
        self._clock = clock
        self._ended = ended
        self._trouble = trouble
        self._at_once = at_once
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, datetime] = {}
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what is under way has ended or is parked."""
        self._stopping.set()
        self._woken.set()

    def wake(self) -> None:
        """Look at once what is due, not at the next turn."""
        self._woken.set()

    async def run(self, *, stay: bool) -> None:
        """Do what is due. Returns when nothing is, or with `stay` when it is stopped. Raises JournalError."""
        try:
            while not self._stopping.is_set():
                due = self._works.due()
                self._begin(due)
                if not self._tasks and not stay:
                    return
                await self._next_look(due.next_at)
        finally:
            if self._tasks:
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, due: Due) -> None:
        now = self._clock.now()
        jobs: list[tuple[str, Callable[[], Awaitable[RunState | None]]]] = [
            *(
                (f"hold {holds[0].hold}", lambda holds=holds: self._works.release_due(holds))
                for holds in released_together(due.holds)
            ),
            *((run, lambda run=run: self._works.go_on_quietly(run)) for run in due.runs),
        ]
        for name, job in jobs:
            if len(self._tasks) >= self._at_once:
                return
            if name not in self._tasks and self._not_before.get(name, now) <= now:
                self._not_before.pop(name, None)
                self._tasks[name] = asyncio.create_task(self._do(name, job))

    async def _do(self, name: str, job: Callable[[], Awaitable[RunState | None]]) -> None:
        try:
            state = await job()
        except Exception as exc:  # noqa: BLE001 - one run that cannot go on must not keep the others from it
            self._not_before[name] = self._clock.now() + timedelta(seconds=30)
            self._trouble(name, exc)
        else:
            if state is None:  # somebody else is at it
                self._not_before[name] = self._clock.now() + timedelta(seconds=_LOOK_EVERY_S)
            else:
                self._ended(state)
        finally:
            del self._tasks[name]

    async def _next_look(self, next_at: datetime | None) -> None:
        """Wait until something ended, somebody woke us, or it is time to look again."""
        helpers: list[asyncio.Task[Any]] = [asyncio.create_task(self._woken.wait())]
        wait_s: float | None = _LOOK_EVERY_S if len(self._tasks) < self._at_once else _LOOK_EVERY_S * 10
        if not self._tasks:
            left_s = _LOOK_EVERY_S if next_at is None else (next_at - self._clock.now()).total_seconds()
            # What is overdue and was not begun is left alone for a while: looking at once would find it over and over.
            nap_s = min(left_s, _LOOK_EVERY_S) if left_s > 0 else _LOOK_EVERY_S
            helpers.append(asyncio.create_task(self._nap(nap_s)))
            wait_s = None
        try:
            await asyncio.wait([*self._tasks.values(), *helpers], timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for helper in helpers:
                helper.cancel()
        if self._woken.is_set() and not self._stopping.is_set():
            self._woken.clear()
            await asyncio.sleep(_BREATH_S)  # many who wake us within a moment make us look once

    async def _nap(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
