"""What the tests of webhooks work with."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same door

from door import SECRETS, Door, serving, write_project


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project in which each webhook starts a run."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    write_project(tmp_path)
    return tmp_path


@pytest.fixture
def door(place: Path) -> Iterator[Door]:
    """The project, served."""
    with serving(place) as door:
        yield door
