"""Sumo Logic's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Forbidden, Invalid, RateLimited, Unavailable
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.sumo_logic import SumoLogic
from hikeshi_connectors.sumo_logic.simulator import SumoLogicSimulator

MONTH_S = 30 * 86400


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=200, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [SumoLogicSimulator])


@pytest.fixture
async def sumo(simulation: Simulation) -> AsyncIterator[SumoLogic]:
    with running(simulation) as url:
        settings = SumoLogicSimulator.connector_settings(url)
        settings.pop("product")
        settings["access_key"] = Secret.of_value(str(settings["access_key"]))
        connector = build(SumoLogic, "sumo", settings, Redactor())
        assert isinstance(connector, SumoLogic)
        yield connector
        await connector.http.aclose()


def of(simulation: Simulation) -> SumoLogicSimulator:
    found = simulation.simulators["sumo_logic"]
    assert isinstance(found, SumoLogicSimulator)
    return found


async def test_what_mentions_an_address_is_found_newest_first(sumo: SumoLogic, estate: Estate) -> None:
    """Every connection to it, and nothing that only begins alike."""
    address = estate.connections[0].address
    found = await sumo.search_logs_for(Indicator(kind="ipv4", value=address), MONTH_S)
    wanted = sum(each.address == address for each in estate.connections)
    assert len([each for each in found if each.fields["_sourcecategory"] == "firewall"]) == wanted
    moments = [each.at for each in found if each.at]
    assert moments == sorted(moments, reverse=True)


async def test_an_aggregation_that_leaves_nothing_gives_nothing(sumo: SumoLogic) -> None:
    """Its messages are not its result."""
    assert await sumo.search_logs("_sourceCategory=firewall | count by dst | where _count > 9999", MONTH_S) == []


async def test_the_pace_stays_below_the_limit(sumo: SumoLogic, simulation: Simulation) -> None:
    """Four requests a second are allowed."""
    of(simulation).rate_limit = (4, 1.0)
    for _ in range(2):
        await sumo.search_logs("_sourceCategory=firewall")


@pytest.mark.parametrize(("name", "value"), [("bad_end", "CANCELLED"), ("trouble", "a node is gone")])
async def test_a_search_that_ended_badly_is_an_error(
    sumo: SumoLogic, simulation: Simulation, name: str, value: str
) -> None:
    """What it had found is not all."""
    setattr(of(simulation), name, value)
    with pytest.raises((Unavailable, Invalid), match=value):
        await sumo.search_logs("_sourceCategory=firewall")


async def test_a_paused_search_is_an_error_if_more_was_wanted(sumo: SumoLogic, simulation: Simulation) -> None:
    """The newest that were wanted may be there already."""
    of(simulation).messages_most = 20
    assert len(await sumo.search_logs("_sourceCategory=firewall", MONTH_S, 20)) == 20
    with pytest.raises(Invalid, match="paused"):
        await sumo.search_logs("_sourceCategory=firewall", MONTH_S, 21)


async def test_refusals_are_told_apart(sumo: SumoLogic, simulation: Simulation) -> None:
    """Too many requests, a wrong query, a lacking capability, the wrong deployment."""
    simulation.faults.add(Fault(too_many_requests_s=7))
    with pytest.raises(RateLimited):
        await sumo.search_logs("x")
    with pytest.raises(Invalid, match=r"searchjob\.parse\.error"):
        await sumo.search_logs("x | nothing")
    of(simulation).may_read = False
    with pytest.raises(Forbidden):
        await sumo.list_detections()
    of(simulation).moved = True
    with pytest.raises(Invalid, match="check the base address"):
        await sumo.list_detections()
