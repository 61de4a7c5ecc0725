"""Splunk's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Forbidden, Invalid, RateLimited, Unavailable
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.splunk import Splunk
from hikeshi_connectors.splunk.simulator import SplunkSimulator

MONTH_S = 30 * 86400


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=200, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [SplunkSimulator])


@pytest.fixture
def simulator(simulation: Simulation) -> SplunkSimulator:
    found = simulation.simulators["splunk"]
    assert isinstance(found, SplunkSimulator)
    return found


@pytest.fixture
async def splunk(simulation: Simulation) -> AsyncIterator[Splunk]:
    with running(simulation) as url:
        settings = {
            "base_url": f"{url}/splunk",
            "token": Secret.of_value(SplunkSimulator.token),
            "detections": "fired_alerts",
        }
        connector = build(Splunk, "splunk", settings, Redactor())
        assert isinstance(connector, Splunk)
        yield connector
        await connector.http.aclose()


async def test_what_mentions_an_address_is_found_newest_first(splunk: Splunk, estate: Estate) -> None:
    """Every connection to it, and nothing that only begins alike."""
    address = estate.connections[0].address
    found = await splunk.search_logs_for(Indicator(kind="ipv4", value=address), MONTH_S)
    wanted = sum(each.address == address for each in estate.connections)
    assert len([each for each in found if each.fields["index"] == "firewall"]) == wanted
    moments = [each.at for each in found if each.at]
    assert moments == sorted(moments, reverse=True)


async def test_statistics_can_be_asked_for(splunk: Splunk, estate: Estate) -> None:
    """Their rows have no time."""
    found = await splunk.search_logs("index=firewall | stats count by action", MONTH_S)
    assert sum(int(each.fields["count"]) for each in found) == len(estate.connections)


async def test_a_lost_indexer_is_an_error(splunk: Splunk, simulator: SplunkSimulator) -> None:
    """Half of the rows would look like all of them."""
    simulator.lost_peer = True
    with pytest.raises(Unavailable, match=r"FAILED: ERROR: \[idx-2\]"):
        await splunk.search_logs("index=firewall")


async def test_a_search_that_was_ended_early_is_an_error(splunk: Splunk, simulator: SplunkSimulator) -> None:
    """It answers as a search that is done."""
    simulator.finalized = True
    with pytest.raises(Invalid, match="ended before"):
        await splunk.search_logs("index=firewall")


async def test_one_search_too_many_is_rate_limited(splunk: Splunk, simulator: SplunkSimulator) -> None:
    """Splunk does not say for how long."""
    simulator.searches_at_once = 0
    with pytest.raises(RateLimited):
        await splunk.search_logs("index=firewall")


async def test_a_wrong_search_and_a_lacking_capability_are_told(splunk: Splunk, simulator: SplunkSimulator) -> None:
    """In Splunk's words."""
    with pytest.raises(Invalid, match="the argument is invalid"):
        await splunk.search_logs("index=firewall | stats nothing")
    simulator.may_search = False
    with pytest.raises(Forbidden):
        await splunk.search_logs("index=firewall")


async def test_fired_alerts_are_complete(splunk: Splunk, simulator: SplunkSimulator, estate: Estate) -> None:
    """Over all pages."""
    simulator.rows_at_once = 5
    found = await splunk.list_detections(MONTH_S * 12)
    assert {each.id.rpartition("__")[2] for each in found} == {alert.id for alert in estate.alerts.values()}
