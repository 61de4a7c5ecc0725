"""Defender's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.capabilities import Effect, Host, Indicator
from hikeshi.connector import Conflict, Forbidden
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.defender import Defender
from hikeshi_connectors.defender.simulator import ALL_PERMISSIONS, DefenderSimulator


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=50, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [DefenderSimulator])


@pytest.fixture
async def defender(simulation: Simulation) -> AsyncIterator[Defender]:
    with running(simulation) as url:
        settings = {**DefenderSimulator.connector_settings(url), "requests_per_minute": 100_000}
        settings.pop("product")
        settings["client_secret"] = Secret.of_value(str(settings["client_secret"]))
        connector = build(Defender, "defender", settings, Redactor())
        assert isinstance(connector, Defender)
        yield connector
        await connector.http.aclose()


async def first_host(defender: Defender, estate: Estate) -> Host:
    (host,) = await defender.find_hosts(next(iter(estate.hosts.values())).name)
    return host


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)


async def test_an_offline_machine_is_not_isolated_and_a_release_takes_the_request_back(
    defender: Defender, estate: Estate
) -> None:
    """Pending for as long as it is away; after the cancellation it comes back with its network."""
    own = next(iter(estate.hosts.values()))
    estate.set_online(own.id, False)
    host = await first_host(defender, estate)
    with through(live()):
        await defender.isolate_host(host, "r")
    estate.advance(600)
    assert (await defender.isolation_of(host)).state == "isolating"
    with through(live()), pytest.raises(Conflict):
        await defender.isolate_host(host, "again")
    with through(live()):
        await defender.release_host(host, "mistake")
    assert (await defender.isolation_of(host)).state == "normal"
    estate.set_online(own.id, True)
    estate.advance(600)
    assert own.isolation == "normal"


async def test_a_file_is_found_by_its_sha1_where_events_have_nothing_else(defender: Defender, estate: Estate) -> None:
    """The hash is translated by what Defender knows of the file."""
    estate.product_state["defender"] = {"only_sha1": True}
    sighting = estate.sightings[0]
    found = await defender.search_hash(sighting.sha256, 30 * 86400)
    assert len({each.host_id for each in found}) == len(
        {each.host_id for each in estate.sightings if each.sha256 == sighting.sha256}
    )


async def test_an_old_address_names_nobody(defender: Defender, estate: Estate) -> None:
    """A host that was away for weeks is found by its name, and not by the address that it once had."""
    known = next(iter(estate.hosts.values()))
    assert await defender.find_hosts(known.ips[0])
    known.last_seen -= timedelta(days=20)
    assert await defender.find_hosts(known.ips[0]) == []
    assert (await first_host(defender, estate)).last_seen is not None


async def test_pages_without_links_are_read_to_the_end(
    defender: Defender, simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a full page has no link, the next one is asked for by number."""
    simulator = simulation.simulators["defender"]
    assert isinstance(simulator, DefenderSimulator)
    simulator.most_on_a_page, simulator.links = 7, False
    monkeypatch.setattr("hikeshi_connectors.defender.connector._PAGE", 7)
    found = await defender.find_hosts("ws")
    alerts = await defender.list_alerts(400 * 86400)
    assert found == []
    assert len(alerts) == len(simulation.estate.alerts)


@pytest.mark.parametrize("lacking", sorted(ALL_PERMISSIONS))
async def test_each_permission_is_needed(
    defender: Defender, simulation: Simulation, estate: Estate, lacking: str
) -> None:
    """Without it the verb that it is for is refused, and told so."""
    host = await first_host(defender, estate)
    simulator = simulation.simulators["defender"]
    assert isinstance(simulator, DefenderSimulator)
    simulator.granted = set(ALL_PERMISSIONS - {lacking})
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "Machine.Read.All": lambda: defender.find_hosts("x"),
        "Machine.Isolate": lambda: defender.isolate_host(host, "r"),
        "Alert.Read.All": lambda: defender.list_alerts(),
        "AdvancedQuery.Read.All": lambda: defender.users_of_host(host),
        "File.Read.All": lambda: defender.search_hash("a" * 64),
        "Ti.ReadWrite.All": lambda: defender.hash_blocks_of([Indicator(kind="sha256", value="a" * 64)]),
    }
    with through(live()), pytest.raises(Forbidden, match="permission"):
        await calls[lacking]()


def test_the_simulated_app_has_just_the_documented_permissions() -> None:
    """What people are asked to grant is what it is simulated with."""
    assert set(Defender.least_privileges) == ALL_PERMISSIONS
