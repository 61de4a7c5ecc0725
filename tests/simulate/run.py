"""Lives through the worlds of many seeds and says what is wrong with any: `make simulate-faults SEEDS=2000`.

python run.py [--seeds N] [--from N] [--seed N] [--jobs N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from checks import PROMISES
from world import Verdict, simulate

CHUNK = 20
LIVED_TWICE = 25  # every so many seeds, one is lived through twice


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulate the engine under faults.")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--digest", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.seed is not None:
        return digest(asked.seed) if asked.digest else replay(asked.seed)
    return many(asked.first, asked.seeds, max(1, asked.jobs))


def many(first: int, seeds: int, jobs: int) -> int:
    """Live through a range of seeds and print what they came to."""
    began = time.monotonic()
    total = Summary()
    ranges = [(at, min(at + CHUNK, first + seeds)) for at in range(first, first + seeds, CHUNK)]
    for summary in in_processes(ranges, jobs):
        total.add(summary)
        for seed, promise, detail in summary.broken:
            print(f"seed {seed}: {promise}: {detail.splitlines()[0][:300]}", flush=True)
    total.print(seeds, time.monotonic() - began, jobs)
    return 1 if total.broken else 0


def in_processes(ranges: list[tuple[int, int]], jobs: int) -> Iterator[Summary]:
    if jobs == 1:
        yield from map(live, ranges)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(live, ranges)


class Summary:
    """What several worlds came to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.used: Counter[str] = Counter()
        self.broken: list[tuple[int, str, str]] = []

    def note(self, seed: int, verdict: Verdict) -> None:
        self.counts.update(verdict.counts)
        self.used.update(verdict.used)
        self.broken += [(seed, promise, detail) for promise, detail in verdict.broken[:1]]

    def add(self, other: Summary) -> None:
        self.counts.update(other.counts)
        self.used.update(other.used)
        self.broken += other.broken

    def print(self, seeds: int, took_s: float, jobs: int) -> None:
        counts = self.counts
        print(f"\n{seeds} seeds in {took_s:.1f} s: {seeds / took_s:.1f} a second with {jobs} processes")
        named = ("crashes", "clock jumps", "suspends", "disk full", "appends_refused", "comparisons", "callbacks")
        print(", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in named))
        print_table("runs by outcome", (counts, "run "))
        print_table("what went wrong outside", (counts, "fault "))
        print_table("events", (counts, "event "))
        print_table("constructs in the playbooks", (self.used, ""))
        if self.broken:
            print(f"\n{len(self.broken)} seeds broke a promise; replay one with: make simulate-faults SEED=<number>")
            for promise, times in Counter(promise for _, promise, _ in self.broken).most_common():
                print(f"  {times:5}  {promise}: {PROMISES[promise]}")
        else:
            print("\nno promise was broken")


def print_table(title: str, source: tuple[Counter[str], str]) -> None:
    counts, prefix = source
    found = [(name.removeprefix(prefix), times) for name, times in counts.most_common() if name.startswith(prefix)]
    print(f"\n{title}:")
    width = max((len(name) for name, _ in found), default=0)
    most = max((times for _, times in found), default=1)
    for name, times in found:
        print(f"  {name:<{width}}  {times:7}  {'#' * max(1, round(30 * times / most))}")


def live(seeds: tuple[int, int]) -> Summary:
    """Live through the worlds of some seeds, and through some of them twice."""
    summary = Summary()
    for seed in range(*seeds):
        verdict = simulate(seed)
        if seed % LIVED_TWICE == 0 and not verdict.broken and simulate(seed).digest != verdict.digest:
            verdict.broken.append(("deterministic", "the same seed gave another run in the same process"))
        summary.note(seed, verdict)
    return summary


def replay(seed: int) -> int:
    """Print the world of one seed with everything that happens, twice lived through, the second time elsewhere."""
    verdict = simulate(seed)
    print("\n".join(verdict.playbooks))
    print("\n".join(verdict.lines))
    other = digest_elsewhere(seed)
    if other != verdict.digest:
        verdict.broken.append(("deterministic", f"digest {verdict.digest} here, {other} in another process"))
    print(f"\nseed {seed}, digest {verdict.digest}")
    for promise, detail in verdict.broken:
        print(f"broken: {promise} ({PROMISES[promise]}):\n  {detail}")
    if not verdict.broken:
        print("no promise was broken; lived through twice, it was the same")
    return 1 if verdict.broken else 0


def digest_elsewhere(seed: int) -> str:
    """Return the digest of a world in a process that orders sets of texts in another way."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, __file__, "--seed", str(seed), "--digest"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.stdout.strip() or done.stderr.strip()


def digest(seed: int) -> int:
    print(simulate(seed).digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
