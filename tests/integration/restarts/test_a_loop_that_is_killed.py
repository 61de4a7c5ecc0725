"""A loop of a thousand items, killed in the middle."""

from __future__ import annotations

import asyncio
from collections import Counter

from restarted_site import RestartedSite as Site

SWEEP = """
id: sweep
steps:
  - id: loop
    for_each: "range(1000)"
    concurrency: 10
    action: plant.look
    with: {name: "n{{ item }}"}
    retry: {attempts: 1}
"""


def test_finished_items_are_never_done_again_and_the_three_that_failed_are_named(site: Site) -> None:
    """What was under way when the process died, ten at most, may be looked at twice: it is a read."""
    site.write("sweep", SWEEP)
    assert site.call("run", "sweep", "{}", "ActionSucceeded:loop[400]") is None

    async def look() -> tuple[set[str], str]:
        app = site.look()
        try:
            run = str(app.runs()[0]["run"])
            ended = [each for each in app.records(run) if each.kind in ("ActionSucceeded", "StepFailed")]
            return {each.path for each in ended}, run
        finally:
            await app.aclose()

    finished, run = asyncio.run(look())
    assert 300 < len(finished) < 1000
    before = Counter(site.done("look"))

    assert site.call("work") == [[run, "failed"]]

    after = Counter(site.done("look"))
    again = {name for name in before if after[name] > before[name]}
    assert len(again) <= 10
    assert not {f"look n{path[5:-1]}" for path in finished} & again
    assert len(after) == 1000

    async def result() -> list[tuple[str, str]]:
        app = site.look()
        try:
            state = app.fold(run)
            return [(path, state.nodes[path].error.message) for path in state.failures]  # type: ignore[union-attr]
        finally:
            await app.aclose()

    assert sorted(asyncio.run(result())) == sorted(
        (f"loop[{number}]", f"nobody may look at n{number}") for number in (7, 500, 993)
    )
