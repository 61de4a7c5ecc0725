"""A loop over a thousand hosts, three of which are refused, whose process is killed in the middle."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_site import Site

TEXT = """
id: t
steps:
  - {id: all, action: edr.find_hosts, with: {name: all1000}}
  - id: sweep
    for_each: steps.all
    as: host
    concurrency: 50
    action: edr.isolate_host
    with: {host: "{{ host }}", reason: r}
outputs:
  failed: "{{ steps.sweep | selectattr('status', 'eq', 'failed') | list }}"
  done: "{{ steps.sweep | selectattr('status', 'eq', 'succeeded') | list | length }}"
"""
REFUSED = {"h0017": 403, "h0500": 409, "h0993": 403}


def recorded(site: Site) -> tuple[str, dict[str, str]]:
    """Return the run, and the status of each item whose end is on record."""

    async def look() -> tuple[str, dict[str, str]]:
        async with site.app() as app:
            run = str(app.runs()[0]["run"])
            kinds = {
                each.path: each.kind for each in app.records(run) if each.kind in ("ActionSucceeded", "StepFailed")
            }
            return run, kinds

    return asyncio.run(look())


def test_finished_items_are_never_asked_about_again_and_the_three_that_failed_are_named(site: Site) -> None:
    """Each host is cut off once, whatever was under way; the result says which three were not, and why."""
    site.write(TEXT)
    site.fleet.refused = dict(REFUSED)
    process = site.start("start", "t")
    site.until(process, lambda: len(site.fleet.changes("isolate")) > 400)
    site.kill(process)
    run, ended = recorded(site)
    items = {f"h{int(path[6:-1]):04}" for path in ended if path.startswith("sweep[")}
    assert 300 < len(items) < 1000
    asked_before = len(site.fleet.asked)

    async def go_on() -> tuple[str, dict[str, Any]]:
        async with site.app(longest_s=0.05) as app:
            assert app.due().runs == [run]
            state = await app.go_on(run)
            assert app.verify().status != "broken"
            return state.status.value, state.outputs

    status, outputs = asyncio.run(go_on())

    assert not items & {name for _, name in site.fleet.asked[asked_before:]}
    assert site.fleet.isolated == {f"h{number:04}" for number in range(1000)} - set(REFUSED)
    assert {name: count for name, count in site.fleet.changes("isolate").items() if count > 1} == {}
    assert (status, outputs["done"]) == ("failed", 997)
    told = {each["item"]["name"]: each["error"]["kind"] for each in outputs["failed"]}
    assert told == {"h0017": "forbidden", "h0500": "conflict", "h0993": "forbidden"}
