"""Holds whose time is over: killed processes, processes that race, a product that is down, and a clock that jumps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from durable_process import ShiftedClock
from durable_site import Site

from hikeshi.app import Hikeshi
from hikeshi.runtime.worker import Worker

TEXT = """
id: t
inputs: {name: {type: string, default: pc1}, time: {type: string, default: 1h}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, hold: "{{ inputs.time }}"}
  - {id: stays, wait: 8h}
"""
HOUR_S = 3600.0


def statuses(site: Site) -> list[str]:
    async def look() -> list[str]:
        async with site.app() as app:
            rows = app.journal.query("SELECT status FROM holds ORDER BY opened_at, hold")
            return [str(row["status"]) for row in rows]

    return asyncio.run(look())


def isolated_by_a_process_that_died(site: Site) -> float:
    """Isolate a host in a process that is killed while its run goes on; return the time of that."""
    site.write(TEXT)
    process = site.start("start", "t")
    site.until(process, lambda: statuses(site) == ["active"])
    site.kill(process)
    assert site.fleet.changes("isolate") == {"pc1": 1}
    return time.monotonic()


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_of_two_processes_that_find_it_due_one_releases(site: Site, *, is_cancelled: bool) -> None:
    """Once, and not before its time; whether the run goes on or was cancelled."""
    isolated_by_a_process_that_died(site)
    if is_cancelled:

        async def cancel() -> None:
            async with site.app() as app:
                await app.tell(app.runs()[0]["run"], "cancel", {}, actor="mei")

        asyncio.run(cancel())
    site.end_of(site.start("work", ahead_s=HOUR_S - 300, park_after_s=1))
    assert site.fleet.changes("release") == {}
    both = [site.start("work", ahead_s=HOUR_S, park_after_s=1) for _ in range(2)]
    told = [site.end_of(process) for process in both]

    assert [each["troubles"] for each in told] == [[], []]
    assert site.fleet.changes("release") == {"pc1": 1}
    assert site.fleet.isolated == set()
    assert statuses(site) == ["released"]


def test_a_process_that_is_killed_while_it_releases_is_followed_by_another(site: Site) -> None:
    """The product is asked once, whatever the first one had come to."""
    isolated_by_a_process_that_died(site)
    process = site.start("stay", ahead_s=HOUR_S, park_after_s=1)
    site.until(process, lambda: site.fleet.changes("release"))
    site.kill(process)
    site.end_of(site.start("work", ahead_s=HOUR_S, park_after_s=1))

    assert site.fleet.changes("release") == {"pc1": 1}
    assert statuses(site) == ["released"]


@asynccontextmanager
async def living(site: Site, clock: ShiftedClock) -> AsyncIterator[tuple[Hikeshi, Worker]]:
    """Give a process that works until it is left, on a clock that the test sets."""
    async with site.app() as app:
        app.clock = clock
        worker = Worker(app, clock)
        task = asyncio.create_task(worker.run(stay=True))
        yield app, worker
        worker.stop()
        await asyncio.wait_for(task, 30)


async def until(condition: object, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to that in time"
        await asyncio.sleep(0.05)


async def test_a_product_that_is_down_is_asked_until_it_is_there(site: Site) -> None:
    """Its time comes while the product answers nobody; hours later it is released, once."""
    site.write(TEXT.replace("  - {id: stays, wait: 8h}\n", ""))
    clock = ShiftedClock(longest_s=0.02)
    async with living(site, clock) as (app, _):
        await app.start_run("t", {}, actor="ana", mode="live")
        site.fleet.down = True
        clock.ahead_s = HOUR_S

        def looks_in_vain() -> int:
            clock.ahead_s += 60
            return sum(what == "state" for what, _ in site.fleet.asked)

        await until(lambda: looks_in_vain() > 6)
        assert site.fleet.isolated == {"pc1"}
        site.fleet.down = False
        await until(lambda: looks_in_vain() and not app.holds())

    assert site.fleet.changes("release") == {"pc1": 1}


async def test_a_release_that_is_refused_is_tried_again_later(site: Site) -> None:
    """Refused for good: the run fails, the hold stays, and another run tries it when some time has passed."""
    site.write(TEXT.replace("  - {id: stays, wait: 8h}\n", ""))
    clock = ShiftedClock(longest_s=0.02)
    async with living(site, clock) as (app, _):
        await app.start_run("t", {}, actor="ana", mode="live")
        site.fleet.refused = {"pc1": 403}
        clock.ahead_s = HOUR_S
        await until(lambda: site.fleet.changes("release"))
        await until(lambda: [each["status"] for each in app.runs()].count("failed") == 1)
        assert [hold.status for hold in app.holds()] == ["active"]
        site.fleet.refused = {}
        clock.ahead_s += 301
        await until(lambda: not app.holds())

    assert site.fleet.changes("release") == {"pc1": 2}
    assert site.fleet.isolated == set()


async def test_the_last_of_two_holds_of_two_runs_releases(site: Site) -> None:
    """The second run found the host isolated already; the first hold passes on to its."""
    site.write(TEXT.replace("  - {id: stays, wait: 8h}\n", ""))
    clock = ShiftedClock()
    async with living(site, clock) as (app, _):
        await app.start_run("t", {}, actor="ana", mode="live")
        await app.start_run("t", {"time": "2h"}, actor="kei", mode="live")
        clock.ahead_s = HOUR_S
        await until(lambda: len(app.holds()) == 1)
        assert site.fleet.changes("release") == {}
        clock.ahead_s = 2 * HOUR_S
        await until(lambda: not app.holds())

    assert site.fleet.changes("isolate") == site.fleet.changes("release") == {"pc1": 1}


async def test_a_clock_that_jumps_forward_in_a_living_process_releases_soon(site: Site) -> None:
    """It is noticed within seconds, not after what is left of the hour."""
    site.write(TEXT.replace("  - {id: stays, wait: 8h}\n", ""))
    clock = ShiftedClock()
    async with living(site, clock) as (app, _):
        await app.start_run("t", {}, actor="ana", mode="live")
        await asyncio.sleep(1)
        clock.ahead_s = HOUR_S
        await until(lambda: not app.holds())

    assert site.fleet.changes("release") == {"pc1": 1}


# --- waits of a living process ----------------------------------------------------------------------------------------


class NappingClock(ShiftedClock):
    """A clock that jumps when it is slept on for the first time; what it was asked to sleep is kept."""

    def __init__(self, jump_s: float) -> None:
        super().__init__()
        self.jump_s = jump_s
        self.naps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(min(seconds, 0.2))
        self.ahead_s += self.jump_s
        self.jump_s = 0.0


async def test_a_wait_ends_when_the_clock_jumps_over_its_end() -> None:
    """It is slept in short naps, so the jump is noticed."""
    clock = NappingClock(jump_s=2 * HOUR_S)
    await asyncio.wait_for(clock.sleep_until(clock.now() + timedelta(hours=1)), 20)

    assert len(clock.naps) == 1
    assert max(clock.naps) <= 5


async def test_a_wait_is_no_longer_because_the_clock_was_set_back() -> None:
    """The time that truly passed counts as well: half a second is half a second."""
    clock = NappingClock(jump_s=-2 * HOUR_S)
    begun = time.monotonic()
    await asyncio.wait_for(clock.sleep_until(clock.now() + timedelta(seconds=0.5)), 20)

    assert 0.45 <= time.monotonic() - begun < 15
    assert len(clock.naps) >= 2


@pytest.mark.parametrize("jump_s", [2 * HOUR_S, -2 * HOUR_S])
async def test_a_run_that_waits_while_the_clock_jumps_ends_in_time(site: Site, jump_s: float) -> None:
    """Forward, a wait of an hour is over; back, one of a second takes no two hours."""
    site.write(f"id: t\nsteps:\n  - {{id: w, wait: {'1h' if jump_s > 0 else '1s'}}}\n")
    clock = NappingClock(jump_s)
    async with site.app() as app:
        app.clock = clock
        app.park_after_s = 0.0
        state = await asyncio.wait_for(app.start_run("t", {}, actor="ana", mode="live"), 30)

    assert state.finished == "succeeded"
