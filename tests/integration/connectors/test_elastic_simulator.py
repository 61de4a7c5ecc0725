"""Elasticsearch's and OpenSearch's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Forbidden, Invalid, RateLimited, Unavailable
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.elastic import Elastic
from hikeshi_connectors.elastic.simulator import ElasticSimulator

MONTH_S = 30 * 86400


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=200, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [ElasticSimulator])


@pytest.fixture(params=["elasticsearch", "opensearch"])
async def elastic(simulation: Simulation, request: pytest.FixtureRequest) -> AsyncIterator[Elastic]:
    of(simulation).flavor = request.param
    user, password = ElasticSimulator.basic
    with running(simulation) as url:
        settings: dict[str, Any] = {
            "base_url": f"{url}/elastic",
            "flavor": request.param,
            "username": user,
            "password": Secret.of_value(password),
            "detector_types": ("windows",),
        }
        connector = build(Elastic, "elastic", settings, Redactor())
        assert isinstance(connector, Elastic)
        yield connector
        await connector.http.aclose()


def of(simulation: Simulation) -> ElasticSimulator:
    found = simulation.simulators["elastic"]
    assert isinstance(found, ElasticSimulator)
    return found


async def test_what_mentions_an_address_is_found_newest_first(elastic: Elastic, estate: Estate) -> None:
    """Every connection to it, and nothing that only begins alike."""
    address = estate.connections[0].address
    found = await elastic.search_logs_for(Indicator(kind="ipv4", value=address), MONTH_S)
    wanted = sum(each.address == address for each in estate.connections)
    assert len([each for each in found if each.fields["_index"] == "logs-firewall-default"]) == wanted
    moments = [each.at for each in found if each.at]
    assert moments == sorted(moments, reverse=True)


async def test_equal_moments_are_complete_over_pages(elastic: Elastic, estate: Estate) -> None:
    """More hits of one moment than fit on a page."""
    one = estate.connections[0]
    estate.connections = [one] * 2100
    assert len(await elastic.search_logs("event.action:*", MONTH_S, 5000)) == 2100


async def test_the_query_string_can_be_combined(elastic: Elastic, estate: Estate) -> None:
    """In the product's own syntax."""
    query = "destination.port:443 AND NOT (event.action:deny)"
    wanted = sum(each.port == 443 and each.action == "allow" for each in estate.connections)
    assert len(await elastic.search_logs(query, MONTH_S)) == wanted
    with pytest.raises(Invalid, match="Failed to parse query"):
        await elastic.search_logs("(open")


@pytest.mark.parametrize("lost", ["timed_out", "lost_cluster"])
async def test_a_part_of_a_result_is_an_error(elastic: Elastic, simulation: Simulation, lost: str) -> None:
    """The answer was a 200 with hits."""
    setattr(of(simulation), lost, True)
    with pytest.raises(Invalid, match="only in part"):
        await elastic.search_logs("*")


async def test_a_lost_shard_fails_the_search(elastic: Elastic, simulation: Simulation) -> None:
    """For partial results were not allowed."""
    of(simulation).lost_shard = True
    with pytest.raises(Unavailable, match="Partial shards failure"):
        await elastic.search_logs("*")


async def test_detections_are_complete(elastic: Elastic, simulation: Simulation, estate: Estate) -> None:
    """Over all pages of either product."""
    of(simulation).alerts_at_once = 5
    found = await elastic.list_detections(MONTH_S * 12)
    assert {each.id for each in found} == set(estate.alerts)


async def test_refusals_are_told_apart(elastic: Elastic, simulation: Simulation) -> None:
    """Too many searches have no delay; a user without the role is told."""
    simulation.faults.add(Fault(too_many_requests_s=7))
    with pytest.raises(RateLimited) as caught:
        await elastic.search_logs("*")
    assert caught.value.retry_after_s is None
    of(simulation).may_read = False
    with pytest.raises(Forbidden):
        await elastic.list_detections()
