"""Hosts: how they are asked for, compared, paged, and what their status means."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Conflict, Invalid, NotFound, RouteRefused
from hikeshi.connector.door import Door, through
from hikeshi_connectors.crowdstrike import Falcon

DEVICES = "/devices/combined/devices/v1"
DEVICE = "/devices/entities/devices/v2"
ACTIONS = "/devices/entities/devices-actions/v2"
LOGINS = "/devices/combined/devices/login-history/v2"
AID = "0123456789abcdef0123456789abcdef"


def device(aid: str = AID, name: str = "ws-001", ip: str = "10.0.0.7", **more: Any) -> dict[str, Any]:
    return {"device_id": aid, "hostname": name, "local_ip": ip, **more}


async def test_find_hosts_asks_for_the_name_and_keeps_exact_matches(fake: Any, falcon: Falcon) -> None:
    """Falcon's comparison also finds longer names; only the same name, in any case, is returned."""
    fake.ok("GET", DEVICES, [device("a" * 32, "WS-001"), device("b" * 32, "ws-0015"), device("c" * 32, "ws-001")])
    hosts = await falcon.find_hosts("ws-001")
    assert [each.id for each in hosts] == ["a" * 32, "c" * 32]
    (asked,) = fake.asked("GET", DEVICES)
    assert asked.url.params["filter"] == "hostname:'ws-001'"
    assert asked.url.params["limit"] == "1000"
    assert asked.headers["authorization"] == "Bearer unit-test-access-token"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (AID.upper(), f"device_id:'{AID}',hostname:'{AID.upper()}'"),
        ("10.0.0.7", "local_ip:'10.0.0.7',connection_ip:'10.0.0.7'"),
        ("2001:DB8::0:1", "local_ip:'2001:db8::1',connection_ip:'2001:db8::1'"),
    ],
)
async def test_ids_and_addresses_are_asked_for_as_such(fake: Any, falcon: Falcon, name: str, asked: str) -> None:
    """What has the form of an agent ID or an address is looked up in those fields."""
    fake.ok("GET", DEVICES, [device(), device("b" * 32, "other", "10.0.0.77"), device("c" * 32, "v6", "2001:db8::1")])
    hosts = await falcon.find_hosts(name)
    assert fake.asked("GET", DEVICES)[0].url.params["filter"] == asked
    assert len(hosts) == 1


async def test_an_address_names_no_host_that_is_long_gone(fake: Any, falcon: Falcon) -> None:
    """The network has lent it to another computer since; by its name the host is still found."""
    gone = {**device(), "last_seen": "2025-01-01T00:00:00Z"}
    fake.ok("GET", DEVICES, [gone])

    assert await falcon.find_hosts(gone["local_ip"]) == []
    assert [host.id for host in await falcon.find_hosts(gone["hostname"])] == [gone["device_id"]]


@pytest.mark.parametrize("name", ["a' or 'x'='x", "a'+status:'normal", "a*", 'a"', "a</entry>", "a\\", "a,b", "a]"])
async def test_a_name_cannot_leave_its_quotes(fake: Any, falcon: Falcon, name: str) -> None:
    """Only the plain beginning of a name is put into the filter; the rest is compared here."""
    fake.ok("GET", DEVICES, [device("a" * 32, "a"), device("b" * 32, "abc"), device("c" * 32, name)])
    hosts = await falcon.find_hosts(name)
    assert fake.asked("GET", DEVICES)[0].url.params["filter"] == "hostname:'a'"
    assert [each.name for each in hosts] == [name]


@pytest.mark.parametrize("name", ["*", '"', "'", "", "</entry>", "\\"])
async def test_a_name_that_cannot_be_asked_for_is_an_error(fake: Any, falcon: Falcon, name: str) -> None:
    """Not being able to ask is not the same as knowing no such host, and never a list of all."""
    with pytest.raises(Invalid, match="agent ID"):
        await falcon.find_hosts(name)
    assert fake.requests == []


async def test_find_hosts_reads_every_page(fake: Any, falcon: Falcon) -> None:
    """The token `next` of an answer is the offset of the next question."""
    first = {"meta": {"pagination": {"next": "abc", "total": 2}}, "errors": [], "resources": [device("a" * 32)]}
    last = {"meta": {"pagination": {"next": "", "total": 2}}, "errors": [], "resources": [device("b" * 32)]}
    fake.on("GET", DEVICES, httpx.Response(200, json=first), httpx.Response(200, json=last))
    assert len(await falcon.find_hosts("ws-001")) == 2
    assert [each.url.params.get("offset") for each in fake.asked("GET", DEVICES)] == [None, "abc"]


async def test_a_device_becomes_a_host(fake: Any, falcon: Falcon) -> None:
    """Fields are mapped; grouping tags can be named in full and in short; the external IP is nobody's own."""
    record = device(
        connection_ip="10.0.0.8",
        external_ip="203.0.113.1",
        mac_address="02-AB-00-00-00-01",
        platform_name="Windows",
        os_version="Windows 11",
        site_name="HQ",
        tags=["FalconGroupingTags/crown-jewel", "plain"],
        groups=["g1"],
        last_seen="2026-11-22T01:02:03Z",
    )
    fake.ok("GET", DEVICES, [record])
    (host,) = await falcon.find_hosts("ws-001")
    assert host.connector == "falcon"
    assert host.ips == ("10.0.0.7", "10.0.0.8")
    assert host.mac == "02:ab:00:00:00:01"
    assert (host.os, host.site, host.groups) == ("Windows 11", "HQ", ("g1",))
    assert host.tags == ("FalconGroupingTags/crown-jewel", "crown-jewel", "plain")
    assert host.last_seen is not None
    assert host.last_seen.isoformat() == "2026-11-22T01:02:03+00:00"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("normal", "normal"),
        ("containment_pending", "isolating"),
        ("contained", "isolated"),
        ("lift_containment_pending", "releasing"),
    ],
)
async def test_isolation_follows_the_device_status(
    fake: Any, falcon: Falcon, host: Host, status: str, state: str
) -> None:
    """Falcon's four statuses are the four states."""
    fake.ok("POST", DEVICE, [device(status=status)])
    assert (await falcon.isolation_of(host)).state == state
    assert fake.asked("POST", DEVICE)[0].content == b'{"ids":["' + AID.encode() + b'"]}'


async def test_an_unknown_status_is_no_state(fake: Any, falcon: Falcon, host: Host) -> None:
    """A status that is not known is neither normal nor isolated."""
    fake.ok("POST", DEVICE, [device(status="quarantined")])
    with pytest.raises(Invalid, match="quarantined"):
        await falcon.isolation_of(host)


async def test_a_missing_device_is_not_found(fake: Any, falcon: Falcon, host: Host) -> None:
    """A success without the device means that Falcon has none."""
    fake.ok("POST", DEVICE, [])
    with pytest.raises(NotFound, match=AID):
        await falcon.isolation_of(host)


@pytest.mark.parametrize(("verb", "action"), [("isolate_host", "contain"), ("release_host", "lift_containment")])
async def test_containment_is_one_request(
    fake: Any, falcon: Falcon, host: Host, live: Door, verb: str, action: str
) -> None:
    """The action stands in the query, the agent ID in the body; nothing is returned."""
    fake.ok("POST", ACTIONS, [{"id": AID, "path": "/devices/entities/devices/v1"}], status=202)
    with through(live):
        assert await getattr(falcon, verb)(host, "incident 7") is None
    (asked,) = fake.asked("POST", ACTIONS)
    assert str(asked.url) == f"https://api.crowdstrike.com{ACTIONS}?action_name={action}"
    assert asked.content == b'{"ids":["' + AID.encode() + b'"]}'


async def test_a_plan_captures_containment_whole(fake: Any, falcon: Falcon, host: Host, plan: Door) -> None:
    """In a plan nothing leaves; what would be sent is known completely."""
    with through(plan):
        await falcon.isolate_host(host, "incident 7")
    assert [(each.method, each.body) for each in plan.captured] == [("POST", {"ids": [AID]})]
    assert fake.requests == []


async def test_a_read_may_not_contain(falcon: Falcon, host: Host) -> None:
    """Outside of an intended change the action route is refused before anything leaves."""
    with through(Door("live", Effect.READ, "edr.find_hosts")), pytest.raises(RouteRefused):
        await falcon.isolate_host(host, "")


async def test_errors_beside_202_count(fake: Any, falcon: Falcon, host: Host, live: Door) -> None:
    """An accepted status with an error in the list is that error."""
    body = {"meta": {}, "resources": [], "errors": [{"code": 409, "message": "already contained", "id": AID}]}
    fake.on("POST", ACTIONS, httpx.Response(202, json=body))
    with through(live), pytest.raises(Conflict, match="already contained"):
        await falcon.isolate_host(host, "")


async def test_users_of_host_gives_each_account_once(fake: Any, falcon: Falcon, host: Host) -> None:
    """The latest sign-in of each account, newest first."""
    logins = [
        {"user_name": "aiko", "login_time": "2026-11-20T00:00:00Z"},
        {"user_name": "ren", "login_time": "2026-11-21T00:00:00Z"},
        {"user_name": "aiko", "login_time": "2026-11-22T00:00:00Z"},
    ]
    fake.ok("POST", LOGINS, [{"device_id": AID, "recent_logins": logins}])
    users = await falcon.users_of_host(host, since_s=3 * 86400)
    assert [each.name for each in users] == ["aiko", "ren"]
    (asked,) = fake.asked("POST", LOGINS)
    assert dict(asked.url.params) == {"from": "now-3d", "limit": "100"}


async def test_users_of_host_goes_on_behind_a_full_answer(fake: Any, falcon: Falcon, host: Host) -> None:
    """A hundred sign-ins may be a part, so earlier ones are asked for until fewer come."""
    full = [{"user_name": "ren", "login_time": f"2026-11-22T{n // 60:02}:{n % 60:02}:00Z"} for n in range(100)]
    rest = [{"user_name": "aiko", "login_time": "2026-11-21T00:00:00Z"}]
    pages = [[{"device_id": AID, "recent_logins": each}] for each in (full, rest)]
    fake.ok("POST", LOGINS, *pages)
    assert [each.name for each in await falcon.users_of_host(host)] == ["ren", "aiko"]
    assert [each.url.params.get("to") for each in fake.asked("POST", LOGINS)] == [None, "2026-11-22T00:00:00Z"]


async def test_users_of_host_does_not_ask_the_same_forever(fake: Any, falcon: Falcon, host: Host) -> None:
    """More sign-ins at one moment than fit into an answer are an error, not a loop and not a part."""
    same = [{"user_name": f"u{n}", "login_time": "2026-11-22T00:00:00Z"} for n in range(100)]
    fake.ok("POST", LOGINS, [{"device_id": AID, "recent_logins": same}])
    with pytest.raises(Invalid, match="sign-ins"):
        await falcon.users_of_host(host)


async def test_the_region_says_the_address(fake: Any, make: Callable[..., Falcon]) -> None:
    """Each region has its address, which base_url overrides."""
    fake.ok("GET", DEVICES, [])
    await make(region="eu-1").find_hosts("x")
    assert {each.url.host for each in fake.requests} == {"api.eu-1.crowdstrike.com"}
