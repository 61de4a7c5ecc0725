"""The worker: it does what is due, as much at once as it may, and one that cannot go on keeps nobody from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from hikeshi.core import RunState
from hikeshi.runtime.ledger import Hold
from hikeshi.runtime.worker import Due, Worker
from hikeshi.testing.fake_clock import START, FakeClock
from hikeshi.testing.run_harness import make_program

PROGRAM = make_program("id: t\nsteps: [{set: {a: '1'}}]\n")


def a_hold(name: str) -> Hold:
    return Hold(name, "r", "p", "edr.isolate_host", "fake", "t", "t", None, None, "active", START, START)


@dataclass
class Works:
    """What is to be done: each run or hold until it is done, in the order given, from its time on."""

    clock: FakeClock = field(default_factory=FakeClock)
    waiting: dict[str, datetime] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    looks: int = 0
    under_way: int = 0
    most: int = 0
    how: Callable[[str], Awaitable[bool]] | None = None  # says whether it was done

    def due(self) -> Due:
        self.looks += 1
        now = self.clock.now()
        later = [at for at in self.waiting.values() if at > now]
        return Due([run for run, at in self.waiting.items() if at <= now], self.holds, min(later, default=None))

    async def go_on_quietly(self, run: str) -> RunState | None:
        return await self._do(run, lambda: self.waiting.pop(run, None))

    async def release_due(self, holds: Sequence[Hold]) -> RunState | None:
        return await self._do(holds[0].hold, lambda: [self.holds.remove(hold) for hold in holds])

    async def _do(self, name: str, finish: Callable[[], object]) -> RunState | None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0)
            if self.how is not None and not await self.how(name):
                return None
        finally:
            self.under_way -= 1
        finish()
        self.done.append(name)
        return RunState(name, PROGRAM)


def works(*runs: str, at: datetime = START) -> Works:
    return Works(waiting=dict.fromkeys(runs, at))


async def test_everything_that_is_due_is_done_and_then_it_returns() -> None:
    """Holds whose time is over come first: somebody is cut off for longer than was said."""
    one = works("a", "b", "c")
    one.holds = [a_hold("h")]
    ended: list[str] = []
    await Worker(one, one.clock, ended=lambda state: ended.append(state.run), at_once=1).run(stay=False)

    assert one.done == ["h", "a", "b", "c"]
    assert ended == one.done


async def test_nothing_that_is_due_later_is_waited_for() -> None:
    """Without being told to stay."""
    one = works("a")
    one.waiting["later"] = START + timedelta(hours=1)
    await Worker(one, one.clock).run(stay=False)

    assert one.done == ["a"]
    assert one.clock.now() - START < timedelta(minutes=1)


async def test_no_more_is_done_at_once_than_it_may() -> None:
    """And all of it in the end."""
    one = works(*(f"r{number:03}" for number in range(200)))

    async def slowly(_: str) -> bool:
        await asyncio.sleep(0.001)
        return True

    one.how = slowly
    await Worker(one, one.clock, at_once=7).run(stay=False)

    assert one.most == 7
    assert one.done == sorted(one.done)
    assert len(one.done) == 200


@pytest.mark.parametrize("error", [RuntimeError("broken"), OSError("gone")])
async def test_one_that_cannot_go_on_keeps_nobody_from_it(error: Exception) -> None:
    """It is said why, and it is left alone for a while."""
    one = works("bad", "good")
    troubles: list[tuple[str, Exception]] = []

    async def fail(name: str) -> bool:
        if name == "bad":
            raise error
        return True

    one.how = fail
    worker = Worker(one, one.clock, trouble=lambda name, exc: troubles.append((name, exc)), at_once=1)
    await worker.run(stay=False)

    assert one.done == ["good"]
    assert troubles == [("bad", error)]


async def test_what_could_not_be_done_is_tried_again_later() -> None:
    """After half a minute, and looked at seldom until then."""
    one = works("bad")
    tries: list[datetime] = []

    async def fail_twice(_: str) -> bool:
        tries.append(one.clock.now())
        if len(tries) < 3:
            raise OSError("gone")
        worker.stop()
        return True

    one.how = fail_twice
    worker = Worker(one, one.clock)
    await worker.run(stay=True)

    assert one.done == ["bad"]
    assert [round((after - before).total_seconds()) for before, after in pairwise(tries)] == [30, 30]
    assert one.looks < 150


async def test_where_somebody_else_was_quicker_nothing_is_said() -> None:
    """It is not looked at over and over."""
    one = works("a")
    asked: list[str] = []

    async def taken(name: str) -> bool:
        asked.append(name)
        if len(asked) == 4:
            del one.waiting["a"]
            worker.stop()
        return False

    one.how = taken
    troubles: list[str] = []
    worker = Worker(one, one.clock, trouble=lambda name, _: troubles.append(name))
    await worker.run(stay=True)

    assert troubles == []
    assert one.looks <= 3 * len(asked) + 2
    assert one.clock.now() - START >= timedelta(seconds=1)


async def test_it_stays_until_it_is_stopped_and_ends_what_it_began() -> None:
    """What comes due meanwhile is done on time; after the stop nothing begins."""
    one = works()
    for minutes in (1, 2, 3):
        one.waiting[f"at {minutes}"] = START + timedelta(minutes=minutes)
    begun: list[tuple[str, datetime]] = []

    async def note(name: str) -> bool:
        begun.append((name, one.clock.now()))
        if name == "at 2":
            worker.stop()
            await one.clock.sleep(300)
        return True

    one.how = note
    worker = Worker(one, one.clock)
    await worker.run(stay=True)

    assert one.done == ["at 1", "at 2"]
    late = [(at - START).total_seconds() - 60 * number for number, (_, at) in enumerate(begun, start=1)]
    assert all(0 <= each < 0.01 for each in late)


async def test_one_that_takes_long_does_not_hold_up_what_comes_due() -> None:
    """It is looked at while others are under way."""
    one = works("long")
    one.waiting["soon"] = START + timedelta(seconds=5)
    order: list[str] = []
    gate = asyncio.Event()

    async def do(name: str) -> bool:
        order.append(name)
        if name == "long":
            await gate.wait()
        else:
            gate.set()
        return True

    one.how = do
    task = asyncio.create_task(Worker(one, one.clock).run(stay=False))
    await asyncio.sleep(0.01)
    one.clock.advance(5)
    await asyncio.wait_for(task, 20)

    assert order == ["long", "soon"]


async def test_a_worker_that_is_ended_begins_nothing_new() -> None:
    """What is under way comes to its end, and nothing further begins."""
    one = works("a", "b")

    async def hang(_: str) -> bool:
        await asyncio.sleep(0.05)
        return True

    one.how = hang
    task = asyncio.create_task(Worker(one, one.clock, at_once=1).run(stay=True))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert one.done == ["a"]
    assert one.under_way == 0


def names(holds: Sequence[Hold]) -> list[str]:
    return [each.hold for each in holds]


def test_due_is_true_only_if_something_is_to_be_done() -> None:
    """A time to come is nothing to do."""
    assert not Due([], [], START)
    assert Due(["a"], [], None)
    assert Due([], [a_hold("h")], None)
    assert names(Due([], [a_hold("h")], None).holds) == ["h"]
