"""The benchmarks still run. What they measure is not judged here."""

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"


@pytest.fixture(scope="module")
def printed() -> str:
    """What the benchmarks print with the smallest sizes."""
    done = subprocess.run([sys.executable, str(RUN), "--size", "tiny"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_finite(text: str) -> bool:
    """Say whether a figure is a number. What is beyond a bare call can be less than nothing, by chance."""
    try:
        return math.isfinite(float(text.replace(",", "")))
    except ValueError:
        return False


@pytest.mark.parametrize("workload", ["W1", "W2", "W3", "W4", "Runs of different lengths", "Journal appends"])
def test_every_workload_has_a_figure_for_hikeshi(printed: str, workload: str) -> None:
    """Each table is printed, and each of its rows has a number."""
    tables = [part.splitlines() for part in printed.split("\n\n") if part.startswith(workload)]
    assert tables
    for lines in tables:
        rows = [line for line in lines[2:] if not line.startswith("  goal:")]
        assert rows
        assert all(is_finite(line.split()[-1]) for line in rows)


@pytest.mark.parametrize("goal", ["at most 1 ms", "at most twice the time", "at most 1.3 times"])
def test_goals_stand_beside_their_figures(printed: str, goal: str) -> None:
    """A reader sees at once whether a goal is met."""
    lines = [line for line in printed.splitlines() if goal in line]
    assert lines
    assert all(line.endswith(("met", "NOT MET")) for line in lines)


@pytest.mark.skipif(
    importlib.util.find_spec("dbos") is None, reason="DBOS is not installed: pip install 'hikeshi[bench]'"
)
def test_dbos_does_the_same_workloads(printed: str) -> None:
    """Where DBOS is installed it stands in the tables of runs, with the goal that compares it."""
    rows = [line for line in printed.splitlines() if line.startswith("  DBOS")]
    assert len(rows) == 3
    assert "5 times the steps of DBOS" in printed
