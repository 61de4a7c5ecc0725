"""A directory that is copied: for a while after a write, reads still find what was there before."""

from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Replica"]


class Replica:
    """What reads see. The writes themselves are in the estate; here is only what has not arrived yet."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._arriving: dict[Hashable, list[tuple[datetime, Any]]] = {}

    def wrote(self, key: Hashable, before: Any, after: Any, lag_s: float) -> None:
        """Note that a value was written; reads see it `lag_s` later."""
        now = self._now()
        arriving = self._arriving.setdefault(key, [(now, before)])
        arriving.append((now + timedelta(seconds=lag_s), after))

    def seen(self, key: Hashable, actual: Any) -> Any:
        """Return what a read finds now, given what is actually there."""
        arriving = self._arriving.get(key)
        if arriving is None:
            return actual
        now = self._now()
        if arriving[-1][0] <= now:
            del self._arriving[key]
            return actual
        return [value for at, value in arriving if at <= now][-1]

    def clear(self) -> None:
        """Let everything arrive."""
        self._arriving.clear()
