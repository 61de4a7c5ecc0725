"""A project on disk, the product it talks to over the loopback interface, and processes that work on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package, and the processes run the same modules

from durable_site import Site
from fleet_vendor import FleetSimulator

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    simulation = Simulation(Estate(EstateState("fleet", datetime(2026, 3, 2, tzinfo=UTC))), [FleetSimulator])
    fleet = simulation.simulators["fleet"]
    assert isinstance(fleet, FleetSimulator)
    with running(simulation) as url:
        made = Site(tmp_path / "project", fleet)
        made.configure(f"{url}/fleet")
        yield made
        made.kill_all()
