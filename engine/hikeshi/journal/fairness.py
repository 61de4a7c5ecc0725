"""Time for the writer thread while an event loop is busy.

A thread that wants the interpreter's lock is woken each time the loop lets go of it to poll, finds it taken again, and
starts to wait anew: with a loop that is never idle this can go on for seconds (measured: 21 s on a loaded machine).
So a loop that waits for appends, and sees no batch end for a while, sleeps for a moment.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_PATIENCE_S: Final = 0.01
_SLEEP_S: Final = 0.001


class Fairness:
    """Counts who waits on each loop. Each method is called in the thread of its loop."""

    def __init__(self, batches_ended: Callable[[], int]) -> None:
        self._batches_ended = batches_ended
        self._waiting: dict[AbstractEventLoop, int] = {}
        self._watched: WeakSet[AbstractEventLoop] = WeakSet()  # a loop may end before its timer runs

    def begin(self, loop: "AbstractEventLoop") -> None:
        """An append of this loop waits."""
        self._waiting[loop] = self._waiting.get(loop, 0) + 1
        if loop not in self._watched:
            self._watched.add(loop)
            self._watch_later(loop)

    def end(self, loop: "AbstractEventLoop") -> None:
        """An append of this loop no longer waits."""
        self._waiting[loop] -= 1
        if not self._waiting[loop]:
            del self._waiting[loop]

    def _watch_later(self, loop: "AbstractEventLoop") -> None:
        loop.call_later(_PATIENCE_S, self._watch, loop, self._batches_ended())

    def _watch(self, loop: "AbstractEventLoop", ended_before: int) -> None:
        if loop not in self._waiting:
            self._watched.discard(loop)
            return
        if self._batches_ended() == ended_before:
            time.sleep(_SLEEP_S)
        self._watch_later(loop)
