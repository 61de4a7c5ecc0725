"""The SentinelOne connector against its simulator: what the contract kit does not ask."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hikeshi.capabilities import Effect, Host, Indicator
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, NotFound, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Connection, Estate, Logon, Sighting
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.sentinelone import SentinelOne
from hikeshi_connectors.sentinelone.simulated.records import agent_id
from hikeshi_connectors.sentinelone.simulator import SentinelOneSimulator

HASH, OTHER = "ab" * 32, "cd" * 20
API = "/sentinelone/web/api/v2.1"
TOKEN = {"authorization": "ApiToken simulated-not-a-secret"}


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=100, base=datetime.now(UTC), settle_s=0.05)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [SentinelOneSimulator])


@pytest.fixture
def address(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


@pytest.fixture
async def console(address: str) -> AsyncIterator[SentinelOne]:
    connector = connect(address)
    yield connector
    await connector.http.aclose()


def connect(address: str, **changed: object) -> SentinelOne:
    settings = SentinelOneSimulator.connector_settings(address) | changed
    settings.pop("product")
    settings["api_token"] = Secret.of_value(str(settings["api_token"]))
    connector = build(SentinelOne, "sentinelone", settings, Redactor())
    assert isinstance(connector, SentinelOne)
    return connector


def live() -> Door:
    return Door("live", Effect.CHANGE, "edr.change", intended=True)


def hashes(*values: str) -> list[Indicator]:
    return [Indicator(kind="sha256" if len(value) == 64 else "sha1", value=value) for value in values]


async def first_host(console: SentinelOne, estate: Estate) -> Host:
    return (await console.find_hosts(agent_id(next(iter(estate.hosts)))))[0]


def test_the_trap_is_there(address: str, estate: Estate) -> None:
    """Like the console, the simulator connects everybody whom an empty filter matches; disconnecting needs a filter."""
    for host in estate.hosts.values():
        host.isolation = "contained"
    with httpx.Client(base_url=address, headers=TOKEN) as client:
        refused = client.post(f"{API}/agents/actions/disconnect", json={"filter": {}})
        assert refused.status_code == 400
        assert "One of the following filter arguments" in refused.text
        done = client.post(f"{API}/agents/actions/connect", json={"filter": {}})
    assert done.json() == {"data": {"affected": len(estate.hosts)}}
    assert {host.isolation for host in estate.hosts.values()} == {"lift_containment_pending"}


async def test_one_agent_is_isolated_and_no_other(console: SentinelOne, estate: Estate) -> None:
    """Everybody else stays as they are, and a second time is a conflict."""
    host = await first_host(console, estate)
    with through(live()):
        await console.isolate_host(host, "r")
    estate.advance(1)
    assert (await console.isolation_of(host)).state == "isolated"
    assert [each.isolation for each in estate.hosts.values()].count("normal") == len(estate.hosts) - 1
    with through(live()), pytest.raises(Conflict, match="nothing was affected"):
        await console.isolate_host(host, "r")


async def test_hosts_are_found_by_each_name(console: SentinelOne, estate: Estate) -> None:
    """By name in any case, ID, UUID and address; a longer name is another host."""
    known = next(iter(estate.hosts.values()))
    twin = next(each for each in estate.hosts.values() if each is not known)
    twin.name = known.name + "0"
    names = (known.name.upper(), known.name.lower(), agent_id(known.id), known.ips[0])
    for name in names:
        found = [each.id for each in await console.find_hosts(name)]
        assert agent_id(known.id) in found
        assert agent_id(twin.id) not in found
    assert await console.find_hosts("no-such-host") == []
    with pytest.raises(NotFound):
        await console.isolation_of(Host(connector="sentinelone", id="9" * 18, name="gone"))


@pytest.mark.parametrize("name", ["x' or 'x'='x", "x,y", "x*", 'x"y', "x</entry>"])
async def test_names_from_outside_find_their_host_only(console: SentinelOne, estate: Estate, name: str) -> None:
    """A name with quotes, commas or wildcards in it is compared, not interpreted."""
    first, second, *_ = estate.hosts.values()
    first.name, second.name = name, "xyz"
    assert [each.id for each in await console.find_hosts(name)] == [agent_id(first.id)]


async def test_searches_find_each_host_once_by_its_agent_id(console: SentinelOne, estate: Estate) -> None:
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
        await console.search_connections("198.51.100.99"),
        await console.search_connections("C2.example.NET"),
        await console.search_hash(HASH),
    ):
        assert [each.host_id for each in found] == [agent_id(first.id), agent_id(second.id)]
        assert [str(each.detail).rpartition(", ")[2] for each in found] == ["2 times", "1 times"]
    # Nobody "talked to" a host because it is itself.
    assert await console.search_connections(first.ips[0]) == []


async def test_a_worm_is_found_on_every_host(console: SentinelOne, estate: Estate) -> None:
    """More hosts than a result has by default, and than one question about their IDs may name."""
    estate.sightings += [Sighting(estate.now(), f"{number:032x}", HASH, "/tmp/worm") for number in range(1500)]
    assert len(await console.search_hash(HASH)) == 1500


async def test_users_of_a_host_are_found(console: SentinelOne, estate: Estate) -> None:
    """Each account once, newest first, and those of no other host."""
    host = await first_host(console, estate)
    here, elsewhere, *_ = estate.hosts
    aiko, ren, jo, *_ = estate.users.values()
    now = estate.now()
    estate.logons[:] = [Logon(now - timedelta(minutes=5), here, aiko.id), Logon(now, elsewhere, jo.id)]
    estate.logons += [Logon(now - timedelta(minutes=number), here, ren.id) for number in (1, 9)]
    assert [each.name for each in await console.users_of_host(host)] == [ren.sam, aiko.sam]


async def test_a_block_and_its_end_leave_the_blocklist_as_it_was(console: SentinelOne, estate: Estate) -> None:
    """What somebody had entered for one system is there before, meanwhile and afterwards."""
    both = hashes(HASH, OTHER)
    simulator = console_of(estate)
    simulator.blocklist.add(
        {"type": "black_hash", "osType": "windows", "sha256Value": HASH, "description": "by hand"}, {"tenant": True}
    )
    before = estate.snapshot_bytes()
    with through(live()):
        await console.block_hashes(both, "incident 7")
    assert [each.blocked for each in await console.hash_blocks_of(both)] == [True, True]
    with through(live()):
        await console.unblock_hashes(both, "over")
    assert estate.snapshot_bytes() == before


async def test_a_hash_that_one_system_refuses_is_blocked_nowhere(
    console: SentinelOne, simulation: Simulation, estate: Estate
) -> None:
    """The others were asked before; their entries are gone again, and the error says that nothing was applied."""
    simulator = simulation.simulators["sentinelone"]
    assert isinstance(simulator, SentinelOneSimulator)
    before = estate.snapshot_bytes()
    simulator.blocklist.unlicensed.add("linux")
    with through(live()), pytest.raises(Invalid, match="Not licensed") as caught:
        await console.block_hashes(hashes(HASH), "r")
    assert caught.value.applied is Applied.NO
    assert estate.snapshot_bytes() == before


async def test_an_old_address_names_nobody(console: SentinelOne, estate: Estate) -> None:
    """A host that was away for weeks is found by its name, and not by the address that it once had."""
    known = next(iter(estate.hosts.values()))
    assert await console.find_hosts(known.ips[0])
    known.last_seen -= timedelta(days=20)
    assert await console.find_hosts(known.ips[0]) == []
    assert agent_id(known.id) in {each.id for each in await console.find_hosts(known.name)}


async def test_a_blocklist_of_a_hundred_thousand_stays_quick(console: SentinelOne, estate: Estate) -> None:
    """Reading and writing single entries does not grow with the list."""
    simulator = console_of(estate)
    for number in range(100_000):
        data = {"type": "black_hash", "osType": "windows", "sha256Value": f"{number:064x}"}
        simulator.blocklist.add(data, {"tenant": True})
    began = time.monotonic()
    with through(live()):
        await console.block_hashes(hashes(HASH), "r")
    assert [each.blocked for each in await console.hash_blocks_of(hashes(HASH))] == [True]
    assert time.monotonic() - began < 3


async def test_what_is_not_permitted_is_forbidden(console: SentinelOne, simulation: Simulation, estate: Estate) -> None:
    """Each permission that the README names is asked for; a wrong token is another matter."""
    host = await first_host(console, estate)
    simulator = simulation.simulators["sentinelone"]
    assert isinstance(simulator, SentinelOneSimulator)
    simulator.permissions.discard("Endpoints.disconnectFromNetwork")
    with through(live()), pytest.raises(Forbidden, match=r"Endpoints\.disconnectFromNetwork"):
        await console.isolate_host(host, "r")


async def test_one_account_sees_its_own(address: str, estate: Estate) -> None:
    """The scope goes with every question; another account has neither agents nor entries."""
    name = next(iter(estate.hosts.values())).name
    ours, other = connect(address, account_id="225494730938493804"), connect(address, account_id="3" * 18)
    assert await ours.find_hosts(name)
    assert await other.find_hosts(name) == []
    with through(live()):
        await other.block_hashes(hashes(HASH), "r")
    assert [each.blocked for each in await ours.hash_blocks_of(hashes(HASH))] == [False]
    assert [each.blocked for each in await other.hash_blocks_of(hashes(HASH))] == [True]
    for each in (ours, other):
        await each.http.aclose()


async def test_a_wrong_token_is_unauthorized_everywhere(address: str) -> None:
    """For the console and for event search, whose schemes differ."""
    wrong = connect(address, api_token="not-this-one")
    for call in (wrong.find_hosts("x"), wrong.search_hash(HASH)):
        with pytest.raises(Unauthorized):
            await call
    with pytest.raises(Invalid):
        await wrong.find_hosts("")
    await wrong.http.aclose()


def console_of(estate: Estate) -> SentinelOneSimulator:
    """Return a simulator over the same estate, to arrange what somebody did in the console."""
    found = Simulation(estate, [SentinelOneSimulator]).simulators["sentinelone"]
    assert isinstance(found, SentinelOneSimulator)
    return found
