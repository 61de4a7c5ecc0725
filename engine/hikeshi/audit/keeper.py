"""When checkpoints are made: at the end of a run, after so many records, and after a while in which nothing ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from hikeshi.journal import JournalError

__all__ = ["CHECKPOINT_EVERY", "IDLE_S", "Keeper"]

CHECKPOINT_EVERY: Final = 1_000
IDLE_S: Final = 300.0
_COMPLAIN_EVERY_S: Final = 60.0


class Keeper:
    """Makes checkpoints beside the runs of one process, and sends them. Nobody waits for it but `close`.

    `make` makes a checkpoint, sends it, and gives what went wrong. `tell` is told that, and what `make` raises, at most
    once a minute for the same; nothing is ever raised here. All methods belong to one event loop.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[Sequence[Exception]]],
        now: Callable[[], datetime],
        tell: Callable[[str], None],
        *,
        every: int = CHECKPOINT_EVERY,
        idle_s: float = IDLE_S,
    ) -> None:
        self._make = make
        self._now = now
        self._tell = tell
        self._every = every
        self._idle_s = idle_s
        self._unsigned = 0  # records that this process has written since it last asked for a checkpoint
        self._looked_at: datetime | None = None
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, datetime] = {}

    def saw(self, records: int = 1) -> None:
        """Note that this process writes records. They need not be durable yet."""
        self._unsigned += records
        if self._unsigned >= self._every:
            self.want()

    def tick(self) -> None:
        """Look at the clock: what nobody has signed for a while, other processes' records too, is signed now.

        Does nothing outside of an event loop.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        now = self._now()
        if self._looked_at is None:
            self._looked_at = now
        elif not 0 <= (now - self._looked_at).total_seconds() < self._idle_s:
            self.want()

    def want(self) -> None:
        """Make a checkpoint soon. While one is made, all further wishes become one more."""
        self._unsigned = 0
        self._looked_at = self._now()
        self._wanted = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Sign what this process has written, and wait until it is sent or could not be."""
        if self._unsigned:
            self.want()
        while self._task is not None:
            await self._task

    async def _work(self) -> None:
        try:
            while self._wanted:
                self._wanted = False
                try:
                    for problem in await self._make():
                        self._complain(problem)
                except Exception as exc:  # noqa: BLE001 - a defect here must never end a run
                    self._complain(exc)
        finally:
            self._task = None

    def _complain(self, exc: Exception) -> None:
        text = str(exc) if isinstance(exc, JournalError) else f"a defect ({type(exc).__name__})"
        now, before = self._now(), self._told.get(text)
        if before is None or (now - before).total_seconds() >= _COMPLAIN_EVERY_S:
            self._told[text] = now
            self._tell(f"audit log: {text}")
