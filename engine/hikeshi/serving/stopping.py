"""Being told to stop: by Ctrl-C, or by whoever supervises this process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stopped_by_signals"]


@contextmanager
def stopped_by_signals(stopping: asyncio.Event, say: Callable[[str], None]) -> Iterator[None]:
    """Set the event at the first Ctrl-C or SIGTERM, and cancel the present task at the second."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if stopping.is_set():
            task.cancel()
            return
        stopping.set()
        say("Stopping when what is under way has ended. Once more stops at once; it is stored.")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
