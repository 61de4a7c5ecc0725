"""Sentinel's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Forbidden, Invalid
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.sentinel import Sentinel
from hikeshi_connectors.sentinel.simulator import SentinelSimulator

MONTH_S = 30 * 86400


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=200, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [SentinelSimulator])


@pytest.fixture
async def sentinel(simulation: Simulation) -> AsyncIterator[Sentinel]:
    with running(simulation) as url:
        settings = SentinelSimulator.connector_settings(url)
        settings.pop("product")
        settings["client_secret"] = Secret.of_value(str(settings["client_secret"]))
        connector = build(Sentinel, "sentinel", settings, Redactor())
        assert isinstance(connector, Sentinel)
        yield connector
        await connector.http.aclose()


def of(simulation: Simulation) -> SentinelSimulator:
    found = simulation.simulators["sentinel"]
    assert isinstance(found, SentinelSimulator)
    return found


async def test_what_mentions_an_address_is_found_newest_first(sentinel: Sentinel, estate: Estate) -> None:
    """Every connection to it, and nothing that only begins alike."""
    address = estate.connections[0].address
    found = await sentinel.search_logs_for(Indicator(kind="ipv4", value=address), MONTH_S)
    wanted = sum(each.address == address for each in estate.connections)
    assert len([each for each in found if each.fields["Type"] == "CommonSecurityLog"]) == wanted
    moments = [each.fields["TimeGenerated"] for each in found]
    assert moments == sorted(moments, reverse=True)


async def test_the_newest_are_kept_when_there_are_more(sentinel: Sentinel) -> None:
    """The limit takes from the end, not from the beginning."""
    every = await sentinel.search_logs("CommonSecurityLog", MONTH_S)
    assert [each.at for each in await sentinel.search_logs("CommonSecurityLog", MONTH_S, 3)] == [
        each.at for each in every[:3]
    ]


async def test_an_aggregation_can_be_asked_for(sentinel: Sentinel, estate: Estate) -> None:
    """It has no time to be sorted by."""
    found = await sentinel.search_logs("CommonSecurityLog | summarize count() by DeviceAction", MONTH_S)
    assert sum(int(each.fields["count_"]) for each in found) == len(estate.connections)


async def test_a_part_of_a_result_is_an_error(sentinel: Sentinel, simulation: Simulation) -> None:
    """The answer was a 200 with rows."""
    of(simulation).partial = True
    with pytest.raises(Invalid, match="only in part"):
        await sentinel.search_logs("CommonSecurityLog")


@pytest.mark.parametrize("query", ["Nothing", "CommonSecurityLog | wher x", "CommonSecurityLog | where a == 'b"])
async def test_a_wrong_query_says_why(sentinel: Sentinel, query: str) -> None:
    """The reason stands in the inner error."""
    with pytest.raises(Invalid, match=r"resolve|parsed"):
        await sentinel.search_logs(query)


async def test_an_app_without_the_role_is_told(sentinel: Sentinel, simulation: Simulation) -> None:
    """For the logs and for the incidents alike."""
    of(simulation).may_read = False
    with pytest.raises(Forbidden, match="role"):
        await sentinel.search_logs("CommonSecurityLog")
    with pytest.raises(Forbidden, match="role"):
        await sentinel.list_detections()
