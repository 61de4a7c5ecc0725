"""`make crash-stop`: stop a run at every boundary, let another process try to take it over, then let it go on.

A process that is stopped does not know it. Others take its runs when its lease and the longest attempt after it are
over; when it wakes up, it may read, but must send no change, nor write to the run. In a playbook where much goes on at
once, a process is stopped while other requests are being connected or are half sent.

Each boundary is tried twice: with a stop that is longer than the lease, and with one that is shorter, in which nobody
may take over.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lane import Ended, Lane, Site, finish, fork, next_verb, run_forked, wait_for
from lanes import lanes, own_lane, report
from playbooks import PLAYBOOKS
from report import Tally
from verdict import Moment, Verdict

_LEASE_S = 0.4
_LONG_S = 2 * _LEASE_S + 0.3  # the lease, the longest attempt after it, and a margin
_LONG_LEASE_S = 30.0
_NAMES = ("isolate", "tag", "wipe", "post", "block", "mixed")


@dataclass(frozen=True)
class Stop:
    """A playbook, the boundary at which its process is stopped, and whether that is for longer than its lease."""

    playbook: str
    at: int
    boundary: str
    long: bool

    @property
    def row(self) -> tuple[str, str]:
        return "long" if self.long else "short", self.playbook

    @property
    def lease_s(self) -> float:
        return _LEASE_S if self.long else _LONG_LEASE_S

    def run(self, lane: Lane) -> Verdict:
        """Stop it, let another process try, let it go on, and judge."""
        with lane.site(PLAYBOOKS[self.playbook]) as site:
            task = site.task("start", at=self.at, with_signal="SIGSTOP", lease_s=self.lease_s)
            pid = fork(task)
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):  # it had fewer boundaries than the one that was counted
                return finish(site, self._others(site), [site.moment((task, status))])
            try:
                moments = self._meanwhile(site)
            finally:
                os.kill(pid, signal.SIGCONT)
                ended = wait_for(pid)
            woken = replace(site.moment((task, ended)), stale=self.long and len(moments) > 1)
            return finish(site, self._others(site), [*moments, woken])

    def _meanwhile(self, site: Site) -> list[Moment]:
        """Let another process do what is due, after the lease of the stopped one is over or long before."""
        stopped = site.now("stopped")
        if self.long:
            time.sleep(_LONG_S)
        if not stopped.told.run:
            return [stopped]
        return [stopped, site.moment(next(self._others(site)), alone=False)]

    def _others(self, site: Site) -> Iterator[Ended]:
        while True:
            yield run_forked(site.task(next_verb(site), lease_s=self.lease_s))

    def __str__(self) -> str:
        length = "long" if self.long else "short"
        return f"--playbook {self.playbook} --stop-at {self.at} ({self.boundary}, {length})"


def main() -> int:
    """Run it all. Return 1 if anything was lost, doubled, stuck or wrong that could have been prevented."""
    options = _options()
    names = [options.playbook] if options.playbook else list(_NAMES)
    with lanes(options.lanes) as pool:
        boundaries = dict(zip(names, pool.map(_boundaries, names, chunksize=1), strict=True))
        cases = [
            Stop(name, at, boundary, long)
            for long in (True, False)
            for name in names
            for at, boundary in enumerate(boundaries[name], 1)
            if options.stop_at in (None, at)
        ]
        rows = dict.fromkeys(case.row for case in cases)
        return report(pool, cases, Tally("stop", {row: len(boundaries[row[1]]) for row in rows}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make crash-stop", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    # Most of a case is waiting, so there are more lanes than processors.
    parser.add_argument("--lanes", type=int, default=4, help="how many cases run at the same time")
    parser.add_argument("--playbook", choices=_NAMES, help="only this one")
    parser.add_argument("--stop-at", type=int, help="only at this boundary")
    return parser.parse_args()


def _boundaries(name: str) -> list[str]:
    return own_lane().boundaries(PLAYBOOKS[name])


if __name__ == "__main__":
    sys.exit(main())
