"""One served project for all tests of a module."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same desk

from desk import Desk, Served, desk_in


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A project with simulated products and tokens."""
    with desk_in(tmp_path_factory.mktemp("served")) as desk:
        yield desk


@pytest.fixture(scope="module")
def served(desk: Desk) -> Iterator[Served]:
    """The project, served by a process of its own."""
    with desk.served("--no-triggers") as served:
        yield served
