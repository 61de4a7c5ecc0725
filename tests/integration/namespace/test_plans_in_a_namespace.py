"""A dry run cannot change anything even if it wanted to reach somebody: tried where nobody else is (rule 3)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def why_not() -> str:
    """Return why no network namespace can be made here, or nothing."""
    if shutil.which("unshare") is None:
        return "there is no program 'unshare'"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip()


@pytest.mark.safety(1, 3)
def test_plans_of_everything_that_ships_reach_nobody_and_change_nothing() -> None:
    """The transport-level proof, which needs no privileges, is in tests/acceptance/test_previews.py."""
    reason = why_not()
    if reason:
        pytest.skip(f"no network namespace can be made: {reason}")
    command = ["unshare", "--net", sys.executable, str(HERE / "namespaced_plans.py")]
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["reaches_anybody_else"]
    assert set(found["plans"]) == {"succeeded"}
    assert len(found["plans"]) >= 15
    assert found["requests"] > 20
    assert (found["changes"], found["as_before"]) == (0, True)
    assert found["changes_of_a_run"] > 0
