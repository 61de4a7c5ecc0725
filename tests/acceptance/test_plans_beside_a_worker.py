"""Dry runs in a process that works as well: one that is under way is nobody else's."""

from __future__ import annotations

import asyncio

from drill import Drill, Place


async def test_a_dry_run_under_way_is_not_due_for_the_worker_of_its_own_process(drill: Drill, place: Place) -> None:
    """A plan that is made anew to be compared, as applying one does, is not taken over in the middle of it."""
    planning = asyncio.create_task(drill.plan("isolate-host", {"hostname": "fs-tyo-01"}))
    due: set[str] = set()
    looks = 0

    while not planning.done():
        await asyncio.sleep(0.001)
        looks += 1
        due.update(drill.hikeshi.due().runs)

    assert (await planning).status == "succeeded"
    assert looks > 3
    assert due == set()
