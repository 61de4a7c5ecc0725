"""An undo whose process is killed goes on in another one: everything is undone, and nothing twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "restarts"))  # tests are no package

from restarted_site import RestartedSite as Site

SCRIPT = Path(__file__).parent / "undo_process.py"
CONTAIN = """
id: contain
steps:
  - id: each
    for_each: "['pc1', 'pc2', 'pc3', 'pc4']"
    concurrency: 1
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}}
"""
CUT = [f"isolate pc{number}" for number in (1, 2, 3, 4)]
FREED = [f"release pc{number}" for number in (4, 3, 2, 1)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project that contained four hosts."""
    made = Site.make(tmp_path)
    made.write("contain", CONTAIN)
    return made


def undo(site: Site, run: str, when: str, number: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(site.folder), run, when, str(number)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def statuses(site: Site) -> list[str]:
    async def look() -> list[str]:
        app = site.look()
        try:
            return [str(row["status"]) for row in app.journal.query("SELECT status FROM holds")]
        finally:
            await app.aclose()

    return asyncio.run(look())


@pytest.mark.safety(15, 20)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_undo_that_is_killed_goes_on(site: Site, when: str) -> None:
    """Right before and right after the second host was let go; the last one that was isolated is the first to go."""
    run, status = site.call("run", "contain", "{}", "")
    assert (status, site.done()) == ("succeeded", CUT)
    assert undo(site, run, when, 2).returncode == -9
    assert site.done("release") == FREED[: 1 if when == "before" else 2]
    assert statuses(site).count("released") == 1

    ended = site.call("work")

    assert [status for _, status in ended] == ["succeeded"]
    assert site.done() == [*CUT, *FREED]
    assert statuses(site) == ["released"] * 4


@pytest.mark.safety(21)
def test_a_second_undo_does_not_begin_while_the_first_is_not_over(site: Site) -> None:
    """It names the run that undoes, and what goes on with it."""
    run, _ = site.call("run", "contain", "{}", "")
    undo(site, run, "after", 1)
    second = undo(site, run, "never", 0)
    assert second.returncode == 1
    assert "HoldRefused" in second.stderr
    assert "'hikeshi work' goes on with it" in second.stderr
    assert site.done("release") == FREED[:1]
