"""Pushing 100,000 indicators: a playbook beside a hand-written client, and a kill.

    python tests/bench/indicators.py                              all products, three rounds: about 25 minutes
    python tests/bench/indicators.py --product fortigate --count 20000 --rounds 1
    python tests/bench/indicators.py --product cloudflare --limits    with the vendor's rate limit: 10 minutes

The vendors' simulators are in a process of their own. For each product and round the hand-written client and Hikeshi
take turns against a fresh estate; each reads what is blocked, sends a batch and reads again. The goal compares a script
that sends one batch after the other with a loop as it is if the playbook does not say otherwise: ten batches at once.
Beside it stand both the one way and both the other; one after the other they make the same requests, and the
simulator's own count shows that they did.

Then a run is killed with SIGKILL in the middle and gone on with by a new process: the simulator's log says whether any
indicator came twice. Exits with 1 if one did, or was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from indicators_by_hand import cloudflare, fortigate, nftables, panos
from report import Goal, table

GOAL = 1.3
AT_ONCE = 10
"""How many batches are under way if a playbook does not say."""
RUN = "bench-run"
PLAYBOOK = """\
id: push
inputs:
  indicators: {{type: list, items: indicator, max_length: 100000}}
steps:
  - id: push
    for_each: inputs.indicators
    batch: {batch}
    concurrency: {at_once}
    action: firewall.block_indicators
    with: {{indicators: "{{{{ item }}}}", reason: bench, expires_in_s: 28800}}
"""


def addresses(count: int) -> list[str]:
    """Return addresses of the range that is set aside for benchmarks. Source: RFC 2544, 198.18.0.0/15."""
    first = int(ip_address("198.18.0.0"))
    return [str(ip_address(first + n)) for n in range(count)]


@dataclass(frozen=True)
class Product:
    """How one product is pushed to: its batch, what an instance needs besides, and where a change names addresses."""

    batch: int
    raw: Callable[[httpx.AsyncClient, dict[str, Any], list[str], asyncio.Lock], Any]
    settings: dict[str, Any]
    named: re.Pattern[str]


PRODUCTS = {
    "panos": Product(10_000, panos, {}, re.compile(r'ip="([^"]+)"')),
    "fortigate": Product(5_000, fortigate, {}, re.compile(r'"([0-9.]+)"')),
    "cloudflare": Product(
        10_000,
        cloudflare,
        {"addresses": "rules_list", "requests_per_minute": 1_000_000},
        re.compile(r'"ip": "([^"]+)"'),
    ),
    "nftables": Product(10_000, nftables, {}, re.compile(r'"val": "([^"]+)"')),
}


# --- the processes -------------------------------------------------------------------------------------------------


def serve(*, limits: bool) -> None:
    """Serve the simulators until the process is ended, with their rate limits or without. Says the port first."""
    from hikeshi.testing.estate import Estate, EstateState
    from hikeshi.testing.simulation import Simulation, discover_simulators, running

    simulators = discover_simulators(products=list(PRODUCTS)).simulators
    if not limits:
        for each in simulators:
            each.rate_limit = None
    estate = Estate(EstateState("bench", datetime.now(UTC), settle_s=0.01))
    with running(Simulation(estate, simulators)) as url:
        print(url, flush=True)
        sys.stdin.read()


async def work(folder: Path) -> None:
    """Push by Hikeshi, or go on with the push that a killed process left. Says the seconds."""
    from hikeshi.app import Hikeshi
    from hikeshi.cli import start_quickly
    from hikeshi.runtime.worker import Worker

    start_quickly()
    app = Hikeshi.open(folder)
    indicators = json.loads((folder / "indicators.json").read_text())
    began = time.perf_counter()
    if app.journal.query("SELECT 1 FROM runs WHERE run = ?", (RUN,)):
        await Worker(app, app.clock).run(stay=False)
        state = app.fold(RUN)
    else:
        state = await app.start_run("push", {"indicators": indicators}, actor="bench", mode="live", run=RUN)
    took_s = time.perf_counter() - began
    await app.aclose()
    if state.finished != "succeeded":
        raise SystemExit(f"the run is {state.finished or 'not over'}: {state.failures[:3]}")
    print(took_s)


async def push_by_hand(product: str, url: str, settings: dict[str, Any], count: int, at_once: int) -> None:
    """Push by the hand-written client. Says the seconds."""
    each, values = PRODUCTS[product], addresses(count)
    turn, places = asyncio.Lock(), asyncio.Semaphore(at_once)

    async def push(client: httpx.AsyncClient, batch: list[str]) -> None:
        async with places:
            await each.raw(client, settings, batch, turn)

    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=f"{url}/{product}", timeout=60) as client:
        batches = (values[at : at + each.batch] for at in range(0, count, each.batch))
        await asyncio.gather(*(push(client, batch) for batch in batches))
    print(time.perf_counter() - began)


def _run(*arguments: str) -> float:
    command = [sys.executable, __file__, *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


# --- the benchmark -------------------------------------------------------------------------------------------------


class Bench:
    """One product against the served simulators."""

    def __init__(self, product: str, url: str, count: int, *, limits: bool) -> None:
        self._product, self._url, self._count = product, url, count
        self._estate = httpx.Client(base_url=f"{url}/_estate", timeout=120)
        from hikeshi.testing.simulation import discover_simulators

        [simulator] = discover_simulators(products=[product]).simulators
        self._settings = {**simulator.connector_settings(url), **PRODUCTS[product].settings}
        if limits:
            self._settings.pop("requests_per_minute", None)

    def by_hand(self, at_once: int) -> float:
        """Return the seconds of the hand-written client."""
        self._estate.post("/reset").raise_for_status()
        given = self._product, self._url, json.dumps(self._settings), str(self._count), str(at_once)
        return _run("--by-hand", *given)

    def by_hikeshi(self, at_once: int) -> float:
        """Return the seconds of a run."""
        self._estate.post("/reset").raise_for_status()
        with tempfile.TemporaryDirectory() as folder:
            self._write(Path(folder), at_once)
            return _run("--work", folder)

    def requests(self) -> dict[str, int]:
        """Return how many requests of each route the product got since the last reset.

        How often a job is asked after is a matter of time, and not counted.
        """
        found: dict[str, int] = self._estate.get("/requests").json()["counts"].get(self._product, {})
        return {route: n for route, n in found.items() if "bulk_operations" not in route}

    def killed(self) -> tuple[float, int, int, int]:
        """Kill a run in the middle and go on with it.

        Returns the seconds of going on, how many indicators had come before the kill, how often one came more than
        once, and how many never came.
        """
        self._estate.post("/reset").raise_for_status()
        with tempfile.TemporaryDirectory() as folder:
            self._write(Path(folder), 2)  # with more, all of them would be on their way before the middle
            process = subprocess.Popen([sys.executable, __file__, "--work", folder], stdout=subprocess.DEVNULL)
            while len(self._changes()) < max(1, self._count // PRODUCTS[self._product].batch // 2):
                if process.poll() is not None:
                    raise RuntimeError("the run was over before it could be killed")
                time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            process.wait()
            before = sum(self._sent().values())
            again_s = _run("--work", folder)
        return again_s, before, *self.doubled_and_lost()

    def doubled_and_lost(self) -> tuple[int, int]:
        """Return how often an indicator came more than once since the last reset, and how many never came."""
        sent = self._sent()
        return sum(n - 1 for n in sent.values()), self._count - len(sent)

    def _changes(self) -> list[dict[str, Any]]:
        return [each for each in self._estate.get("/changes").json() if each["applied"]]

    def _sent(self) -> Counter[str]:
        named = PRODUCTS[self._product].named
        return Counter(
            value
            for change in self._changes()
            for value in named.findall(
                change["body"]["cmd"] if self._product == "panos" else json.dumps(change["body"])
            )
        )

    def _write(self, folder: Path, at_once: int) -> None:
        settings = dict(self._settings)
        for name in ("token", "api_key", "api_token"):
            if name in settings:
                (folder / name).write_text(settings[name])
                settings[name] = f"${{file:{folder / name}}}"
        (folder / "playbooks").mkdir()
        playbook = PLAYBOOK.format(batch=PRODUCTS[self._product].batch, at_once=at_once)
        (folder / "playbooks" / "push.yaml").write_text(playbook)
        (folder / "hikeshi.yaml").write_text(json.dumps({"connectors": {"firewall": settings}}))
        values = [{"kind": "ipv4", "value": value} for value in addresses(self._count)]
        (folder / "indicators.json").write_text(json.dumps(values))


def measure(product: str, url: str, count: int, rounds: int) -> bool:
    """Measure one product and print what came of it. Returns whether no indicator came twice or was lost."""
    bench = Bench(product, url, count, limits=False)
    ways = {
        "by hand, one after the other, s": partial(bench.by_hand, 1),
        "Hikeshi, one after the other, s": partial(bench.by_hikeshi, 1),
        f"by hand, {AT_ONCE} at once, s": partial(bench.by_hand, AT_ONCE),
        f"Hikeshi, {AT_ONCE} at once, s": partial(bench.by_hikeshi, AT_ONCE),
    }
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        asked = []
        for name, way in ways.items():
            figures[name].append(way())
            asked.append(bench.requests())
        if asked[0] != asked[1]:
            print(f"  not the same requests: by hand {asked[0]}, Hikeshi {asked[1]}")
    by_hand, after, by_hand_at_once, at_once = figures.values()
    again_s, before, twice, lost = bench.killed()
    notes = [
        f"both one after the other: {_ratio(after, by_hand):.2f}",
        f"both {AT_ONCE} at once: {_ratio(at_once, by_hand_at_once):.2f}",
        f"requests: {', '.join(f'{sum(counts.values()):,}' for counts in asked)}",
        f"killed after {before:,} of {count:,}, gone on with in {again_s:.1f} s: {twice:,} came twice, {lost:,} never",
    ]
    title = f"{product}: {count:,} addresses in batches of {PRODUCTS[product].batch:,}"
    goal = Goal("times the hand-written client", _ratio(at_once, by_hand), GOAL)
    print(table(title, figures, [goal], "\n  ".join(notes)), flush=True)
    return not twice and not lost


def measure_limited(product: str, url: str, count: int) -> bool:
    """Measure one product once, with its rate limit: the client waits as long as it is told, Hikeshi keeps below."""
    bench = Bench(product, url, count, limits=True)
    figures = {"by hand, one after the other, s": [bench.by_hand(1)]}
    asked_by_hand = sum(bench.requests().values())
    figures[f"Hikeshi, {AT_ONCE} at once, s"] = [bench.by_hikeshi(AT_ONCE)]
    by_hand, at_once = figures.values()
    goal = Goal("times the hand-written client", _ratio(at_once, by_hand), GOAL)
    twice, lost = bench.doubled_and_lost()
    notes = f"requests: {asked_by_hand:,}, {sum(bench.requests().values()):,}; {twice:,} came twice, {lost:,} never"
    print(table(f"{product}: {count:,} addresses with the vendor's rate limit", figures, [goal], notes), flush=True)
    return not twice and not lost


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def main() -> int:
    """Measure, or be one of the processes that take part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", choices=PRODUCTS, action="append")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limits", action="store_true", help="with the vendors' rate limits; one round, no kill")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--by-hand", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(limits=options.limits)
    elif options.work is not None:
        asyncio.run(work(options.work))
    elif options.by_hand is not None:
        product, url, settings, count, at_once = options.by_hand
        asyncio.run(push_by_hand(product, url, json.loads(settings), int(count), int(at_once)))
    else:
        return _measured(options)
    return 0


def _measured(options: argparse.Namespace) -> int:
    command = [sys.executable, __file__, "--serve", *(["--limits"] if options.limits else [])]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        products = options.product or PRODUCTS
        if options.limits:
            good = [measure_limited(each, url, options.count) for each in products]
        else:
            good = [measure(each, url, options.count, options.rounds) for each in products]
    finally:
        server.stdin.close()
        server.wait(30)
        server.stdout.close()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
