"""Whether a commit may hold up an event loop: only while commits are quick.

Handing a batch to a thread and hearing of it again takes longer than a commit on a quick disk, and with many runs the
two threads get into each other's way. On a slow disk the loop has better things to do than to wait.
"""

import time
from collections.abc import Callable
from typing import Final

_QUICK_S: Final = 0.002
_SHARE: Final = 200  # at most one part in so many of all time goes into commits that turn out to be slow


class Pace:
    """Remembers how long the commits took that held up a loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._not_before_s = clock()

    def allows(self) -> bool:
        """Tell whether the next commit may hold up the loop."""
        return self._clock() >= self._not_before_s

    def took(self, seconds: float) -> None:
        """Note a commit that held up a loop. After a slow one none does, for a time that grows with it."""
        if seconds > _QUICK_S:
            self._not_before_s = self._clock() + _SHARE * seconds
