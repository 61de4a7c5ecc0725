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
