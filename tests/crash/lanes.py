"""Several lanes side by side: cases go in, verdicts come out."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import Protocol

from lane import Lane
from report import Tally, table
from verdict import Verdict

__all__ = ["Case", "lanes", "own_lane", "report"]

_lane: Lane | None = None


class Case(Protocol):
    """One thing to try. It travels to a lane, so it is plain data."""

    @property
    def row(self) -> tuple[str, str]:
        """Return the row of the table in which it counts."""

    def run(self, lane: Lane) -> Verdict:
        """Try it, and judge."""


@contextmanager
def lanes(count: int) -> Iterator[Pool]:
    """Open so many lanes."""
    # Spawned, not forked: a pool has threads, and a lane forks.
    with get_context("spawn").Pool(count, initializer=_open_lane) as pool:
        yield pool
        pool.close()
        pool.join()


def report(pool: Pool, cases: Sequence[Case], tally: Tally, *, as_json: bool = False) -> int:
    """Run the cases and print the table. Return 1 if anything was lost, doubled, stuck or wrong."""
    began = time.monotonic()
    for done, (case, verdict) in enumerate(pool.imap_unordered(_judged, cases, chunksize=1), 1):
        tally.add(case.row, verdict, str(case))
        for kind, text in verdict.problems:
            print(f"{kind}: {case}: {text}", file=sys.stderr, flush=True)
        if done % 200 == 0:
            print(f"{done} of {len(cases)} cases", file=sys.stderr, flush=True)
    print(tally.as_json() if as_json else f"{table(tally)}\n{len(cases)} cases in {time.monotonic() - began:.0f} s")
    return 1 if tally.has_problems else 0


def _open_lane() -> None:
    global _lane
    # A pool that is given up ends its processes like this; a case under way then still clears up after itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _lane = Lane()


def _judged(case: Case) -> tuple[Case, Verdict]:
    return case, case.run(own_lane())


def own_lane() -> Lane:
    """Return the lane of this process."""
    assert _lane is not None
    return _lane
