"""`make crash-stop`: stop a run at every boundary for longer than its lease, let another process try, then go on.

A process that is stopped does not know it. Others take its runs when its lease and the longest attempt after it are
over; when it wakes up, it may read, but must send no change, nor write to the run. In a playbook where much goes on at
once, a process is stopped while other requests are being connected or are half sent.
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
_STOPPED_S = 2 * _LEASE_S + 0.3  # the lease, the longest attempt after it, and a margin
_NAMES = ("isolate", "tag", "wipe", "post", "block", "mixed")


@dataclass(frozen=True)
class Stop:
    """A playbook, and the boundary at which its process is stopped."""

    playbook: str
    at: int
    boundary: str

    @property
    def row(self) -> tuple[str, str]:
        return PLAYBOOKS[self.playbook].group, self.playbook

    def run(self, lane: Lane) -> Verdict:
        """Stop it, let another process try, let it go on, and judge."""
        with lane.site(PLAYBOOKS[self.playbook]) as site:
            task = site.task("start", at=self.at, with_signal="SIGSTOP", lease_s=_LEASE_S)
            pid = fork(task)
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):  # it had fewer boundaries than the one that was counted
                return finish(site, _others(site), [site.moment((task, status))])
            try:
                moments = _meanwhile(site)
            finally:
                os.kill(pid, signal.SIGCONT)
                ended = wait_for(pid)
            woken = replace(site.moment((task, ended)), stale=len(moments) > 1)
            return finish(site, _others(site), [*moments, woken])

    def __str__(self) -> str:
        return f"--playbook {self.playbook} --stop-at {self.at} ({self.boundary})"


def _meanwhile(site: Site) -> list[Moment]:
    """Wait until the lease of the stopped process is over, and let another one do what is due."""
    stopped = site.now("stopped")
    time.sleep(_STOPPED_S)
    if not stopped.told.run:
        return [stopped]
    return [stopped, site.moment(run_forked(site.task("go_on", lease_s=_LEASE_S)), alone=False)]


def _others(site: Site) -> Iterator[Ended]:
    while True:
        yield run_forked(site.task(next_verb(site), lease_s=_LEASE_S))


def main() -> int:
    """Run it all. Return 1 if anything was lost, doubled, stuck or wrong that could have been prevented."""
    options = _options()
    names = [options.playbook] if options.playbook else list(_NAMES)
    with lanes(options.lanes) as pool:
        boundaries = dict(zip(names, pool.map(_boundaries, names, chunksize=1), strict=True))
        cases = [
            Stop(name, at, boundary)
            for name in names
            for at, boundary in enumerate(boundaries[name], 1)
            if options.stop_at in (None, at)
        ]
        points = {(PLAYBOOKS[name].group, name): len(boundaries[name]) for name in names}
        return report(pool, cases, Tally("class", points))


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
