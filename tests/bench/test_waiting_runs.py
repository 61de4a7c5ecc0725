"""Runs that wait for approval cost next to nothing, and all of them can be answered."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "waiting.py"


def test_waiting_runs_are_found_listed_and_answered_by_a_new_process() -> None:
    """As many as a test has time for; `python tests/bench/waiting.py` does it with ten thousand."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "400"], capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "400 runs begun and waiting" in done.stdout
