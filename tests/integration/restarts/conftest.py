"""Processes of a project, killed and started again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and the processes run the same module

from restarted_site import RestartedSite


@pytest.fixture
def site(tmp_path: Path) -> RestartedSite:
    """A project in a folder of its own."""
    return RestartedSite.make(tmp_path)
