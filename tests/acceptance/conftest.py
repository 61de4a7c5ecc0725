"""An estate, the simulations of all products over it, and a project whose connectors talk to them."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and all of these speak of the same drill

from drill import Drill, Place, served


@pytest.fixture
def place() -> Iterator[Place]:
    """All four products over one estate."""
    with served() as place:
        yield place


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Drill]:
    """A project that is not configured yet."""
    drill = Drill(tmp_path / "project", tmp_path / "secrets")
    yield drill
    await drill.aclose()


@pytest.fixture
async def drill(empty: Drill, place: Place) -> Drill:
    """A project that is bound to all four products."""
    empty.configure(place.simulation.project_settings(place.url))
    return empty
