"""When checkpoints are made, and that nothing waits for one or fails with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hikeshi.audit.errors import AuditError
from hikeshi.audit.keeper import Keeper

BEGIN = datetime(2026, 2, 3, tzinfo=UTC)


class Desk:
    """Counts the checkpoints that a keeper makes, and what it tells; each takes as long as the test says."""

    def __init__(self, **options: float) -> None:
        self.at = BEGIN
        self.made = 0
        self.told: list[str] = []
        self.problems: list[Exception] = []
        self.raises: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.keeper = Keeper(self.make, lambda: self.at, self.told.append, **options)  # type: ignore[arg-type]

    async def make(self) -> Sequence[Exception]:
        self.made += 1
        await self.goes_on.wait()
        if self.raises is not None:
            raise self.raises
        return self.problems

    async def settle(self) -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        return self.made


async def test_a_checkpoint_is_made_after_so_many_records() -> None:
    """And once more after as many again."""
    desk = Desk(every=10)
    for _ in range(9):
        desk.keeper.saw()
    assert await desk.settle() == 0
    desk.keeper.saw()
    assert await desk.settle() == 1
    desk.keeper.saw(10)
    assert await desk.settle() == 2


async def test_wishes_that_come_meanwhile_become_one() -> None:
    """A hundred runs that end together are signed together, and those that end during that, by one more."""
    desk = Desk()
    desk.goes_on.clear()
    desk.keeper.want()
    assert await desk.settle() == 1
    for _ in range(100):
        desk.keeper.want()
    assert await desk.settle() == 1
    desk.goes_on.set()
    assert await desk.settle() == 2


async def test_the_clock_asks_for_one_after_a_while() -> None:
    """Other processes may have written; a clock that was set back counts as a while, too."""
    desk = Desk(idle_s=300)
    for seconds, made in ((0, 0), (299, 0), (300, 1), (599, 1), (600, 2), (10, 3)):
        desk.at = BEGIN + timedelta(seconds=seconds)
        desk.keeper.tick()
        assert await desk.settle() == made, seconds


def test_the_clock_is_not_looked_at_outside_of_a_loop() -> None:
    """There is nothing that could make one then."""
    keeper = Keeper(None, lambda: BEGIN, print)  # type: ignore[arg-type]

    keeper.tick()
    keeper.saw()
    assert keeper._looked_at is None


async def test_what_fails_is_told_once_a_minute_and_raised_to_nobody() -> None:
    """Neither errors that are expected nor defects."""
    desk = Desk()
    desk.raises = AuditError("No key", "here", "Make one")
    for seconds, told in ((0, 1), (59, 1), (60, 2)):
        desk.at = BEGIN + timedelta(seconds=seconds)
        desk.keeper.want()
        await desk.settle()
        assert len(desk.told) == told
    desk.raises = ZeroDivisionError("secret")
    desk.keeper.want()
    await desk.settle()
    desk.raises, desk.problems = None, [AuditError("Too far", "there", "Wait")]
    desk.keeper.want()
    await desk.settle()

    assert desk.told[1:] == [
        "audit log: No key (here). Make one",
        "audit log: a defect (ZeroDivisionError)",
        "audit log: Too far (there). Wait",
    ]


async def test_closing_signs_what_was_written_and_waits_for_it() -> None:
    """And makes none if there is nothing."""
    idle, busy = Desk(), Desk()
    busy.keeper.saw()

    await idle.keeper.close()
    await busy.keeper.close()
    await busy.keeper.close()

    assert (idle.made, busy.made) == (0, 1)


async def test_looking_at_the_clock_often_makes_no_checkpoint() -> None:
    """Twice in one moment, or in one second; a clock that was set back is looked at as if much time had passed."""
    desk = Desk(idle_s=10)
    for after_s in (0.0, 0.0, 0.5, 9.5):
        desk.at = BEGIN + timedelta(seconds=after_s)
        desk.keeper.tick()
    assert await desk.settle() == 0

    desk.at = BEGIN + timedelta(seconds=10)
    desk.keeper.tick()
    assert await desk.settle() == 1
    desk.at = BEGIN
    desk.keeper.tick()
    assert await desk.settle() == 2


async def test_a_checkpoint_is_made_after_a_thousand_records_if_nothing_else_is_said() -> None:
    """As the manual promises."""
    desk = Desk()
    desk.keeper.saw(999)
    assert await desk.settle() == 0
    desk.keeper.saw()
    assert await desk.settle() == 1
