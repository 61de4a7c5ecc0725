"""A thousand runs whose process was killed: all of them are gone on with soon, and none is forgotten or doubled.

Runs that wait for people are measured in tests/bench/waiting.py.
"""

from __future__ import annotations

import asyncio
import time

from durable_site import Site

TEXT = """
id: t
inputs: {name: {type: string}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - {id: w, wait: 1h}
  - {id: after, set: {x: "1"}}
"""
RUNS = 1000
WITHIN_S = 10.0


def records(site: Site) -> int:
    async def look() -> int:
        async with site.app() as app:
            return int(app.journal.query("SELECT COUNT(*) AS records FROM records")[0]["records"])

    return asyncio.run(look())


def test_a_thousand_runs_of_a_killed_process_are_recovered_in_ten_seconds(site: Site) -> None:
    """Their times are over when the next process starts; it takes all of them over and brings them to their end."""
    site.write(TEXT)
    process = site.start("crowd", "t", str(RUNS))
    site.until(process, lambda: records(site) == 4 * RUNS)  # each was started, has asked, was answered and waits
    site.kill(process)

    began = time.monotonic()
    told = site.end_of(site.start("work", ahead_s=3600, park_after_s=1))
    took_s = time.monotonic() - began

    assert told["ended"] == {"succeeded": RUNS}
    assert told["troubles"] == []
    assert took_s < WITHIN_S
    assert len(site.fleet.asked) == RUNS
