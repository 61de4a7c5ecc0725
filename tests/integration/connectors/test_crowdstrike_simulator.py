"""The Falcon connector against its simulator, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from hikeshi.capabilities import Effect, Host, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    RateLimited,
    RouteRefused,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Connection, Estate, Ioc, Logon, Sighting
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.crowdstrike import Falcon
from hikeshi_connectors.crowdstrike.simulator import CrowdStrikeSimulator

HASH, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=100, base=datetime.now(UTC), settle_s=0.05)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [CrowdStrikeSimulator])


@pytest.fixture
def address(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


@pytest.fixture
async def falcon(address: str) -> AsyncIterator[Falcon]:
    connector = connect(address)
    yield connector
    await connector.http.aclose()


def connect(address: str, **changed: object) -> Falcon:
    settings = CrowdStrikeSimulator.connector_settings(address) | changed
    settings.pop("product")
    settings["client_secret"] = Secret.of_value(str(settings["client_secret"]))
    connector = build(Falcon, "falcon", settings, Redactor())
    assert isinstance(connector, Falcon)
    return connector


def door(mode: str = "live") -> Door:
    return Door("live" if mode == "live" else "plan", Effect.CHANGE, "edr.change", intended=True)


def sha256(value: str) -> Indicator:
    return Indicator(kind="sha256", value=value)


def simulator_of(simulation: Simulation) -> CrowdStrikeSimulator:
    found = simulation.simulators["crowdstrike"]
    assert isinstance(found, CrowdStrikeSimulator)
    return found


async def first_host(falcon: Falcon, estate: Estate) -> Host:
    return (await falcon.find_hosts(next(iter(estate.hosts))))[0]


async def until(falcon: Falcon, host: Host, state: str) -> None:
    async with asyncio.timeout(5):
        while (await falcon.isolation_of(host)).state != state:  # noqa: ASYNC110 - the vendor tells only who asks
            await asyncio.sleep(0.02)


async def test_hosts_are_found_by_name_id_and_address(falcon: Falcon, estate: Estate) -> None:
    """The same host by each of its names; a longer name that begins the same is another host."""
    known = next(iter(estate.hosts.values()))
    twin = next(each for each in estate.hosts.values() if each is not known)
    twin.name = known.name + "0"
    for name in (known.name.upper(), known.id, known.ips[0]):
        assert known.id in [each.id for each in await falcon.find_hosts(name)]
        assert twin.id not in [each.id for each in await falcon.find_hosts(name)]
    assert await falcon.find_hosts("no-such-host") == []


@pytest.mark.parametrize("name", ["x' or 'x'='x", "x',device_id:'y", "x*", 'x"y', "x</entry>"])
async def test_names_from_outside_find_their_host_only(falcon: Falcon, estate: Estate, name: str) -> None:
    """A name with quotes or wildcards in it is compared, not interpreted."""
    hosts = list(estate.hosts.values())
    hosts[0].name, hosts[1].name = name, "xyz"
    assert [each.id for each in await falcon.find_hosts(name)] == [hosts[0].id]


async def test_five_thousand_hosts_are_read_in_pages(simulation: Simulation, falcon: Falcon, estate: Estate) -> None:
    """Hosts of one name on many pages are all found."""
    pattern = next(iter(estate.hosts.values()))
    for number in range(5000):
        aid = f"{number:032x}"
        estate.hosts[aid] = type(pattern)(
            id=aid, name="clone", os="linux", os_version="Debian 12", site="HQ", domain="d", ips=["10.9.9.9"],
            mac="02:00:00:00:00:01", last_seen=estate.base,
        )  # fmt: skip
    assert len(await falcon.find_hosts("clone")) == 5000
    assert simulation.log.counts["crowdstrike"]["GET /devices/combined/devices/v1"] == 5


async def test_containment_takes_effect_and_is_lifted(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """Accepted is not done: the status goes through isolating and releasing; the end is the beginning."""
    host = await first_host(falcon, estate)
    before = estate.snapshot_bytes()
    estate.settle_s = 0.2
    for verb, passing, final in (
        (falcon.isolate_host, "isolating", "isolated"),
        (falcon.release_host, "releasing", "normal"),
    ):
        with through(door()):
            await verb(host, "incident 7")
        assert (await falcon.isolation_of(host)).state == passing
        await until(falcon, host, final)
    estate.settle_s = 0.05
    assert estate.snapshot_bytes() == before
    assert [each["applied"] for each in simulation.changes] == [True, True]


async def test_already_contained_is_a_conflict(falcon: Falcon, estate: Estate) -> None:
    """A second containment is refused, while it takes effect and after."""
    host = await first_host(falcon, estate)
    estate.settle_s = 0.2
    with through(door()):
        await falcon.isolate_host(host, "r")
    with through(door()), pytest.raises(Conflict):
        await falcon.isolate_host(host, "r")
    await until(falcon, host, "isolated")
    with through(door()), pytest.raises(Conflict):
        await falcon.isolate_host(host, "r")


async def test_a_device_that_is_gone_is_not_found(falcon: Falcon) -> None:
    """Reading and containing an unknown device say the same."""
    gone = Host(connector="falcon", id="f" * 32, name="gone")
    with pytest.raises(NotFound):
        await falcon.isolation_of(gone)
    with through(door()), pytest.raises(NotFound):
        await falcon.isolate_host(gone, "r")


async def test_a_plan_changes_nothing(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """Every change verb in a plan: requests are captured, and none arrives."""
    host = await first_host(falcon, estate)
    before = estate.snapshot_bytes()
    estate.add_ioc(Ioc("i1", "sha256", OTHER, "prevent", estate.now()))
    planned = door("plan")
    with through(planned):
        await falcon.isolate_host(host, "r")
        await falcon.release_host(host, "r")
        await falcon.block_hashes([sha256(HASH)], "r", expires_in_s=60)
        await falcon.unblock_hashes([sha256(OTHER)], "r")
    estate.remove_ioc("i1")
    assert [each.method for each in planned.captured] == ["POST", "POST", "POST", "DELETE"]
    assert simulation.changes == []
    assert estate.snapshot_bytes() == before


async def test_reads_are_no_changes(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """Reads by POST, searches and tokens are not recorded as changes."""
    host = await first_host(falcon, estate)
    await falcon.isolation_of(host)
    await falcon.list_alerts()
    await falcon.users_of_host(host)
    await falcon.search_hash(HASH)
    await falcon.search_connections("198.51.100.1")
    await falcon.hash_blocks_of([sha256(HASH)])
    assert simulation.changes == []


async def test_hashes_are_blocked_and_unblocked(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """One request blocks both kinds of hash, one unblocks them, and the state is as before."""
    hashes = [sha256(HASH), Indicator(kind="md5", value="e" * 32)]
    before = estate.snapshot_bytes()
    with through(door()):
        await falcon.block_hashes(hashes, "incident 7")
    assert [each.blocked for each in await falcon.hash_blocks_of(hashes)] == [True, True]
    with through(door()):
        await falcon.unblock_hashes(hashes, "incident 7 is over")
    assert [each.blocked for each in await falcon.hash_blocks_of(hashes)] == [False, False]
    assert [(each["method"], each["applied"]) for each in simulation.changes] == [("POST", True), ("DELETE", True)]
    assert estate.snapshot_bytes() == before


async def test_a_block_ends_by_itself(falcon: Falcon, estate: Estate) -> None:
    """Falcon lifts it at the time it was given, without any request."""
    with through(door()):
        await falcon.block_hashes([sha256(HASH)], "r", expires_in_s=3600)
    (block,) = await falcon.hash_blocks_of([sha256(HASH)])
    assert block.expires_at is not None
    assert abs(block.expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=10)
    estate.advance(3601)
    assert [each.blocked for each in await falcon.hash_blocks_of([sha256(HASH)])] == [False]


async def test_somebodys_indicator_survives(falcon: Falcon, estate: Estate) -> None:
    """An allowed hash stays allowed: blocking it is a conflict, unblocking it touches nothing; others are done."""
    estate.add_ioc(Ioc("allowed", "sha256", HASH, "allow", estate.now(), details={"applied_globally": True}))
    with through(door()), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(HASH), sha256(OTHER)], "r")
    assert set(caught.value.failures) == {HASH}
    with through(door()), pytest.raises(PartialFailure):
        await falcon.unblock_hashes([sha256(HASH), sha256(OTHER)], "r")
    assert list(estate.iocs) == ["allowed"]


async def test_an_entry_that_falcon_refuses_is_named(falcon: Falcon, estate: Estate) -> None:
    """The simulator, like Falcon, wants a value of the type's form; the list is refused whole."""
    wrong = Indicator(kind="sha256", value="ab")
    with through(door()), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(HASH), wrong], "r")
    assert type(caught.value.failures["ab"]) is Invalid
    assert set(caught.value.failures) == {"ab", HASH}
    assert estate.iocs == {}


async def test_thousands_of_hashes_are_blocked_and_read(falcon: Falcon, estate: Estate) -> None:
    """Lists longer than a request go in several, and every entry is read back."""
    many = [sha256(f"{number:064x}") for number in range(1000)]
    with through(door()):
        await falcon.block_hashes(many, "feed")
    assert len(estate.iocs) == 1000
    assert all(each.blocked for each in await falcon.hash_blocks_of(many))
    with through(door()):
        await falcon.unblock_hashes(many, "feed withdrawn")
    assert estate.iocs == {}


async def test_a_deletion_with_a_filter_cannot_be_sent() -> None:
    """The trap is there: it ignores its IDs and deletes everything. The connector's client refuses it, live or not."""
    estate = make_estate(hosts=30, users=16, connections=0)
    simulation = Simulation(estate, [CrowdStrikeSimulator])
    for value in (HASH, OTHER):
        estate.add_ioc(Ioc(f"id-{value[:2]}", "sha256", value, "prevent", estate.now()))
    with running(simulation) as url:
        falcon = connect(url)
        where, what = "/iocs/entities/indicators/v1", {"ids": "id-ab", "filter": "value:'*'"}
        with through(door()), pytest.raises(RouteRefused, match="never sent"):
            await falcon.http.delete(where, params=what)
        assert len(estate.iocs) == 2
        headers = await falcon.http.authorize()
        async with httpx.AsyncClient() as anybody:
            await anybody.delete(f"{url}/crowdstrike{where}", params=what, headers=dict(headers))
        await falcon.http.aclose()
    assert estate.iocs == {}


async def test_alerts_come_in_pages_newest_first(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """More alerts than fit into a page, limited by age and severity."""
    pattern = next(iter(estate.alerts.values()))
    estate.alerts.clear()
    for number in range(2500):
        alert = type(pattern)(
            f"a{number:04}", estate.base - timedelta(seconds=number), "high" if number % 2 else "low", f"alert {number}"
        )
        estate.alerts[alert.id] = alert
    alerts = await falcon.list_alerts(since_s=86400)
    assert len(alerts) == 2500
    assert alerts == sorted(alerts, key=lambda each: each.at, reverse=True)
    assert simulation.log.counts["crowdstrike"]["POST /alerts/combined/alerts/v1"] == 3
    assert {each.severity for each in await falcon.list_alerts(since_s=86400, severity="medium")} == {"high"}
    assert len(await falcon.list_alerts(since_s=1200)) < 1300


async def test_searches_find_each_host_once(falcon: Falcon, estate: Estate) -> None:
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
        await falcon.search_connections("198.51.100.99"),
        await falcon.search_connections("C2.example.NET"),
        await falcon.search_hash(HASH),
    ):
        assert [(each.host_id, each.host_name) for each in found] == [(first.id, first.name), (second.id, second.name)]
        assert found[0].detail is not None
        assert found[0].detail.endswith("2 times")
        assert found[1].detail is not None
        assert found[1].detail.endswith("1 times")
    assert await falcon.search_hash(OTHER) == []


async def test_searches_find_more_hosts_than_a_default_answer_holds(falcon: Falcon, estate: Estate) -> None:
    """1,500 rows are the default; a worm on 3,000 hosts is found on all of them."""
    estate.sightings += [Sighting(estate.now(), f"{number:032x}", HASH, "/tmp/worm") for number in range(3000)]
    assert len(await falcon.search_hash(HASH)) == 3000


async def test_users_of_a_host_are_all_found(falcon: Falcon, estate: Estate) -> None:
    """Sign-ins beyond the hundred that one answer holds count too."""
    host = await first_host(falcon, estate)
    aiko, ren, *_ = estate.users.values()
    estate.logons[:] = [
        Logon(estate.now() - timedelta(minutes=number), host.id, aiko.id if number < 150 else ren.id)
        for number in range(1, 250)
    ]
    users = await falcon.users_of_host(host)
    assert [each.name for each in users] == [aiko.sam, ren.sam]
    assert users[0].last_at is not None
    assert await falcon.users_of_host(host, since_s=30) == []


async def test_an_ended_token_is_renewed(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """After half an hour, or a rotated secret, the connector goes on without being told."""
    host = await first_host(falcon, estate)
    estate.advance(1800)
    await falcon.isolation_of(host)
    simulation.simulators["crowdstrike"].tokens.revoke_all()
    with through(door()):
        await falcon.isolate_host(host, "r")
    assert [each["applied"] for each in simulation.changes] == [False, True]


@pytest.mark.parametrize("wrong", [{"client_id": "nobody"}, {"client_secret": "not-this-one"}])
async def test_wrong_credentials_are_unauthorized(address: str, wrong: dict[str, object]) -> None:
    """Whichever is wrong, and the secret is not told."""
    falcon = connect(address, **wrong)
    with pytest.raises(Unauthorized) as caught:
        await falcon.find_hosts("x")
    assert "not-this-one" not in str(caught.value)
    await falcon.http.aclose()


async def test_a_missing_scope_is_forbidden(falcon: Falcon, simulation: Simulation, estate: Estate) -> None:
    """Without the right to write, reading goes on."""
    host = await first_host(falcon, estate)
    simulator_of(simulation).scopes.discard("hosts:write")
    with through(door()), pytest.raises(Forbidden):
        await falcon.isolate_host(host, "r")
    assert (await falcon.isolation_of(host)).state == "normal"


async def test_an_unknown_repository_is_not_an_empty_result(address: str) -> None:
    """A search that cannot be made is an error that says where to look."""
    falcon = connect(address, repository="nowhere")
    with pytest.raises(Invalid, match="nowhere"):
        await falcon.search_hash(HASH)
    await falcon.http.aclose()


async def test_the_rate_limit_is_told_in_seconds(falcon: Falcon, simulation: Simulation) -> None:
    """The simulator answers with a Unix time, as Falcon does."""
    simulation.faults.add(Fault(product="crowdstrike", path="/devices/*", too_many_requests_s=30))
    with pytest.raises(RateLimited) as caught:
        await falcon.find_hosts("x")
    assert caught.value.retry_after_s is not None
    assert 28 <= caught.value.retry_after_s <= 31


@pytest.mark.parametrize(
    ("fault", "kind", "happened"),
    [
        (Fault(path="/devices/entities/devices-actions/*", drop="before"), Unavailable, False),
        (Fault(path="/devices/entities/devices-actions/*", drop="after"), Unavailable, True),
        (Fault(path="/devices/entities/devices-actions/*", half=True), Unavailable, True),
        (Fault(path="/devices/entities/devices-actions/*", html=True), Invalid, False),
        (Fault(path="/devices/entities/devices-actions/*", status=500, when="after"), Unavailable, True),
        (Fault(path="/devices/entities/devices-actions/*", delay_s=1.0, when="after"), Timeout, True),
    ],
    ids=["drop-before", "drop-after", "half", "html", "500", "timeout"],
)
async def test_a_lost_answer_may_have_had_its_effect(
    address: str,
    simulation: Simulation,
    estate: Estate,
    fault: Fault,
    kind: type[Exception],
    happened: bool,
) -> None:
    """Nobody claims that nothing happened; reading the state tells, and sending again is safe."""
    falcon = connect(address, timeout_s=0.5)
    host = await first_host(falcon, estate)
    simulation.faults.add(fault)
    with through(door()), pytest.raises(kind) as caught:
        await falcon.isolate_host(host, "r")
    assert getattr(caught.value, "applied") is Applied.MAYBE  # noqa: B009 - every connector error has it
    if happened:
        await until(falcon, host, "isolated")
    else:
        assert (await falcon.isolation_of(host)).state == "normal"
        with through(door()):
            await falcon.isolate_host(host, "r")
    await falcon.http.aclose()
