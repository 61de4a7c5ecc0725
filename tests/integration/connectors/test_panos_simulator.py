"""PAN-OS against its simulator, over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    ConnectorError,
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
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.pool import ConnectionStack
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Connection, Estate, EstateState
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.panos import PanOs
from hikeshi_connectors.panos.simulator import PanOsSimulator

ADDRESS = Indicator(kind="ipv4", value="203.0.113.66")
ADDRESS6 = Indicator(kind="ipv6", value="2001:db8::66")
NETWORK = Indicator(kind="cidr", value="198.51.100.0/24")
DOMAIN = Indicator(kind="domain", value="sync.fleetmate.example")
URL = Indicator(kind="url", value='https://cdn.fleetmate-update.example/a\'b?c="d"')
ALL = [ADDRESS, ADDRESS6, NETWORK, DOMAIN, URL]
CATEGORY = "hikeshi-blocked"


@pytest.fixture
def estate() -> Estate:
    base = datetime.now(UTC).replace(microsecond=0)
    connections = [
        Connection(
            at=base - timedelta(minutes=minutes), host_id="h-1", source_ip="10.10.0.5", address=address, port=443,
            bytes_out=1200 + minutes, bytes_in=400, app="ssl", action=action,
        )
        for minutes, address, action in [
            (300, "203.0.113.66", "allow"), (90, "203.0.113.66", "deny"), (45, "192.0.2.1", "allow"),
            (30, "203.0.113.66", "allow"),
        ]
    ]  # fmt: skip
    return Estate(EstateState(name="small", base=base, settle_s=60, connections=connections))


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [PanOsSimulator])


@pytest.fixture
def base_url(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


Connect = Callable[..., PanOs]


@pytest.fixture
async def connect(base_url: str) -> AsyncIterator[Connect]:
    """Make connectors for the simulator, which get closed."""
    made: list[PanOs] = []

    def make(transport: httpx.AsyncBaseTransport | None = None, **settings: Any) -> PanOs:
        given = PanOsSimulator.connector_settings(base_url)
        del given["product"]
        given["api_key"] = Secret.of_value(given["api_key"])
        connector = build(PanOs, "fw_hq", {**given, **settings}, Redactor(), transport)
        assert isinstance(connector, PanOs)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.http.aclose()


@pytest.fixture
def firewall(connect: Connect) -> PanOs:
    return connect()


class Wire(httpx.AsyncBaseTransport):
    """The way to the simulator: counts requests under way, and breaks before the requests whose text fits."""

    def __init__(self) -> None:
        self._way = ConnectionStack()
        self.broken_for = b""
        self.under_way = self.most_under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.broken_for and self.broken_for in request.content:
            raise httpx.ConnectError("broken", request=request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._way.handle_async_request(request)
        finally:
            self.under_way -= 1

    async def aclose(self) -> None:
        await self._way.aclose()


def door(mode: Any = "live", effect: Effect = Effect.CHANGE) -> Door:
    return Door(mode=mode, effect=effect, action="firewall.block_indicators", intended=mode == "live")


async def block(firewall: PanOs, indicators: list[Indicator], expires_in_s: int | None = None) -> None:
    with through(door()):
        await firewall.block_indicators(indicators, "c2", expires_in_s)


async def unblock(firewall: PanOs, indicators: list[Indicator]) -> None:
    with through(door()):
        await firewall.unblock_indicators(indicators, "false alarm")


async def blocked(firewall: PanOs, indicators: list[Indicator]) -> list[bool]:
    with through(door(effect=Effect.READ)):
        return [state.blocked for state in await firewall.blocks_of(indicators)]


async def test_addresses_are_blocked_at_once_and_released_by_the_firewall(firewall: PanOs, estate: Estate):
    """A tag needs no commit, and ends by itself when its time has come."""
    await block(firewall, [ADDRESS, ADDRESS6, NETWORK], 3600)
    assert await blocked(firewall, [ADDRESS, ADDRESS6, NETWORK]) == [True, True, True]
    [state] = await firewall.blocks_of([ADDRESS])
    assert state.expires_at is not None
    assert timedelta(0) < state.expires_at - (datetime.now(UTC) + timedelta(hours=1)) <= timedelta(seconds=62)
    estate.advance(3601)
    assert await blocked(firewall, [ADDRESS, ADDRESS6, NETWORK]) == [False, False, False]


async def test_a_block_without_an_end_stays(firewall: PanOs, estate: Estate):
    """Without an expiry the tag has no timeout."""
    await block(firewall, [ADDRESS])
    estate.advance(40 * 86400)
    [state] = await firewall.blocks_of([ADDRESS])
    assert (state.blocked, state.expires_at) == (True, None)


async def test_sites_are_blocked_only_when_the_commit_has_finished(firewall: PanOs, estate: Estate):
    """The candidate configuration and a commit under way do not count as blocked."""
    await block(firewall, [DOMAIN, URL])
    assert estate.firewall.candidate.url_categories[CATEGORY] == {
        "sync.fleetmate.example/",
        'cdn.fleetmate-update.example/a\'b?c="d"',
    }
    assert await blocked(firewall, [DOMAIN, URL]) == [False, False]
    estate.advance(61)
    assert await blocked(firewall, [DOMAIN, URL]) == [True, True]


async def test_unblocking_restores_what_was_before(firewall: PanOs, estate: Estate):
    """After block and unblock, tags and configuration are as they were; foreign tags and entries stay."""
    estate.register_tag("203.0.113.66", "watched")
    estate.firewall.candidate.url_categories["partners"] = {"partner.example/"}
    estate.firewall.running = estate.firewall.candidate.copy()
    before = estate.snapshot()["firewall"]
    await block(firewall, ALL, 3600)
    estate.advance(61)
    assert await blocked(firewall, ALL) == [True] * 5
    await unblock(firewall, ALL)
    estate.advance(61)
    assert await blocked(firewall, ALL) == [False] * 5
    after = estate.snapshot()["firewall"]
    assert {**after, "jobs": {}} == before


async def test_a_commit_leaves_the_changes_of_other_administrators_alone(firewall: PanOs, estate: Estate):
    """What somebody else has in the candidate configuration is not made to run by a block."""
    estate.firewall.candidate.url_categories["half-done"] = {"*.example/"}
    await block(firewall, [DOMAIN])
    estate.advance(61)
    assert estate.firewall.running.url_categories == {CATEGORY: {"sync.fleetmate.example/"}}
    assert "half-done" in estate.firewall.candidate.url_categories


async def test_two_commits_in_a_row_both_take_effect(firewall: PanOs, estate: Estate):
    """A commit that waits behind another one does not undo it."""
    other = Indicator(kind="domain", value="other.example")
    await block(firewall, [DOMAIN])
    await block(firewall, [other])
    await unblock(firewall, [DOMAIN])
    estate.advance(61)
    assert await blocked(firewall, [DOMAIN, other]) == [False, True]


async def test_sending_a_change_again_is_safe(firewall: PanOs, simulation: Simulation, estate: Estate):
    """A repeated block or unblock raises nothing and leaves the same state; a tag keeps its first expiry."""
    await block(firewall, ALL, 3600)
    estate.advance(61)
    expiry = estate.firewall.registered_tags["203.0.113.66"][CATEGORY]
    await block(firewall, ALL, 7200)
    assert estate.firewall.registered_tags["203.0.113.66"][CATEGORY] == expiry
    assert await blocked(firewall, ALL) == [True] * 5
    await unblock(firewall, ALL)
    await unblock(firewall, ALL)
    estate.advance(61)
    assert await blocked(firewall, ALL) == [False] * 5
    assert all(change["applied"] for change in simulation.changes)


async def test_a_retry_commits_what_an_earlier_attempt_left_in_the_candidate(connect: Connect, estate: Estate):
    """When the commit got lost, sending the same change again still brings it to run."""
    wire = Wire()
    firewall = connect(wire)
    for change, goal in ((block, True), (unblock, False)):
        wire.broken_for = b"type=commit"
        with pytest.raises(Unavailable) as caught:
            await change(firewall, [DOMAIN])
        assert caught.value.applied is Applied.MAYBE
        estate.advance(61)
        assert await blocked(firewall, [DOMAIN]) == [not goal]
        wire.broken_for = b""
        await change(firewall, [DOMAIN])
        estate.advance(61)
        assert await blocked(firewall, [DOMAIN]) == [goal]


async def test_a_lost_commit_does_not_hide_that_the_addresses_are_blocked(connect: Connect):
    """In a mixed batch the sites are reported, and the addresses count as accepted."""
    wire = Wire()
    wire.broken_for = b"type=commit"
    firewall = connect(wire)
    with pytest.raises(PartialFailure) as caught:
        await block(firewall, [ADDRESS, DOMAIN])
    assert set(caught.value.failures) == {"sync.fleetmate.example"}
    assert caught.value.failures["sync.fleetmate.example"].applied is Applied.MAYBE
    assert await blocked(firewall, [ADDRESS, DOMAIN]) == [True, False]


async def test_entries_that_others_wrote_differently_are_found_and_removed(firewall: PanOs, estate: Estate):
    """Letter case and a missing final slash do not hide an entry."""
    estate.firewall.candidate.url_categories[CATEGORY] = {"Sync.FleetMate.example"}
    estate.firewall.running = estate.firewall.candidate.copy()
    assert await blocked(firewall, [DOMAIN]) == [True]
    await unblock(firewall, [DOMAIN])
    estate.advance(61)
    assert estate.firewall.running.url_categories == {}


async def test_one_call_blocks_five_hundred_addresses(firewall: PanOs, simulation: Simulation, estate: Estate):
    """A batch is one User-ID message of some 70 kB, and it is read back over pages."""
    many = [Indicator(kind="ipv4", value=f"198.18.{n // 250}.{n % 250 + 1}") for n in range(500)]
    await block(firewall, many, 3600)
    assert len(simulation.changes) == 1
    assert 40_000 < len(simulation.log.changes[0].raw_body) < 100_000
    assert len(estate.firewall.registered_tags) == 500
    assert all(await blocked(firewall, many))


async def test_every_page_of_the_registered_addresses_is_read(firewall: PanOs, estate: Estate):
    """Five thousand foreign and own tags do not hide one behind the first page, and stay quick."""
    for n in range(5_000):
        estate.register_tag(f"198.18.{n // 250}.{n % 250 + 1}", CATEGORY)
    last = Indicator(kind="ipv4", value="198.18.19.250")
    begun = time.perf_counter()
    assert await blocked(firewall, [last, ADDRESS]) == [True, False]
    assert time.perf_counter() - begun < 5


async def test_refused_entries_are_named_and_the_others_are_blocked(firewall: PanOs, estate: Estate):
    """An address with 32 tags is refused by the firewall, an IPv6 network by the connector; the rest goes through."""
    for n in range(32):
        estate.register_tag("203.0.113.66", f"tag-{n}")
    network6 = Indicator(kind="cidr", value="2001:db8::/32")
    with pytest.raises(PartialFailure) as caught:
        await block(firewall, [ADDRESS, network6, ADDRESS6])
    assert {value: error.kind for value, error in caught.value.failures.items()} == {
        "203.0.113.66": "invalid",
        "2001:db8::/32": "unsupported",
    }
    assert await blocked(firewall, [ADDRESS, network6, ADDRESS6]) == [False, False, True]


async def test_without_the_url_category_addresses_are_blocked_and_sites_are_refused(connect: Connect, estate: Estate):
    """A category that no rule uses would block nothing, so none is made."""
    firewall = connect(url_category="not-there")
    assert await blocked(firewall, [DOMAIN]) == [False]
    with pytest.raises(PartialFailure) as caught:
        await block(firewall, [ADDRESS, DOMAIN])
    assert isinstance(caught.value.failures["sync.fleetmate.example"], NotFound)
    assert "203.0.113.66" in estate.firewall.registered_tags
    with pytest.raises(NotFound, match="deny rule"):
        await block(firewall, [DOMAIN])
    assert estate.firewall.candidate.url_categories == {}


async def test_a_plan_shows_what_is_sent_and_changes_nothing(firewall: PanOs, simulation: Simulation, estate: Estate):
    """The captured requests are those of the live run, in the same order, and the preview is complete."""
    before = estate.snapshot()
    with through(door("plan")) as planned, pytest.raises(CaptureEnded):
        await firewall.block_indicators(ALL, "c2", 3600)
    assert simulation.changes == []
    assert estate.snapshot() == before
    await block(firewall, ALL, 3600)
    assert [request.body for request in planned.captured] == [change["body"] for change in simulation.changes]
    assert [request.body["type"] for request in planned.captured] == ["user-id", "config", "commit"]
    assert planned.finished


async def test_traffic_is_found_newest_first_in_utc(firewall: PanOs, estate: Estate):
    """The log is in the firewall's own time zone, here Tokyo; what comes out is UTC and only the time asked for."""
    with through(door(effect=Effect.READ)):
        found = await firewall.search_traffic("203.0.113.66", since_s=7200)
    assert [(each.at, each.verdict, each.bytes_sent) for each in found] == [
        (estate.base - timedelta(minutes=30), "allowed", 1230),
        (estate.base - timedelta(minutes=90), "blocked", 1290),
    ]
    assert (found[0].source, found[0].destination, found[0].destination_port) == ("10.10.0.5", "203.0.113.66", 443)
    assert (found[0].application, found[0].connector) == ("ssl", "fw_hq")
    assert len(await firewall.search_traffic("10.10.0.0/16", since_s=86400)) == 4


async def test_every_page_of_the_traffic_log_is_read(firewall: PanOs, estate: Estate):
    """Over 5,000 entries come in several queries, each entry once."""
    [first, *_] = estate.connections
    estate.connections[:] = [
        Connection(estate.base - timedelta(seconds=n), "h-1", first.source_ip, "203.0.113.66", 443, n, 0, "ssl")
        for n in range(5_500, 0, -1)
    ]
    found = await firewall.search_traffic("203.0.113.66", since_s=86400)
    assert [each.bytes_sent for each in found] == list(range(1, 5_501))


@pytest.mark.parametrize("address", ["a' or 'x'='x", "203.0.113.66) or (addr in 0.0.0.0/0", "*", "", "evil.example"])
async def test_traffic_of_what_is_no_address_is_not_asked_for(firewall: PanOs, simulation: Simulation, address: str):
    """A name or a piece of a query never becomes part of one."""
    with pytest.raises(Invalid, match="no address"):
        await firewall.search_traffic(address)
    assert simulation.log.counts == {}


async def test_a_wrong_key_is_unauthorized(connect: Connect):
    """The firewall's 403 for an invalid key says that the credentials are wrong."""
    with pytest.raises(Unauthorized, match="Invalid Credential") as caught:
        await connect(api_key=Secret.of_value("wrong-key-0815")).blocks_of([ADDRESS])
    assert "wrong-key-0815" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "kind", "applied"),
    [
        (Fault(product="panos", too_many_requests_s=7), RateLimited, Applied.NO),
        (Fault(product="panos", status=503), Unavailable, Applied.MAYBE),
        (Fault(product="panos", drop="after"), Unavailable, Applied.MAYBE),
        (Fault(product="panos", half=True), Unavailable, Applied.MAYBE),
        (Fault(product="panos", html=True, when="after"), Invalid, Applied.MAYBE),
        (Fault(product="panos", delay_s=1.0), Timeout, Applied.MAYBE),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_faults_become_errors(
    connect: Connect, simulation: Simulation, fault: Fault, kind: type[ConnectorError], applied: Applied
):
    """Each kind of trouble has its error class, and says whether the block can have taken effect."""
    simulation.faults.add(fault)
    with pytest.raises(kind) as caught:
        await block(connect(timeout_s=0.5), [ADDRESS])
    assert caught.value.applied is applied
    if kind is RateLimited:
        assert caught.value.retry_after_s == 7


async def test_reading_actions_cannot_send_changes(firewall: PanOs, simulation: Simulation):
    """Behind one path, only declared reads pass the door of a read."""
    with through(door(effect=Effect.READ)):
        for form in (
            {"type": "user-id", "cmd": "<uid-message/>"},
            {"type": "op", "cmd": "<request><restart><system/></restart></request>"},
            {"type": "op", "cmd": "<show/><clear/>"},
            {"type": "config", "action": "set", "xpath": "/config", "element": "<x/>"},
            {"type": "commit", "cmd": "<commit/>"},
            {"type": "log", "action": "finish", "job-id": "1"},
        ):
            with pytest.raises(RouteRefused):
                await firewall.http.post("/api/", form=form)
    assert simulation.log.counts == {}


async def test_never_more_than_five_calls_at_once(connect: Connect):
    """The vendor advises against more."""
    wire = Wire()
    firewall = connect(wire)
    await asyncio.gather(*(firewall.blocks_of([ADDRESS]) for _ in range(20)))
    assert wire.most_under_way == 5


# --- the simulator refuses what the firewall refuses


def ask(base_url: str, **form: str) -> ET.Element:
    answer = httpx.post(
        f"{base_url}/panos/api/", data=form, headers={"X-PAN-KEY": "simulated-api-key-not-a-secret"}, trust_env=False
    )
    return ET.fromstring(answer.content)


XPATH = (
    "/config/devices/entry[@name='localhost.localdomain']/vsys/entry[@name='vsys1']"
    "/profiles/custom-url-category/entry[@name='hikeshi-blocked']"
)


TOO_LONG = f"<member>{'a' * 256}</member>"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"type": "op", "cmd": "<show><nonsense/></show>"}, "17"),
        ({"type": "op", "cmd": "<show>"}, "18"),
        ({"type": "user-id", "cmd": "<uid-message><type>update</type></uid-message>"}, "17"),
        ({"type": "config", "action": "set", "xpath": "/config/nonsense", "element": "<member>a/</member>"}, "6"),
        ({"type": "config", "action": "set", "xpath": f"{XPATH}/list", "element": "<member>"}, "18"),
        ({"type": "config", "action": "set", "xpath": f"{XPATH}/list", "element": TOO_LONG}, "12"),
        ({"type": "config", "action": "delete", "xpath": f"{XPATH}/list/member[text()='a'] | /config"}, "6"),
        ({"type": "config", "action": "delete", "xpath": f"{XPATH}/list/member[contains(text(),'a')]"}, "6"),
        ({"type": "commit", "cmd": "<commit><partial/></commit>"}, "17"),
        ({"type": "log", "log-type": "traffic", "query": "(addr in nowhere)"}, "17"),
        ({"type": "log", "log-type": "traffic", "nlogs": "5001"}, "400"),
        ({"type": "log", "action": "get", "job-id": "9"}, "7"),
        ({"type": "nonsense"}, "400"),
        ({}, "400"),
    ],
)  # fmt: skip
def test_the_simulator_refuses_wrong_requests(base_url: str, form: dict[str, str], code: str):
    """A request that the firewall would refuse fails here, with the documented code."""
    root = ask(base_url, **form)
    assert (root.get("status"), root.get("code")) == ("error", code)


def test_the_simulator_tells_changes_from_reads(base_url: str, simulation: Simulation):
    """Shows, queries and configuration reads by POST are no changes; everything unknown is one."""
    ask(base_url, type="op", cmd="<show><object><registered-ip/></object></show>")
    ask(base_url, type="config", action="get", xpath=XPATH)
    ask(base_url, type="log", **{"log-type": "traffic"})
    assert simulation.changes == []
    ask(base_url, type="op", cmd="<clear><log/></clear>")
    ask(base_url, type="nonsense")
    assert [change["applied"] for change in simulation.changes] == [False, False]


def test_a_commit_can_be_watched_until_it_has_finished(base_url: str, estate: Estate):
    """A job is at work, then done; a commit without changes makes no job."""
    commit = {"type": "commit", "cmd": "<commit/>"}
    assert ask(base_url, **commit).findtext("msg") == "There are no changes to commit."
    ask(base_url, type="config", action="set", xpath=f"{XPATH}/list", element="<member>a.example/</member>")
    job = ask(base_url, **commit).findtext("result/job")
    show = {"type": "op", "cmd": f"<show><jobs><id>{job}</id></jobs></show>"}
    assert ask(base_url, **show).findtext("result/job/status") == "ACT"
    estate.advance(61)
    shown = ask(base_url, **show)
    assert (shown.findtext("result/job/status"), shown.findtext("result/job/result")) == ("FIN", "OK")
