"""DBOS over SQLite: the same calls as durable steps of durable workflows."""

import asyncio
import time
from pathlib import Path

import httpx
from dbos import DBOS, DBOSConfig

from hikeshi.connector.pool import ConnectionStack

_client = httpx.AsyncClient(transport=ConnectionStack(), trust_env=False)


@DBOS.step()
async def post(url: str, number: int) -> dict:
    answer = await _client.post(f"{url}/post", json={"channel": "soc", "text": f"message {number}"})
    answer.raise_for_status()
    return answer.json()


@DBOS.workflow()
async def one_after_the_other(url: str, steps: int) -> None:
    for number in range(steps):
        await post(url, number)


@DBOS.workflow()
async def some_at_a_time(url: str, steps: int, at_once: int) -> None:
    limit = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with limit:
            await post(url, number)

    await asyncio.gather(*(one(number) for number in range(steps)))


class DbosSystem:
    """Each measure runs workflows directly, which is the quickest way DBOS has: no queue is involved."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{folder / 'dbos.db'}",
            "log_level": "ERROR",
        }
        DBOS(config=config)
        DBOS.launch()

    async def sequential(self, steps: int) -> float:
        """Return the seconds that one workflow takes with this many steps, one after the other."""
        began = time.perf_counter()
        await one_after_the_other(self._url, steps)
        return time.perf_counter() - began

    async def concurrent(self, steps: int, at_once: int) -> float:
        """Return the seconds that one workflow takes with this many steps, some at a time."""
        began = time.perf_counter()
        await some_at_a_time(self._url, steps, at_once)
        return time.perf_counter() - began

    async def many_runs(self, runs: int, steps: int, at_once: int) -> float:
        """Return the seconds that this many workflows take, some at a time."""
        limit = asyncio.Semaphore(at_once)

        async def run() -> None:
            async with limit:
                await one_after_the_other(self._url, steps)

        began = time.perf_counter()
        await asyncio.gather(*(run() for _ in range(runs)))
        return time.perf_counter() - began

    async def aclose(self) -> None:
        await _client.aclose()
        DBOS.destroy()
