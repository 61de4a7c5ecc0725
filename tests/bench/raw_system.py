"""The floor: the same HTTP client without an engine, alone or with one durable SQLite commit for each step."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import httpx

from hikeshi.connector.pool import ConnectionStack

Waiting = tuple[asyncio.AbstractEventLoop, asyncio.Future, bytes]


class GroupCommit:
    """A thread that writes rows to SQLite, durably. Rows that wait at the same time share one commit."""

    def __init__(self, path: Path) -> None:
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(path,), daemon=True)
        self._thread.start()

    async def write(self, row: bytes) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._queue.put((loop, done, row))
        await done

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        while batch := self._next_batch():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO steps (data) VALUES (?)", [(row,) for _, _, row in batch])
            connection.execute("COMMIT")
            batch[0][0].call_soon_threadsafe(_settle, [done for _, done, _ in batch])
        connection.close()

    def _next_batch(self) -> list[Waiting]:
        batch = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
        return batch


def _settle(waiting: list[asyncio.Future]) -> None:
    for done in waiting:
        done.set_result(None)


class RawSystem:
    """Calls in a loop. With `durable`, each step's answer is on the disk before the next step begins."""

    def __init__(self, url: str, folder: Path, *, durable: bool) -> None:
        self._url = url
        self._client = httpx.AsyncClient(transport=ConnectionStack(), trust_env=False)
        self._rows = GroupCommit(folder / "raw.db") if durable else None

    async def sequential(self, steps: int) -> float:
        """Return the seconds that this many steps take, one after the other."""
        began = time.perf_counter()
        for number in range(steps):
            await self._step(number)
        return time.perf_counter() - began

    async def concurrent(self, steps: int, at_once: int) -> float:
        """Return the seconds that one run takes with this many steps, some at a time."""
        return await _at_once(self._step, steps, at_once)

    async def many_runs(self, runs: int, steps: int, at_once: int) -> float:
        """Return the seconds that this many runs take, some at a time."""

        async def run(_: int) -> None:
            for number in range(steps):
                await self._step(number)

        return await _at_once(run, runs, at_once)

    async def _step(self, number: int) -> None:
        answer = await self._client.post(f"{self._url}/post", json={"channel": "soc", "text": f"message {number}"})
        answer.raise_for_status()
        if self._rows is not None:
            await self._rows.write(answer.content)

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._rows is not None:
            self._rows.close()


async def _at_once(work, count: int, at_once: int) -> float:
    limit = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with limit:
            await work(number)

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return time.perf_counter() - began
