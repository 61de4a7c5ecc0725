"""What a running service goes on with by itself: every run and every hold that is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hikeshi.runtime.worker import Worker

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.core import RunState
    from hikeshi.runtime.driver import Watcher
    from hikeshi.runtime.ledger import Hold
    from hikeshi.runtime.worker import Due

__all__ = ["PARK_AFTER_S", "Shift", "worker_for"]

PARK_AFTER_S = 30.0
"""A run to which nothing happens for so long is put away until it is due: ten thousand waiting ones need no memory."""


class Shift:
    """The work of one service; it implements `hikeshi.runtime.worker.Works`."""

    def __init__(self, app: Hikeshi, watchers: Sequence[Watcher]) -> None:
        self._app = app
        self._watchers = list(watchers)

    def due(self) -> Due:
        """Return what nobody does and somebody has to."""
        return self._app.due()

    async def go_on_quietly(self, run: str) -> RunState | None:
        """Go on with a run."""
        return await self._app.go_on_quietly(run, self._watchers)

    async def release_due(self, holds: Sequence[Hold]) -> RunState | None:
        """Release holds whose time is over."""
        return await self._app.release_due(holds, self._watchers)


def worker_for(
    app: Hikeshi,
    watchers: Sequence[Watcher],
    *,
    ended: Callable[[RunState], None],
    trouble: Callable[[str, Exception], None],
) -> Worker:
    """Return the worker of a service."""
    app.park_after_s = PARK_AFTER_S
    return Worker(Shift(app, watchers), app.clock, ended=ended, trouble=trouble)
