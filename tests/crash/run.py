"""`make crash`: kill a run at every boundary between two steps of the engine, let others go on, and judge the product.

run.py                                     every boundary of every playbook, alone and with a second kill after it
run.py --seed 7 --cases 60                 a sample, the same for the same seed and the same engine
run.py --list [--playbook isolate]         the boundaries, numbered
run.py --playbook isolate --kill-at 9 [--then 4]     one case
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

from lane import Lane, finish, next_verb, run_forked
from lanes import lanes, own_lane, report
from playbooks import PLAYBOOKS
from report import Tally
from verdict import Verdict


@dataclass(frozen=True)
class Kill:
    """A playbook, and the boundary at which each of its first processes is killed."""

    playbook: str
    kills: tuple[int, ...] = ()

    @property
    def row(self) -> tuple[str, str]:
        return PLAYBOOKS[self.playbook].group, self.playbook

    def run(self, lane: Lane) -> Verdict:
        """Let process after process work on the run until nobody is to be killed any more, and judge."""
        with lane.site(PLAYBOOKS[self.playbook]) as site:
            kills = chain(self.kills, repeat(None))
            return finish(site, (run_forked(site.task(next_verb(site), at=at)) for at in kills))

    def __str__(self) -> str:
        options = [f"--{option} {at}" for option, at in zip(("kill-at", "then"), self.kills, strict=False)]
        return " ".join(["--playbook", self.playbook, *options])


def main() -> int:
    """Run what was asked for. Return 1 if anything was lost, doubled, stuck or wrong."""
    options = _options()
    names = [options.playbook] if options.playbook else list(PLAYBOOKS)
    with lanes(options.lanes) as pool:
        boundaries = dict(zip(names, pool.map(_boundaries, names, chunksize=1), strict=True))
        if options.list:
            _print_boundaries(boundaries)
            return 0
        tally = Tally("class", {Kill(name).row: len(crossed) for name, crossed in boundaries.items()})
        return report(pool, _cases(boundaries, options), tally, as_json=options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make crash", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--playbook", choices=PLAYBOOKS, help="only this one")
    parser.add_argument("--list", action="store_true", help="print the boundaries and run nothing else")
    parser.add_argument("--kill-at", type=int, help="kill the first process at this boundary")
    parser.add_argument("--then", type=int, help="kill the second process at this boundary of its own")
    parser.add_argument("--cases", type=int, help="only so many cases, chosen by chance")
    parser.add_argument("--seed", type=int, default=1, help="for what is chosen by chance")
    parser.add_argument("--lanes", type=int, default=2, help="how many cases run at the same time")
    parser.add_argument("--json", action="store_true", help="print figures and problems as JSON")
    options = parser.parse_args()
    if options.kill_at is not None and options.playbook is None:
        parser.error("--kill-at needs --playbook: boundaries are numbered for each playbook")
    return options


def _cases(boundaries: dict[str, list[str]], options: argparse.Namespace) -> list[Kill]:
    if options.kill_at is not None:
        return [Kill(options.playbook, tuple(at for at in (options.kill_at, options.then) if at is not None))]
    chance = random.Random(options.seed)
    cases = [case for name, crossed in boundaries.items() for case in _all_of(name, len(crossed), chance)]
    return cases if options.cases is None else chance.sample(cases, min(options.cases, len(cases)))


def _all_of(name: str, last: int, chance: random.Random) -> Iterator[Kill]:
    """Give each boundary once with one kill, and once with a second kill in the process that goes on."""
    for at in range(1, last + 1):
        yield Kill(name, (at,))
        yield Kill(name, (at, chance.randint(1, last - at + 4)))
        if PLAYBOOKS[name].later:
            yield Kill(name, (0, at))  # what comes after the run is done by a process that is killed


def _boundaries(name: str) -> list[str]:
    return own_lane().boundaries(PLAYBOOKS[name])


def _print_boundaries(boundaries: dict[str, list[str]]) -> None:
    for name, crossed in boundaries.items():
        print(f"{name} ({PLAYBOOKS[name].group}): {len(crossed)} boundaries")
        for number, boundary in enumerate(crossed, 1):
            print(f"  {number:>3}  {boundary}")
    print(f"{sum(map(len, boundaries.values()))} boundaries in {len(boundaries)} playbooks")


if __name__ == "__main__":
    sys.exit(main())
