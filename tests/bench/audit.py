"""What the audit log costs: verifying a journal, and appending with its chain and its tree.

    python tests/bench/audit.py [--records 100000] [--rounds 7]

Rounds of what is compared alternate, so that whatever else the machine does meets both. Medians are judged.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

sys.path.append(str(Path(__file__).parent))

from report import Goal, table

from hikeshi.audit.anchors import FileAnchor
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.keeper import Keeper
from hikeshi.audit.keys import key_to_sign
from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import verify_journal, verify_pack
from hikeshi.journal import SqliteJournal, batch, encode_record

AT = datetime(2026, 1, 1, tzinfo=UTC)
DATA = {"attempt": 1, "output": {"connector": "bench", "id": "1", "channel": "soc"}, "already": False}
A_RUN = 250


def encoded(run: str, count: int) -> list[bytes]:
    return [
        encode_record(run=run, seq=seq, at=AT, kind="ActionSucceeded", path=f"s{seq}", data=DATA)
        for seq in range(1, count + 1)
    ]


def now() -> datetime:
    return AT


async def fill(folder: Path, records: int) -> None:
    """Make a journal of many runs with a checkpoint at the end of each, anchored in a file."""
    journal = SqliteJournal.open(folder / "journal.db")
    maker = CheckpointMaker(journal, folder, now)
    delivery = Delivery(journal, [FileAnchor(folder / "anchor")], now)
    for number in range(records // A_RUN):
        run = f"20260101-000000-{number:010x}"
        await journal.append(run, 1, encoded(run, A_RUN))
        await maker.make()
        await delivery.send()
    journal.close()


def rates(records: int, verify: Callable[[], object], rounds: int) -> list[float]:
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        verify()
        found.append(records / (time.perf_counter() - began))
    return found


def verification(records: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(fill(folder, records))
        key, journal, anchor = key_to_sign(folder).verifier, folder / "journal.db", [folder / "anchor"]
        pack = folder / "pack"
        write_pack(journal, pack, key)
        assert verify_journal(journal, key, anchor).status == verify_pack(pack, key, anchor).status == "ok"
        rows = {
            "journal, with its checkpoints": rates(records, lambda: verify_journal(journal, key), rounds),
            "journal, with an anchor's list": rates(records, lambda: verify_journal(journal, key, anchor), rounds),
            "pack, with its checkpoints": rates(records, lambda: verify_pack(pack, key), rounds),
            "pack, with an anchor's list": rates(records, lambda: verify_pack(pack, key, anchor), rounds),
        }
    goals = [Goal(f"{what}, records a second", median(each), 80_000, at_most=False) for what, each in rows.items()]
    return table(f"Verifying {records:,} records (records a second)", rows, goals)


@contextmanager
def unchained() -> Iterator[None]:
    """Let the journal store records without computing their chain."""
    chained = batch.next_hash
    batch.next_hash = lambda previous, _: previous
    try:
        yield
    finally:
        batch.next_hash = chained


class Appends:
    """One journal in a folder of its own."""

    def __init__(self, folder: Path, *, with_tree: bool) -> None:
        self.journal = SqliteJournal.open(folder / "journal.db")
        self._runs = 0
        maker = CheckpointMaker(self.journal, folder, now)
        delivery = Delivery(self.journal, [FileAnchor(folder / "anchor")], now)

        async def make() -> list[Exception]:
            await maker.make()
            return list(await delivery.send())

        self._keeper = Keeper(make, now, print) if with_tree else None

    async def in_runs(self, runs: int, steps: int) -> float:
        """Return the seconds for each append of two records, of runs that append side by side and then end."""
        batches = [self._records(steps) for _ in range(runs)]
        began = time.perf_counter()
        await asyncio.gather(*(self._run(*each) for each in batches))
        return (time.perf_counter() - began) / (runs * steps)

    def _records(self, steps: int) -> tuple[str, list[list[bytes]]]:
        self._runs += 1
        run = f"20260101-000000-{self._runs:010x}"
        records = encoded(run, 2 * steps)
        return run, [records[at : at + 2] for at in range(0, 2 * steps, 2)]

    async def _run(self, run: str, batches: list[list[bytes]]) -> None:
        for number, records in enumerate(batches):
            await self.journal.append(run, 1 + 2 * number, records)
            if self._keeper is not None:
                self._keeper.saw(2)
        if self._keeper is not None:
            self._keeper.want()

    async def close(self) -> None:
        if self._keeper is not None:
            await self._keeper.close()
        self.journal.close()


async def appending(rounds: int) -> str:
    rows: dict[str, list[float]] = {}
    goals = []
    with tempfile.TemporaryDirectory() as name:
        plain, full = Path(name, "plain"), Path(name, "full")
        one, other = Appends(plain, with_tree=False), Appends(full, with_tree=True)

        async def without(runs: int, steps: int) -> float:
            with unchained():
                return await one.in_runs(runs, steps)

        for title, runs, steps in (("one run", 1, 400), ("50 runs side by side", 50, 20)):
            pairs: list[tuple[str, Callable[[int, int], Awaitable[float]]]] = [
                (f"{title}: neither chain nor tree", without),
                (f"{title}: chain, tree and anchor", other.in_runs),
            ]
            for row, work in pairs:
                await work(runs, steps)  # files are made, and pages come into memory
                rows[row] = []
            for turn in range(rounds):
                for row, work in pairs if turn % 2 else pairs[::-1]:
                    rows[row].append(1e6 * await work(runs, steps))
            (before, _), (after, _) = pairs
            goals.append(Goal(f"{title}, ratio of medians", median(rows[after]) / median(rows[before]), 1.3))
        await one.close()
        await other.close()
    return table("An append of two records (microseconds)", rows, goals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    print(verification(given.records, given.rounds))
    print(asyncio.run(appending(given.rounds)))


if __name__ == "__main__":
    main()
