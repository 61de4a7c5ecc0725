"""A few dozen seeds of the simulation; `make simulate-faults` takes as many as one likes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.safety(15)

RUN = Path(__file__).parent / "run.py"


def test_no_promise_is_broken_under_a_few_dozen_seeds() -> None:
    """A seed that breaks one is named, and can be replayed by its number."""
    command = [sys.executable, str(RUN), "--seeds", "40", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "no promise was broken" in done.stdout


@pytest.mark.parametrize("seed", [329])
def test_a_seed_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    """329: the time of the run and that of a wait were over at the same moment, and the wait was gone already."""
    done = subprocess.run(
        [sys.executable, str(RUN), "--seed", str(seed)], capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "no promise was broken" in done.stdout
