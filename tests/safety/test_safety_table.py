"""The table of safety rules: every rule that this version keeps is tried by a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_every_safety_rule_is_tried() -> None:
    """To mend it, write the missing test, mark it, and: python tests/safety/table.py --write"""
    command = [sys.executable, str(HERE / "table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])

    assert (done.stdout + done.stderr).splitlines() == ["every rule is tried"]
    assert done.returncode == 0
