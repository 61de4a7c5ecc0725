"""The Sophos connector against its simulator: what the contract kit does not ask."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hikeshi.capabilities import Effect, Host, Indicator
from hikeshi.connector import Conflict, Forbidden, Invalid, NotFound, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Connection, Estate, Sighting
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.sophos import Sophos
from hikeshi_connectors.sophos.simulated.records import endpoint_id
from hikeshi_connectors.sophos.simulator import TENANT_ID, SophosSimulator

HASH, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=100, base=datetime.now(UTC), settle_s=0.05)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [SophosSimulator])


@pytest.fixture
def simulator(simulation: Simulation) -> SophosSimulator:
    found = simulation.simulators["sophos"]
    assert isinstance(found, SophosSimulator)
    return found


@pytest.fixture
def address(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


@pytest.fixture
async def central(address: str) -> AsyncIterator[Sophos]:
    connector = connect(address)
    yield connector
    await connector.http.aclose()


def connect(address: str, **changed: object) -> Sophos:
    settings = SophosSimulator.connector_settings(address) | {"requests_per_minute": 60_000} | changed
    settings.pop("product")
    settings["client_secret"] = Secret.of_value(str(settings["client_secret"]))
    connector = build(Sophos, "sophos", settings, Redactor())
    assert isinstance(connector, Sophos)
    return connector


def live() -> Door:
    return Door("live", Effect.CHANGE, "edr.change", intended=True)


def hashes(*values: str) -> list[Indicator]:
    return [Indicator(kind="sha256", value=value) for value in values]


async def first_host(central: Sophos, estate: Estate) -> Host:
    return (await central.find_hosts(endpoint_id(next(iter(estate.hosts)))))[0]


async def test_one_endpoint_is_isolated_and_no_other(central: Sophos, estate: Estate) -> None:
    """Everybody else stays as they are; while it is under way, another change is a conflict."""
    estate.settle_s = 60
    host = await first_host(central, estate)
    with through(live()):
        await central.isolate_host(host, "r")
    assert (await central.isolation_of(host)).state == "isolating"
    with through(live()), pytest.raises(Conflict, match="in progress"):
        await central.release_host(host, "r")
    estate.advance(61)
    assert (await central.isolation_of(host)).state == "isolated"
    assert [each.isolation for each in estate.hosts.values()].count("normal") == len(estate.hosts) - 1


async def test_a_host_that_isolated_itself_is_isolated_for_real(
    central: Sophos, simulator: SophosSimulator, estate: Estate
) -> None:
    """Its own isolation is nobody's: it does not count, and the one that was asked for outlasts it."""
    host = await first_host(central, estate)
    known = next(iter(estate.hosts.values()))
    simulator.unwell.add(known.id)
    assert (await central.isolation_of(host)).state == "releasing"
    with through(live()):
        await central.isolate_host(host, "r")
    estate.advance(1)
    simulator.unwell.clear()
    assert (await central.isolation_of(host)).state == "isolated"
    with through(live()):
        await central.release_host(host, "r")
    estate.advance(1)
    assert (await central.isolation_of(host)).state == "normal"


async def test_an_old_address_names_nobody(central: Sophos, estate: Estate) -> None:
    """A host that was away for weeks is found by its name, and not by the address that it once had."""
    known = next(iter(estate.hosts.values()))
    assert await central.find_hosts(known.ips[0])
    known.last_seen -= timedelta(days=20)
    assert await central.find_hosts(known.ips[0]) == []
    assert [each.id for each in await central.find_hosts(known.name)] == [endpoint_id(known.id)]


async def test_hosts_are_found_by_each_name(central: Sophos, estate: Estate) -> None:
    """By name in any case, ID and address; a longer name is another host."""
    known, twin, *_ = estate.hosts.values()
    twin.name = known.name + "0"
    for name in (known.name.upper(), known.name.lower(), endpoint_id(known.id), known.ips[0]):
        found = [each.id for each in await central.find_hosts(name)]
        assert endpoint_id(known.id) in found
        assert endpoint_id(twin.id) not in found
    assert await central.find_hosts("no-such-host") == []
    with pytest.raises(NotFound):
        await central.isolation_of(Host(connector="sophos", id=endpoint_id("gone"), name="gone"))


@pytest.mark.parametrize("name", ["x' or 'x'='x", "x,y", "x*", 'x"y', "x&view=basic", "x</entry>"])
async def test_names_from_outside_find_their_host_only(central: Sophos, estate: Estate, name: str) -> None:
    """A name with quotes, commas or wildcards in it is compared, not interpreted."""
    first, second, *_ = estate.hosts.values()
    first.name, second.name = name, "xyz"
    assert [each.id for each in await central.find_hosts(name)] == [endpoint_id(first.id)]


async def test_searches_find_each_host_once(central: Sophos, estate: Estate) -> None:
    """Traffic to an address and a domain, and sightings of a file: a host, its latest time, how often."""
    first, second, *_ = estate.hosts.values()
    now = estate.now()
    for minutes, host in ((1, first), (2, first), (3, second), (60 * 50, second)):
        at = now - timedelta(minutes=minutes)
        estate.connections.append(
            Connection(at, host.id, host.ips[0], "198.51.100.99", 443, 1, 1, "tls", domain="c2.example.net")
        )
        estate.sightings.append(Sighting(at, host.id, HASH, r"C:\Users\x\evil.exe"))
    for found in (
        await central.search_connections("198.51.100.99"),
        await central.search_connections("C2.example.NET"),
        await central.search_hash(HASH),
    ):
        assert [each.host_id for each in found] == [endpoint_id(first.id), endpoint_id(second.id)]
        assert [str(each.detail).rpartition(", ")[2] for each in found] == ["2 times", "1 times"]


async def test_a_worm_is_found_on_every_host(central: Sophos, estate: Estate) -> None:
    """More rows than a page has."""
    estate.sightings += [Sighting(estate.now(), f"{number:032x}", HASH, "/tmp/worm") for number in range(2500)]
    assert len(await central.search_hash(HASH)) == 2500


async def test_a_block_and_its_end_leave_the_list_as_it_was(central: Sophos, estate: Estate) -> None:
    """Blocked, read as blocked, unblocked: nothing is left behind."""
    both = hashes(HASH, OTHER)
    before = estate.snapshot_bytes()
    with through(live()):
        await central.block_hashes(both, "incident 7")
    assert [each.blocked for each in await central.hash_blocks_of(both)] == [True, True]
    with through(live()):
        await central.unblock_hashes(both, "over")
    assert estate.snapshot_bytes() == before


async def test_a_long_list_is_read_to_its_end(central: Sophos, estate: Estate) -> None:
    """The last item of a hundred pages counts as the first one does."""
    items = {
        str(number): {"id": str(number), "type": "sha256", "properties": {"sha256": f"{number:064x}"}, "comment": "c"}
        for number in range(10_000)
    }
    estate.product_state["sophos"] = {"blocked": items}
    began = time.monotonic()
    wanted = hashes(f"{0:064x}", f"{9_999:064x}", HASH)
    assert [each.blocked for each in await central.hash_blocks_of(wanted)] == [True, True, False]
    assert time.monotonic() - began < 10


def test_a_page_of_a_hundred_thousand_is_quick(address: str, simulator: SophosSimulator, estate: Estate) -> None:
    """How long a page takes does not come from the length of the list."""
    items = {str(number): {"id": str(number)} for number in range(100_000)}
    estate.product_state["sophos"] = {"blocked": items}
    headers = {"authorization": f"Bearer {simulator.tokens.issue(60)}", "x-tenant-id": TENANT_ID}
    with httpx.Client(base_url=address, headers=headers) as client:
        began = time.monotonic()
        for number in range(950, 1000):
            params = {"pageSize": 100, "page": number, "pageTotal": "true"}
            answer = client.get("/sophos/endpoint/v1/settings/blocked-items", params=params).json()
            assert answer["items"][-1]["id"] == str(number * 100 - 1)
            assert answer["pages"]["total"] == 1000
        assert time.monotonic() - began < 5


async def test_credentials_that_may_only_read_change_nothing(
    central: Sophos, simulator: SophosSimulator, estate: Estate
) -> None:
    """Each change is forbidden; lookups work."""
    simulator.role = "readonly"
    host = await first_host(central, estate)
    for change in (central.isolate_host(host, "r"), central.block_hashes(hashes(HASH), "r")):
        with through(live()), pytest.raises(Forbidden):
            await change
    assert (await central.isolation_of(host)).state == "normal"


async def test_a_partner_says_which_tenant(address: str, simulator: SophosSimulator, estate: Estate) -> None:
    """Without one nothing is asked; with one, that one's endpoints are found."""
    simulator.id_type = "partner"
    name = next(iter(estate.hosts.values())).name
    nobody, ours, other = connect(address), connect(address, tenant_id=TENANT_ID), connect(address, tenant_id="x")
    with pytest.raises(Invalid, match="tenant_id"):
        await nobody.find_hosts(name)
    assert await ours.find_hosts(name)
    with pytest.raises(Unauthorized):
        await other.find_hosts(name)
    for each in (nobody, ours, other):
        await each.http.aclose()


async def test_another_region_is_refused(address: str) -> None:
    """Sophos says where the data is; the connector asks nowhere else."""
    elsewhere = connect(address, base_url="http://127.0.0.1:9")
    with pytest.raises(Invalid, match="set region"):
        await elsewhere.find_hosts("x")
    await elsewhere.http.aclose()


async def test_a_wrong_secret_is_unauthorized(address: str) -> None:
    """It says which settings to check, and not what they are."""
    wrong = connect(address, client_secret="not-this-one")
    with pytest.raises(Unauthorized, match="client_id and client_secret") as caught:
        await wrong.find_hosts("x")
    assert "not-this-one" not in str(caught.value)
    await wrong.http.aclose()
