"""Schedules of real processes: killed, started again, two at once, and on a clock that is set."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "trigger_process.py"
TICKS = """
id: it
triggers:
  - {id: tick, schedule: {every: EVERY}}
steps:
  - {id: a, set: {x: "'1'"}}
"""


class Site:
    """A folder in which processes come and go."""

    def __init__(self, folder: Path, every: str) -> None:
        self.folder = folder
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "it.yaml").write_text(TICKS.replace("EVERY", every))
        (folder / "hikeshi.yaml").write_text("connectors: {}\n")

    def process(self) -> subprocess.Popen[str]:
        """Start a process, and return when its triggers work."""
        command = [sys.executable, str(SCRIPT), str(self.folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        return process

    def set_clock(self, moved_s: float) -> None:
        part = self.folder / "clock.part"
        part.write_text(str(moved_s))
        part.replace(self.folder / "clock")

    def fires(self) -> list[tuple[float, str]]:
        """Return when each time was due, with what became of it, in order."""
        with sqlite3.connect(self.folder / ".hikeshi" / "journal.db", timeout=10) as tx:
            rows = tx.execute("SELECT id, outcome FROM trigger_fires JOIN trigger_events USING (event) ORDER BY id")
            return [(datetime.fromisoformat(id_).timestamp(), outcome) for id_, outcome in rows]

    def runs(self) -> int:
        with sqlite3.connect(self.folder / ".hikeshi" / "journal.db", timeout=10) as tx:
            return int(tx.execute("SELECT COUNT(*) FROM runs").fetchone()[0])

    def until(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < until, self.fires()
            time.sleep(0.05)


def test_every_time_is_due_once_over_kills_and_in_two_processes(tmp_path: Path) -> None:
    """One is killed again and again while another works: no second is lost, none has two runs."""
    site = Site(tmp_path, "1s")
    steady = site.process()
    for _ in range(3):
        other = site.process()
        time.sleep(0.7)
        other.kill()
        other.communicate()
    steady.kill()
    steady.communicate()
    last = site.process()  # after a moment in which nobody worked: late by less than a minute is not missed
    count = len(site.fires())
    site.until(lambda: len(site.fires()) > count + 1)
    last.kill()
    last.communicate()
    fires = site.fires()
    times = [at for at, _ in fires]
    assert times == [times[0] + number for number in range(len(times))]
    assert {outcome for _, outcome in fires} == {"started"}
    assert len(fires) - site.runs() in (0, 1)  # the last one may have been killed before it was begun


@pytest.mark.parametrize("by_s", [3600, -3600])
def test_a_clock_that_is_set_by_an_hour_loses_and_repeats_nothing(tmp_path: Path, by_s: int) -> None:
    """Forward: what was jumped over is made up for. Back: what was done is not done again."""
    site = Site(tmp_path, "2m" if by_s > 0 else "1s")
    process = site.process()
    if by_s < 0:
        site.until(lambda: len(site.fires()) >= 2)
    site.set_clock(by_s)
    if by_s > 0:
        site.until(lambda: len(site.fires()) >= 30)
        time.sleep(0.6)
    else:
        time.sleep(2.0)
    fires = site.fires()
    if by_s > 0:
        times = [at for at, _ in fires]
        assert len(times) == 30
        assert times == [times[0] + 120 * number for number in range(30)]
    else:
        assert len(fires) in (2, 3, 4)
        count = len(fires)
        time.sleep(1.5)
        assert len(site.fires()) == count
        site.set_clock(0)
        site.until(lambda: len(site.fires()) >= count + 3)
        times = [at for at, _ in site.fires()]
        assert times == [times[0] + number for number in range(len(times))]
    assert {outcome for _, outcome in site.fires()} == {"started"}
    process.kill()
    process.communicate()
