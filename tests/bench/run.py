"""`make bench`: what a step, a run and a start cost, beside the bare HTTP client and beside DBOS.

Systems take turns, round by round, in one run on one machine: only figures of the same run can be compared. Every
system lives in its own process, posts with the same client to the same loopback server, and works alone while the
others stand still.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from processes import Server, Worker, seconds_to_first_post
from report import Goal, table

_HERE = Path(__file__).parent
_RAW, _DURABLE = "bare client", "bare client + one commit a step"
_NOTIFY, _READ, _CHANGE = "Hikeshi, a notification", "Hikeshi, a read", "Hikeshi, a change of three calls"
_DBOS = "DBOS, a step"
_SMALLEST, _COMMAND = "the smallest script", "hikeshi run"
_SYSTEMS = {_RAW: "raw", _DURABLE: "durable", _NOTIFY: "hikeshi", _DBOS: "dbos"}

Figures = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Sizes:
    """How much of each workload is done."""

    rounds: int
    w1_steps: int
    w1_runs: int
    w2_steps: int
    w3_runs: int
    w3_steps: int
    at_once: int
    starts: int
    lengths: tuple[int, ...]  # of runs, to see whether the cost of a step grows with them
    length_rounds: int
    records: int
    left: int  # runs that a process leaves behind


SIZES = {
    "full": Sizes(3, 20, 5, 1_000, 500, 5, 50, 5, (100, 1_000, 10_000), 2, 5_000, 1_000),
    "quick": Sizes(2, 20, 3, 500, 100, 5, 50, 2, (100, 500, 2_000), 1, 2_000, 200),
    "tiny": Sizes(1, 3, 1, 10, 4, 2, 2, 1, (2, 4), 1, 20, 3),
}


@dataclass
class Bench:
    """One run of the benchmarks: the processes that take part, and the figures so far."""

    sizes: Sizes
    server: Server
    folder: Path
    check_s: float = 0.0
    workers: dict[str, Worker] = field(default_factory=dict)
    figures: Figures = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def note(self, workload: str, row: str, value: float) -> None:
        self.figures[workload][row].append(value)

    def of(self, workload: str, row: str) -> float:
        return median(self.figures[workload][row])

    # --- workloads ------------------------------------------------------------------------------------------------

    def one_run_in_sequence(self) -> None:
        """W1."""
        steps = self.sizes.w1_steps
        for _ in range(self.sizes.w1_runs):
            raw_ms = self.workers[_RAW].measure("sequential", steps=steps) / steps * 1e3
            self.note("call", _RAW, raw_ms)
            for row, worker in self.workers.items():
                if row != _RAW:
                    self.note("W1", row, worker.measure("sequential", steps=steps) / steps * 1e3 - raw_ms)
            hikeshi = self.workers[_NOTIFY]
            self.note("W1", _READ, hikeshi.measure("reads", steps=steps) / steps * 1e3 - raw_ms)
            self.note("W1", _CHANGE, hikeshi.measure("changes", steps=steps) / steps * 1e3 - 3 * raw_ms)

    def one_run_at_once(self) -> None:
        """W2."""
        for row, worker in self.workers.items():
            self.note("W2", row, worker.measure("concurrent", steps=self.sizes.w2_steps, at_once=self.sizes.at_once))

    def many_runs(self) -> None:
        """W3."""
        runs, steps = self.sizes.w3_runs, self.sizes.w3_steps
        for row, worker in self.workers.items():
            seconds = worker.measure("many_runs", runs=runs, steps=steps, at_once=self.sizes.at_once)
            self.note("W3", row, runs * steps / seconds)

    def starts(self) -> None:
        """W4."""
        for row, command in self._commands().items():
            self.note("W4", row, seconds_to_first_post(command, self.server, self.folder) * 1e3)

    def _commands(self) -> dict[str, list[str]]:
        url = f"{self.server.url}/post"
        return {
            _SMALLEST: [sys.executable, str(_HERE / "smallest.py"), url],
            "the same over asyncio": [sys.executable, str(_HERE / "smallest_async.py"), url],
            _COMMAND: [sys.executable, "-m", "hikeshi.cli", "run", "hello"],
        }

    def lengths(self) -> None:
        """Whether a step of a long run costs more than one of a short run."""
        longest = max(self.sizes.lengths)
        for steps in self.sizes.lengths:
            for _ in range(min(10, longest // steps)):
                for kind, measure in (("chain", "sequential"), ("loop", "items")):
                    seconds = self.workers[_NOTIFY].measure(measure, steps=steps)
                    self.note(kind, f"{steps:,}", seconds / steps * 1e3)

    def journal(self, worker: Worker) -> None:
        """Records a second that become durable."""
        records, group = self.sizes.records, min(50, self.sizes.records)
        for row, measure, more in (
            ("one after the other", "one_by_one", {}),
            (f"in appends of {group}", "in_groups", {"group": group}),
            (f"one by one, from {group} runs at once", "by_many_runs", {"runs": group}),
        ):
            self.note("journal", row, records / worker.measure(measure, records=records, **more))

    def recovery(self) -> None:
        """How long a process takes to bring the runs to their end that another one has left unfinished."""
        left = self.sizes.left
        self.note("recovery", f"{left:,} runs", self.workers[_NOTIFY].measure("recover", runs=left))

    # --- report ---------------------------------------------------------------------------------------------------

    def tables(self) -> Iterable[str]:
        """Give the tables of all workloads."""
        sizes, figures = self.sizes, self.figures
        call_ms = self.of("call", _RAW)
        yield table(
            f"W1  one run of {sizes.w1_steps} steps in sequence: ms a step beyond the bare call of {call_ms:.2f} ms",
            figures["W1"],
            [Goal("Hikeshi adds at most 1 ms to a step", self.of("W1", _NOTIFY), 1.0)],
        )
        yield table(f"W2  one run of {sizes.w2_steps:,} steps, {sizes.at_once} at once: s", figures["W2"])
        share = self.of("W3", _NOTIFY) / self.of("W3", _DURABLE)
        goals = [Goal("Hikeshi does at least 0.6 of the steps of the bare client that commits", share, 0.6, False)]
        if _DBOS in self.workers:
            times = self.of("W3", _NOTIFY) / self.of("W3", _DBOS)
            goals.append(Goal("Hikeshi does at least 6 times the steps of DBOS", times, 6.0, at_most=False))
        title = f"W3  {sizes.w3_runs} runs of {sizes.w3_steps} steps, {sizes.at_once} runs at once: steps/s"
        yield table(title, figures["W3"], goals)
        times = self.of("W4", _COMMAND) / self.of("W4", _SMALLEST)
        yield table(
            "W4  from the start of a command to its first request: ms",
            figures["W4"],
            [Goal("Hikeshi takes at most twice the time of the smallest script", times, 2.0)],
        )
        for kind, title in (("chain", "steps in sequence"), ("loop", "items of a for_each in sequence")):
            yield self._length_table(kind, title)
        yield table(
            "Going on with what a killed process left: s until all runs have ended",
            figures["recovery"],
            [Goal(f"{sizes.left:,} runs take at most 10 s", self.of("recovery", f"{sizes.left:,} runs"), 10.0)],
        )
        yield table("Journal appends: records/s that are durable", figures["journal"])

    def check_line(self) -> str:
        steps = max(self.sizes.lengths)
        return f"Reading and checking a playbook of {steps:,} steps, once a process: {self.check_s:.1f} s"

    def _length_table(self, kind: str, title: str) -> str:
        shortest, longest = f"{min(self.sizes.lengths):,}", f"{max(self.sizes.lengths):,}"
        times = self.of(kind, longest) / self.of(kind, shortest)
        return table(
            f"Runs of different lengths, {title}: ms a step, the call included",
            self.figures[kind],
            [Goal(f"a step of {longest} costs at most 1.3 times one of {shortest}", times, 1.3)],
        )


def main() -> None:
    """Run everything and print it."""
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument(
        "--quick", dest="size", action="store_const", const="quick", default="full", help="in about a minute"
    )
    arguments.add_argument("--size", choices=SIZES, default="full", help="tiny: only to see that it works")
    sizes = SIZES[arguments.parse_args().size]
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hikeshi-bench-")))
        os.sync()  # what was installed a moment ago may still be on its way to the disk
        server = Server()
        stack.callback(server.close)
        bench = Bench(sizes, server, folder)
        _print(_about_machine(folder))
        for row in _SYSTEMS:
            if row == _DBOS and importlib.util.find_spec("dbos") is None:
                _print("DBOS is left out: it is not installed (pip install 'hikeshi[bench]')")
                continue
            bench.workers[row] = _worker(_SYSTEMS[row], server, folder, stack)
        _measure(bench, _worker("journal", server, folder, stack))
        _print("")
        for text in bench.tables():
            _print(text)
        _print(bench.check_line())
    _print(f"{time.monotonic() - began:.0f} s in all, load at the end {os.getloadavg()[0]:.1f}")


def _measure(bench: Bench, journal: Worker) -> None:
    sizes = bench.sizes
    _write_project(bench.folder, bench.server.url)
    lengths = [sizes.w1_steps, sizes.w3_steps, 5, *sizes.lengths]
    loops = [(sizes.w2_steps, sizes.at_once), *((steps, 1) for steps in sizes.lengths)]
    bench.check_s = bench.workers[_NOTIFY].measure("prepare", lengths=lengths, loops=loops)
    # The first of everything fills caches and opens connections, and does not count.
    bench.starts()
    bench.one_run_in_sequence()
    bench.figures.clear()
    parts: tuple[tuple[str, int, Callable[[], None]], ...] = (
        ("W1", sizes.rounds, bench.one_run_in_sequence),
        ("W2", sizes.rounds, bench.one_run_at_once),
        ("W3", sizes.rounds, bench.many_runs),
        ("W4", sizes.starts, bench.starts),
        ("lengths", sizes.length_rounds, bench.lengths),
        ("recovery", sizes.length_rounds, bench.recovery),
        ("journal", sizes.rounds, lambda: bench.journal(journal)),
    )
    for number in range(max(rounds for _, rounds, _ in parts)):
        for name, rounds, part in parts:
            if number < rounds:
                began = time.monotonic()
                part()
                print(f"round {number + 1}: {name} took {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def _worker(system: str, server: Server, folder: Path, stack: ExitStack) -> Worker:
    worker = Worker(system, server.url, folder / system)
    stack.callback(worker.close)
    return worker


def _write_project(folder: Path, url: str) -> None:
    """Write the project of which `hikeshi run` is timed: a connector that ships, and a playbook of one step."""
    settings = f"{{product: slack, base_url: '{url}', bot_token: '${{env:BENCH_TOKEN}}'}}"
    (folder / "hikeshi.yaml").write_text(f"connectors:\n  chat: {settings}\n")
    (folder / "playbooks").mkdir()
    (folder / "playbooks" / "hello.yaml").write_text(
        "id: hello\ninputs:\n  who: {type: string, default: you}\n"
        'steps:\n  - action: messaging.post\n    with: {channel: soc, text: "hello {{ inputs.who }}"}\n'
    )


def _about_machine(folder: Path) -> str:
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"a flush to this disk takes {_flush_ms(folder):.2f} ms"
    )


def _flush_ms(folder: Path) -> float:
    """Return what making a small write durable takes, the median of some."""
    took = []
    with (folder / "flushed").open("wb") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    return median(took)


def _print(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
