"""Asking somebody outside of this process for a secret: within a time, and not again for every use.

Rule of this file: no exception of a store reaches anybody, nor hangs on one that does, for it may hold the value.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from hikeshi.secrets.unavailable import SecretUnavailable

__all__ = ["KEPT_S", "LIMIT_S", "Lookup"]

LIMIT_S = 5.0  # whoever reveals a secret waits in the event loop, so this is far below the lease of a run
KEPT_S = 300.0  # a secret that is sent with every request is not fetched for every request
_REST = 3  # a failure is kept so many times as long as it took: a store that hangs never takes most of our time


class Lookup:
    """A value that a store outside is asked for when it is first used, and again five minutes later.

    `who` names the store and the reference, for errors. `ask` gives the value or raises SecretUnavailable.
    """

    __slots__ = ("_ask", "_clock", "_failure", "_limit_s", "_until", "_value", "_who")

    def __init__(
        self,
        who: str,
        ask: Callable[[], str],
        *,
        limit_s: float = LIMIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._who = who
        self._ask = ask
        self._limit_s = limit_s
        self._clock = clock
        self._value: str | None = None
        self._failure = ""
        self._until = 0.0

    def __call__(self) -> str:
        """Return the value. Takes `limit_s` at longest. Raises SecretUnavailable."""
        began = self._clock()
        if began >= self._until:
            self._value, self._failure = self._asked()
            ended = self._clock()
            self._until = ended + (KEPT_S if self._value is not None else _REST * (ended - began))
        if self._value is None:
            raise SecretUnavailable(self._failure)
        return self._value

    def _asked(self) -> tuple[str | None, str]:
        """Return the value and nothing, or None and why not."""
        outcome: SimpleQueue[tuple[str | None, str]] = SimpleQueue()
        # Stores have no limit of their own that counts from beginning to end: a server may drip, a keyring may ask a
        # person to unlock it.
        threading.Thread(target=lambda: outcome.put(self._told()), daemon=True, name="secret").start()
        try:
            return outcome.get(timeout=self._limit_s)
        except Empty:
            return None, f"{self._who}: no answer within {self._limit_s:g} s; is it reachable, and unlocked?"

    def _told(self) -> tuple[str | None, str]:
        try:
            return self._ask(), ""
        except SecretUnavailable as exc:
            return None, str(exc)
        except Exception as exc:  # noqa: BLE001 - a store may raise anything, and its words may hold anything
            return None, f"{self._who}: cannot be asked: {type(exc).__name__}"
