"""Holds that end on time, whatever became of the process and the run that opened them."""

from __future__ import annotations

import asyncio

import pytest
from restarted_site import RestartedSite as Site

pytestmark = pytest.mark.safety(22)

CONTAIN = """
id: contain
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: 1h}
  - {id: later, wait: 8h}
"""
CUT, FREED = "isolate pc1", "release pc1"


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["killed", "killed and cancelled"])
def test_a_hold_of_an_hour_ends_once_and_on_time(site: Site, *, is_cancelled: bool) -> None:
    """The process is killed, the clock is moved, and others are started: too early, on time, and again."""
    site.write("contain", CONTAIN)
    assert site.call("run", "contain", "{}", "WaitStarted:later") is None
    if is_cancelled:
        (run,) = [each["run"] for each in runs(site)]
        assert site.call("cancel", run) == [run, "cancelled"]
    assert site.done() == [CUT]

    site.move_clock(59 * 60)
    site.call("work")
    assert site.done() == [CUT]
    site.move_clock(60 * 60 + 1)
    assert any(run.startswith("release-") and status == "succeeded" for run, status in site.call("work"))
    assert site.done() == [CUT, FREED]
    site.move_clock(120 * 60)
    site.call("work")

    assert site.done() == [CUT, FREED]
    assert [hold["status"] for hold in holds(site)] == ["released"]


def runs(site: Site) -> list[dict[str, object]]:
    async def look() -> list[dict[str, object]]:
        app = site.look()
        try:
            return app.runs()
        finally:
            await app.aclose()

    return asyncio.run(look())


def holds(site: Site) -> list[dict[str, object]]:
    async def look() -> list[dict[str, object]]:
        app = site.look()
        try:
            return [dict(row) for row in app.journal.query("SELECT * FROM holds")]
        finally:
            await app.aclose()

    return asyncio.run(look())
