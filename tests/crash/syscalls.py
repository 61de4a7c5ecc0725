"""`make crash-syscalls`: kill a run at its calls of the kernel, or let them fail, wherever in SQLite that may be.

strace does it: it ends the process as it enters the call, or has the call return an error. Each thread of a process
counts its calls by itself, and whoever comes to the number first is hit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from lane import Ended, Lane, Site, finish, next_verb, run_forked
from lanes import lanes, own_lane, report
from playbooks import PLAYBOOKS
from report import Tally
from tracing import calls_in, traced, why_not
from verdict import Verdict

_KILL = "signal=KILL"
_DISK = ("fdatasync", "fsync", "pwrite64", "ftruncate")
_CALLS = (*_DISK, "sendto", "recvfrom")
_ERRORS = ("error=EIO", "error=ENOSPC")


@dataclass(frozen=True)
class Situation:
    """A process whose calls are counted. It makes its journal, finds it made, or goes on with a run.

    `kill_at` is the boundary at which the process before it was killed; None means that there was none.
    """

    playbook: str
    new_journal: bool = False
    kill_at: int | None = None

    def prepare(self, site: Site) -> None:
        """Make what the process finds, but for the run."""
        if not self.new_journal:
            run_forked(site.task("prepare"))

    def before(self, site: Site) -> Iterator[Ended]:
        """Give the process before it, if there was one."""
        if self.kill_at is not None:
            yield run_forked(site.task("start", at=self.kill_at))

    def __str__(self) -> str:
        if self.kill_at is not None:
            return "goes on with a run"
        return "makes its journal" if self.new_journal else "begins a run"


@dataclass(frozen=True)
class Call:
    """The `at`-th call of this name in a situation, and what becomes of it and, with `forever`, of all later ones.

    `does` is in strace's words: signal=KILL, error=EIO.
    """

    situation: Situation
    name: str
    does: str
    at: int
    forever: bool = False

    @property
    def row(self) -> tuple[str, str]:
        return f"{self.name} {self.does.partition('=')[2]}{' for ever' if self.forever else ''}", str(self.situation)

    def run(self, lane: Lane) -> Verdict:
        """Run it to its end and judge."""
        with lane.site(PLAYBOOKS[self.situation.playbook]) as site:
            self.situation.prepare(site)
            return finish(site, self._processes(site))

    def _processes(self, site: Site) -> Iterator[Ended]:
        yield from self.situation.before(site)
        when = f"{self.at}{'+' if self.forever else ''}"
        options = ["-e", f"trace={self.name}", "-e", f"inject={self.name}:{self.does}:when={when}"]
        yield traced(site.task(next_verb(site), stop_first=True), options)
        while True:
            yield run_forked(site.task(next_verb(site)))

    def __str__(self) -> str:
        return f"{self.situation.playbook}, {', '.join(self.row)}, call {self.at}"


def main() -> int:
    """Run it all. Return 1 if anything was lost, doubled, stuck or wrong; 0 where nothing can be traced."""
    options = _options()
    reason = why_not()
    if reason is not None:
        print(f"SKIPPED, all cases: {reason}")
        return 0
    with lanes(options.lanes) as pool:
        counted = pool.map(_count, _situations(), chunksize=1)
        cases = [case for situation, calls in counted for case in _cases(situation, calls, options.most)]
        if options.only is not None:
            cases = [case for case in cases if options.only in str(case)]
        points: dict[tuple[str, str], int] = {}
        for case in cases:
            points[case.row] = points.get(case.row, 0) + 1
        return report(pool, cases, Tally("call", points, "process"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash-syscalls", description=__doc__)
    parser.add_argument("--lanes", type=int, default=2, help="how many cases run at the same time")
    parser.add_argument("--most", type=int, default=60, help="no more than so many calls of one name, evenly spread")
    parser.add_argument("--only", help="only cases whose name has this in it")
    return parser.parse_args()


def _situations() -> list[Situation]:
    first = [Situation(name) for name in ("isolate", "tag", "wipe", "post", "block-half", "mixed")]
    going_on = [Situation(name, kill_at=-1) for name in ("isolate", "tag", "wipe", "post")]
    return [*first, *going_on, Situation("isolate", new_journal=True)]


def _count(situation: Situation) -> tuple[Situation, dict[str, int]]:
    """Return how often each call is made in a situation, counted once; and the situation with its boundary known."""
    lane, playbook = own_lane(), PLAYBOOKS[situation.playbook]
    if situation.kill_at is not None:
        crossed = lane.boundaries(playbook)
        sent = next(number for number, name in enumerate(crossed, 1) if name.startswith("after POST"))
        situation = replace(situation, kill_at=sent)
    with lane.site(playbook) as site:
        situation.prepare(site)
        list(situation.before(site))
        log = Path(site.folder) / "calls"
        traced(site.task(next_verb(site), stop_first=True), ["-e", f"trace={','.join(_CALLS)}"], log)
        return situation, calls_in(log)


def _cases(situation: Situation, calls: dict[str, int], most: int) -> Iterator[Call]:
    for name, count in calls.items():
        for at in _spread(count, most):
            yield Call(situation, name, _KILL, at)
        for at in _spread(count, most // 5) if name in _DISK else ():
            for error, forever in product(_ERRORS, (False, True)):
                yield Call(situation, name, error, at, forever)


def _spread(count: int, most: int) -> Sequence[int]:
    """Return all numbers up to the count, or so many of them evenly."""
    return sorted({1 + number * count // most for number in range(most)}) if count > most else range(1, count + 1)


if __name__ == "__main__":
    sys.exit(main())
