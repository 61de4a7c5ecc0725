"""Agents and threats: what is asked, what becomes of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Invalid, NotFound, RouteRefused
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sentinelone import SentinelOne

AGENTS = "/web/api/v2.1/agents"
THREATS = "/web/api/v2.1/threats"
AGENT_ID, UUID = "225494730938493804", "ff819e70af13be381993075eb0ce5f2f6de05be2"


def agent(**more: Any) -> dict[str, Any]:
    return {"id": AGENT_ID, "uuid": UUID, "computerName": "WS-001", "networkStatus": "connected", **more}


def threat(number: int, **info: Any) -> dict[str, Any]:
    given = {"threatName": "evil.exe", "createdAt": "2026-11-22T01:02:03.000000Z", "confidenceLevel": "malicious"}
    return {
        "id": str(10**17 + number),
        "threatInfo": {**given, **info},
        "agentRealtimeInfo": {"agentId": AGENT_ID, "agentComputerName": "WS-001"},
        "indicators": [{"tactics": [{"techniques": [{"name": "T1486"}]}]}],
    }


async def test_a_name_is_asked_for_in_part_and_compared_in_full(fake: Any, console: SentinelOne) -> None:
    """Names that only contain it are other hosts; those of another case are the same."""
    fake.lists(AGENTS, [agent(), agent(id="1" * 18, computerName="WS-0010")])
    assert [each.id for each in await console.find_hosts("ws-001")] == [AGENT_ID]
    (asked,) = fake.requests
    assert dict(asked.url.params) == {
        "computerName__contains": "ws-001,WS-001",
        "isDecommissioned": "false",
        "isUninstalled": "false",
        "limit": "1000",
    }


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("10.0.0.7", [("networkInterfaceInet__contains", "10.0.0.7")]),
        ("FE80::1", [("networkInterfaceInet__contains", "fe80::1")]),
        (AGENT_ID, [("computerName__contains", AGENT_ID), ("ids", AGENT_ID)]),
        (UUID.upper(), [("computerName__contains", f"{UUID.upper()},{UUID}"), ("uuids", UUID)]),
        ("a,longer&b=c", [("computerName__contains", "longer&b=c,LONGER&B=C")]),
        ("x' or 'x'='x", [("computerName__contains", "x' or 'x'='x,X' OR 'X'='X")]),
        ("7", [("computerName__contains", "7")]),
    ],
)
async def test_each_kind_of_name_has_its_parameter(
    fake: Any, console: SentinelOne, name: str, params: list[tuple[str, str]]
) -> None:
    """Addresses, IDs and UUIDs are asked for as such; a comma never makes two names of one."""
    fake.lists(AGENTS, [])
    assert await console.find_hosts(name) == []
    assert [each.url.params.multi_items()[0] for each in fake.requests] == params


@pytest.mark.parametrize("name", ["", " ", ",", " , ", "x" * 256])
async def test_what_is_no_name_is_not_asked_for(fake: Any, console: SentinelOne, name: str) -> None:
    """It would match every agent."""
    with pytest.raises(Invalid, match="no name"):
        await console.find_hosts(name)
    assert fake.requests == []


async def test_a_host_has_what_guardrails_need(fake: Any, make: Callable[..., SentinelOne]) -> None:
    """Its own addresses, tags in both forms, group and site; not the address of the border."""
    record = agent(
        osName="Windows 11",
        siteName="HQ",
        groupName="Servers",
        groupId="2" * 18,
        externalIp="203.0.113.1",
        networkInterfaces=[{"inet": ["10.0.0.7"], "inet6": ["fe80::1"], "physical": "02:AB:00:00:00:01"}],
        tags={"sentinelone": [{"key": "tier", "value": "crown-jewel"}]},
        lastActiveDate=datetime.now(UTC).isoformat(),
    )
    fake.lists(AGENTS, [record])
    (host,) = await make(account_id="3" * 18).find_hosts("10.0.0.7")
    assert fake.requests[0].url.params["accountIds"] == "3" * 18
    assert (host.connector, host.name, host.os, host.site) == ("s1", "WS-001", "Windows 11", "HQ")
    assert host.ips == ("10.0.0.7", "fe80::1")
    assert host.mac == "02:ab:00:00:00:01"
    assert host.tags == ("tier:crown-jewel", "crown-jewel")
    assert host.groups == ("Servers", "2" * 18)
    assert host.last_seen is not None


async def test_all_pages_are_read(fake: Any, console: SentinelOne) -> None:
    """The cursor is followed to its end, and one host comes once."""
    fake.lists(AGENTS, [agent()], [agent(id="1" * 18)])
    assert len(await console.find_hosts("ws-001")) == 2
    assert [each.url.params.get("cursor") for each in fake.requests] == [None, "page-1"]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("connected", "normal"),
        ("disconnecting", "isolating"),
        ("disconnected", "isolated"),
        ("connecting", "releasing"),
    ],
)
async def test_isolation_follows_the_network_status(
    fake: Any, console: SentinelOne, host: Host, status: str, state: str
) -> None:
    """The console's four statuses are the four states."""
    fake.lists(AGENTS, [agent(networkStatus=status)])
    assert (await console.isolation_of(host)).state == state
    assert dict(fake.requests[0].url.params) == {"ids": AGENT_ID, "limit": "1000"}


async def test_an_unknown_status_is_no_state(fake: Any, console: SentinelOne, host: Host) -> None:
    """A status that is not known is neither normal nor isolated."""
    fake.lists(AGENTS, [agent(networkStatus=None)])
    with pytest.raises(Invalid, match="None"):
        await console.isolation_of(host)


async def test_a_missing_agent_is_not_found(fake: Any, console: SentinelOne, host: Host) -> None:
    """An empty list, or another agent, means that there is none."""
    fake.lists(AGENTS, [agent(id="1" * 18)])
    with pytest.raises(NotFound, match=AGENT_ID):
        await console.isolation_of(host)
    with pytest.raises(NotFound):
        await console.isolation_of(Host(connector="s1", id="7", name="x"))


async def test_a_read_may_not_isolate(console: SentinelOne, host: Host) -> None:
    """Outside of an intended change the action is refused before anything leaves."""
    with through(Door("live", Effect.READ, "edr.find_hosts")), pytest.raises(RouteRefused):
        await console.isolate_host(host, "")


async def test_threats_are_alerts(fake: Any, console: SentinelOne) -> None:
    """How sure SentinelOne is, and of what kind, makes the severity; the rest is as the console has it."""
    fake.lists(
        THREATS,
        [
            threat(
                1, classification="Ransomware", sha256="a" * 64, processUser="CORP\\jo", incidentStatus="unresolved"
            ),
            threat(2),
            threat(3, confidenceLevel="suspicious"),
            threat(4, confidenceLevel="n/a"),
        ],
    )
    alerts = await console.list_alerts(since_s=60)
    assert [each.severity for each in alerts] == ["critical", "high", "medium", "low"]
    first = alerts[0]
    assert (first.title, first.status, first.user_name) == ("Ransomware: evil.exe", "unresolved", "CORP\\jo")
    assert (first.host_id, first.host_name, first.technique) == (AGENT_ID, "WS-001", "T1486")
    params = dict(fake.requests[0].url.params)
    assert params.pop("createdAt__gte").endswith("Z")
    assert params == {"sortBy": "createdAt", "sortOrder": "desc", "limit": "1000"}
    assert len(await console.list_alerts(severity="high")) == 2


@pytest.mark.parametrize(("unseen", "found"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
async def test_an_address_is_that_of_an_agent_active_today(
    fake: Any, console: SentinelOne, unseen: timedelta, found: bool
) -> None:
    """After that another host may have it; a name and an ID stay their host's, however long it was away."""
    seen = (datetime.now(UTC) - unseen).isoformat()
    fake.lists(AGENTS, [agent(networkInterfaces=[{"inet": ["10.0.0.7"]}], lastActiveDate=seen)])
    assert len(await console.find_hosts("10.0.0.7")) == found
    assert len(await console.find_hosts("ws-001")) == 1


@pytest.mark.parametrize("record", [{"computerName": "ws-001"}, agent(networkInterfaces=3), agent(lastActiveDate="x")])
async def test_a_record_of_another_form_is_invalid(fake: Any, console: SentinelOne, record: dict[str, Any]) -> None:
    """A record that cannot be read fails the lookup; it is not left out."""
    fake.lists(AGENTS, [record])
    with pytest.raises(Invalid, match="unexpected form"):
        await console.find_hosts("ws-001")


async def test_a_list_without_pagination_is_no_list(fake: Any, console: SentinelOne) -> None:
    """Without it nobody knows whether that was all."""
    fake.on("GET", AGENTS, httpx.Response(200, json={"data": []}))
    with pytest.raises(Invalid):
        await console.find_hosts("ws-001")
