"""The journal alone, with the projections it has in a project."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from hikeshi.journal import SqliteJournal, encode_record
from hikeshi.runtime.projections import HoldsProjection, RunsProjection

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_DATA = {"attempt": 1, "output": {"connector": "bench", "id": "1", "channel": "soc"}, "already": False}


class JournalSystem:
    """Appends of records of a usual size, each awaited until it is durable."""

    def __init__(self, folder: Path) -> None:
        self._journal = SqliteJournal.open(folder / "journal.db", [RunsProjection(), HoldsProjection()])
        self._runs = 0

    async def one_by_one(self, records: int) -> float:
        """Return the seconds that this many appends of one record take, each after the last is durable."""
        batches = self._encoded(records, 1)
        began = time.perf_counter()
        await self._append(*batches)
        return time.perf_counter() - began

    async def in_groups(self, records: int, group: int) -> float:
        """Return the seconds that this many records take in appends of a group."""
        batches = self._encoded(records, group)
        began = time.perf_counter()
        await self._append(*batches)
        return time.perf_counter() - began

    async def by_many_runs(self, records: int, runs: int) -> float:
        """Return the seconds that this many appends of one record take, by runs that append at the same time."""
        each = [self._encoded(records // runs, 1) for _ in range(runs)]
        began = time.perf_counter()
        await asyncio.gather(*(self._append(*batches) for batches in each))
        return time.perf_counter() - began

    def _encoded(self, records: int, group: int) -> tuple[str, list[list[bytes]]]:
        self._runs += 1
        run = f"20260101-000000-{self._runs:06}"
        encoded = [
            encode_record(run=run, seq=seq, at=_AT, kind="ActionSucceeded", path=f"s{seq}", data=_DATA)
            for seq in range(1, records + 1)
        ]
        return run, [encoded[at : at + group] for at in range(0, records, group)]

    async def _append(self, run: str, batches: list[list[bytes]]) -> None:
        seq = 1
        for batch in batches:
            await self._journal.append(run, seq, batch)
            seq += len(batch)

    async def aclose(self) -> None:
        self._journal.close()
