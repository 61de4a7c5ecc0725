"""The boundaries between the steps of the engine, counted and named, and what the harness does at one of them.

They are put around the journal, the clock and the connections from outside, in the process that is to die. Production
code knows nothing of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from hikeshi.connector.door import current_door
from hikeshi.journal import JournalError, decode_record

__all__ = ["Boundaries", "CountedClock", "CountedJournal", "CountedTransport"]

_WRITES = ("post", "signal")  # what else a journal makes durable
_LOOK_EVERY_S = 0.02


class Boundaries:
    """Counts boundaries in a process, writes each name to its trail, and sends this process a signal at one of them.

    Numbers begin with 1. The trail survives the process, however it dies.
    """

    def __init__(self, trail: Path, at: int | None = None, with_signal: signal.Signals = signal.SIGKILL) -> None:
        self._trail = os.open(trail, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._at = at
        self._signal = with_signal
        self.count = 0

    def cross(self, name: str) -> None:
        """Note that the process has come to a boundary; it may end here."""
        self.count += 1
        os.write(self._trail, f"{name}\n".encode())
        if self.count == self._at:
            os.kill(os.getpid(), self._signal)


class CountedJournal:
    """A journal with boundaries around each durable write."""

    def __init__(self, inner: Any, boundaries: Boundaries) -> None:
        self._inner = inner
        self._boundaries = boundaries

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes], **more: Any) -> None:
        name = f"append {_kinds(records)}"
        self._boundaries.cross(f"before {name}")
        try:
            await self._inner.append(run, expected_seq, records, **more)
        except JournalError:
            self._boundaries.cross(f"failed {name}")
            raise
        self._boundaries.cross(f"after {name}")

    def __getattr__(self, name: str) -> Any:
        if name in _WRITES:
            return self._counted(name)
        return getattr(self._inner, name)

    def _counted(self, name: str) -> Any:
        async def write(*arguments: Any, **more: Any) -> Any:
            self._boundaries.cross(f"before {name}")
            result = await getattr(self._inner, name)(*arguments, **more)
            self._boundaries.cross(f"after {name}")
            return result

        return write


class CountedTransport(httpx.AsyncBaseTransport):
    """Connections with boundaries where a request's bytes leave, and after its answer was read or lost."""

    def __init__(self, inner: httpx.AsyncBaseTransport, boundaries: Boundaries) -> None:
        self._inner = inner
        self._boundaries = boundaries

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/", 3)[3]
        name = f"{request.method} {path}"
        self._boundaries.cross(f"leaving {name}")
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.HTTPError:
            self._boundaries.cross(f"after {name}: lost")
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _CountedAnswer(response.stream, f"after {name}: {response.status_code}", self._boundaries)
        return response

    async def sign(self) -> dict[str, str]:
        """Come to the boundary before a request, as the client's `authorize`: before its last look at the lease."""
        door = current_door()
        self._boundaries.cross(f"before {door.action if door is not None else 'a request'}")
        return {}

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CountedAnswer(httpx.AsyncByteStream):
    """The body of an answer, with a boundary where it has been read."""

    def __init__(self, inner: httpx.AsyncByteStream, name: str, boundaries: Boundaries) -> None:
        self._inner = inner
        self._name = name
        self._boundaries = boundaries

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk
        self._boundaries.cross(self._name)

    async def aclose(self) -> None:
        await self._inner.aclose()


class CountedClock:
    """A clock that runs faster than the machine's, from one beginning in all processes of a case."""

    def __init__(self, began_at: float, times: float, boundaries: Boundaries) -> None:
        self._began_at = began_at  # seconds since 1970, by the machine's clock
        self._times = times
        self._boundaries = boundaries

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        passed_s = (time.time() - self._began_at) * self._times
        return datetime.fromtimestamp(self._began_at, UTC) + timedelta(seconds=passed_s)

    async def sleep(self, seconds: float) -> None:
        """Wait this long by this clock. Looking for messages is no step of a run: it is not counted, nor hurried."""
        if _looks_for_messages():
            await asyncio.sleep(_LOOK_EVERY_S)
            return
        self._boundaries.cross(f"before sleep {seconds:.1f}")
        await asyncio.sleep(seconds / self._times)
        self._boundaries.cross(f"after sleep {seconds:.1f}")

    async def sleep_until(self, at: datetime) -> None:
        """Wait until this time by this clock."""
        await self.sleep(max(0.0, (at - self.now()).total_seconds()))


def _looks_for_messages() -> bool:
    task = asyncio.current_task()
    return task is not None and getattr(task.get_coro(), "__qualname__", "") == "Errands._look"


def _kinds(records: Sequence[bytes]) -> str:
    """Return the kinds of some records, each once, in their order."""
    return "+".join(dict.fromkeys(decode_record(each).kind for each in records))
