"""Endpoints, isolation and alerts: what is asked and sent, what becomes of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Invalid, NotFound, RouteRefused
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sophos import Sophos

ENDPOINTS = "/endpoint/v1/endpoints"
ISOLATION = f"{ENDPOINTS}/isolation"
ALERTS = "/common/v1/alerts"
ENDPOINT, OTHER = "3fa85f64-5717-4562-b3fc-2c963f66afa6", "9d5d6819-0238-43e6-ba03-815cae0d474d"


def endpoint(**more: Any) -> dict[str, Any]:
    isolation = {"status": "notIsolated", "adminIsolated": False, "selfIsolated": False}
    return {"id": ENDPOINT, "hostname": "WS-001", "isolation": isolation, **more}


def alert(number: int, **more: Any) -> dict[str, Any]:
    given = {"severity": "high", "raisedAt": "2026-11-22T01:02:03.780Z", "description": "Malware: evil.exe"}
    return {"id": f"alert-{number}", **given, **more}


async def test_a_name_is_asked_for_in_part_and_compared_in_full(fake: Any, central: Sophos) -> None:
    """Names that only contain it are other hosts; those of another case are the same."""
    fake.lists(ENDPOINTS, [endpoint(), endpoint(id=OTHER, hostname="WS-0010")])
    assert [each.id for each in await central.find_hosts("ws-001")] == [ENDPOINT]
    assert dict(fake.requests[-1].url.params) == {"hostnameContains": "ws-001", "view": "full", "pageSize": "500"}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("10.0.0.7", [("ipAddresses", "10.0.0.7")]),
        ("FE80:0::1", [("ipAddresses", "fe80::1")]),
        (ENDPOINT.upper(), [("hostnameContains", ENDPOINT.upper()), ("ids", ENDPOINT)]),
        (f"{ENDPOINT},{OTHER}", [("hostnameContains", f"{ENDPOINT},{OTHER}")]),
        ("x' or 'x'='x", [("hostnameContains", "x' or 'x'='x")]),
        ("a&view=basic", [("hostnameContains", "a&view=basic")]),
    ],
)
async def test_each_kind_of_name_has_its_parameter(
    fake: Any, central: Sophos, name: str, params: list[tuple[str, str]]
) -> None:
    """Addresses and IDs are asked for as such; nothing in a name becomes another parameter."""
    fake.lists(ENDPOINTS, [endpoint(hostname="other", id=OTHER)])
    assert await central.find_hosts(name) == []
    assert [each.url.params.multi_items()[0] for each in fake.data_requests] == params


@pytest.mark.parametrize("name", ["", " ", "x" * 256])
async def test_what_is_no_name_is_not_asked_for(fake: Any, central: Sophos, name: str) -> None:
    """It would match every endpoint."""
    with pytest.raises(Invalid, match="no name"):
        await central.find_hosts(name)
    assert fake.requests == []


async def test_a_host_has_what_guardrails_need(fake: Any, central: Sophos) -> None:
    """Addresses of both kinds, tags, group by name and ID, the usual form of a MAC."""
    record = endpoint(
        os={"platform": "windows", "name": "Windows 11 Pro"},
        ipv4Addresses=["10.0.0.7"],
        ipv6Addresses=["fe80::1"],
        macAddresses=["02-AB-00-00-00-01"],
        tags=[{"name": "crown-jewel"}, "dc"],
        group={"id": OTHER, "name": "Servers"},
        lastSeenAt=datetime.now(UTC).isoformat(),
    )
    fake.lists(ENDPOINTS, [record])
    (host,) = await central.find_hosts("10.0.0.7")
    assert (host.connector, host.name, host.os, host.mac) == ("sophos", "WS-001", "Windows 11 Pro", "02:ab:00:00:00:01")
    assert host.ips == ("10.0.0.7", "fe80::1")
    assert host.tags == ("crown-jewel", "dc")
    assert host.groups == ("Servers", OTHER)
    assert host.last_seen is not None


@pytest.mark.parametrize(("unseen", "found"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
async def test_an_address_is_that_of_a_host_seen_today(
    fake: Any, central: Sophos, unseen: timedelta, found: bool
) -> None:
    """After that another host may have it; a name and an ID stay their host's, however long it was away."""
    seen = (datetime.now(UTC) - unseen).isoformat()
    fake.lists(ENDPOINTS, [endpoint(ipv4Addresses=["10.0.0.7"], lastSeenAt=seen)])
    assert len(await central.find_hosts("10.0.0.7")) == found
    for name in ("ws-001", ENDPOINT):
        assert [each.id for each in await central.find_hosts(name)] == [ENDPOINT]


async def test_an_endpoint_that_does_not_say_when_it_was_seen_is_found(fake: Any, central: Sophos) -> None:
    """Two answers are better than the wrong one."""
    fake.lists(ENDPOINTS, [endpoint(ipv4Addresses=["10.0.0.7"])])
    assert len(await central.find_hosts("10.0.0.7")) == 1


async def test_all_pages_are_read(fake: Any, central: Sophos) -> None:
    """The key is followed to its end."""
    fake.lists(ENDPOINTS, [endpoint()], [endpoint(id=OTHER)])
    assert len(await central.find_hosts("ws-001")) == 2
    assert [each.url.params.get("pageFromKey") for each in fake.data_requests] == [None, "key-1"]


@pytest.mark.parametrize(
    ("status", "by_admin", "by_itself", "state"),
    [
        ("notIsolated", False, False, "normal"),
        ("notIsolated", True, False, "isolating"),
        ("isolated", True, False, "isolated"),
        ("isolated", True, True, "isolated"),
        ("isolated", False, True, "releasing"),
        ("isolated", False, False, "releasing"),
    ],
)
async def test_isolation_is_what_is_beside_what_is_wanted(
    fake: Any, central: Sophos, host: Host, status: str, by_admin: bool, by_itself: bool, state: str
) -> None:
    """Only what is isolated because an administrator wants it counts: what isolated itself ends that by itself."""
    isolation = {"status": status, "adminIsolated": by_admin, "selfIsolated": by_itself}
    fake.on("GET", f"{ENDPOINTS}/{ENDPOINT}", httpx.Response(200, json=endpoint(isolation=isolation)))
    assert (await central.isolation_of(host)).state == state
    assert dict(fake.requests[-1].url.params) == {"view": "full"}


@pytest.mark.parametrize(
    "record",
    [endpoint(isolation=None), endpoint(isolation={"status": "soon"}), endpoint(isolation={}), endpoint(id=OTHER)],
)
async def test_an_unknown_isolation_is_no_state(fake: Any, central: Sophos, host: Host, record: dict[str, Any]) -> None:
    """A status that is missing or not known, or another endpoint's, is neither normal nor isolated."""
    fake.on("GET", f"{ENDPOINTS}/{ENDPOINT}", httpx.Response(200, json=record))
    with pytest.raises(Invalid):
        await central.isolation_of(host)


async def test_a_missing_endpoint_is_not_found(fake: Any, central: Sophos, host: Host) -> None:
    """Sophos's 404 about an endpoint says so; a 404 of something else does not."""
    path = f"{ENDPOINTS}/{ENDPOINT}"
    fake.on("GET", path, httpx.Response(404, json={"error": "ResourceNotFound", "message": "no"}))
    with pytest.raises(NotFound, match="ResourceNotFound"):
        await central.isolation_of(host)
    fake.on("GET", path, httpx.Response(404, html="<html>nginx</html>"))
    with pytest.raises(Invalid, match="check region"):
        await central.isolation_of(host)
    fake.on("GET", ENDPOINTS, httpx.Response(404, json={"error": "ResourceNotFound", "message": "no"}))
    with pytest.raises(Invalid, match="check region"):
        await central.find_hosts("x")


@pytest.mark.parametrize(("verb", "enabled"), [("isolate_host", True), ("release_host", False)])
async def test_isolation_names_one_endpoint(
    fake: Any, central: Sophos, host: Host, live: Door, plan: Door, verb: str, enabled: bool
) -> None:
    """The body is exactly this, in a plan as in earnest; a plan sends nothing."""
    fake.on("POST", ISOLATION, httpx.Response(202, json={"items": [{}]}))
    with through(plan):
        await getattr(central, verb)(host, "incident 7")
    assert fake.changes == []
    with through(live):
        assert await getattr(central, verb)(host, "incident 7") is None
    wanted = {"enabled": enabled, "ids": [ENDPOINT], "comment": "incident 7"}
    assert fake.bodies("POST", ISOLATION) == [wanted]
    assert [each.body for each in plan.captured] == [wanted]


async def test_a_comment_is_never_empty_nor_too_long(fake: Any, central: Sophos, host: Host, live: Door) -> None:
    """Without a reason it says who it was; a long reason is cut."""
    fake.on("POST", ISOLATION, httpx.Response(202, json={"items": [{}]}))
    with through(live):
        await central.isolate_host(host, "")
        await central.isolate_host(host, "x" * 999)
    assert [each["comment"] for each in fake.bodies("POST", ISOLATION)] == ["Hikeshi", "x" * 250]


@pytest.mark.parametrize("host_id", ["", "*", "7", f"{ENDPOINT},{OTHER}", f"{ENDPOINT}/../x", "all", f"{ENDPOINT}\n"])
async def test_what_is_no_endpoint_is_not_sent(fake: Any, central: Sophos, live: Door, host_id: str) -> None:
    """An ID of another form isolates nobody, and reads nobody's state."""
    stranger = Host.model_construct(connector="sophos", id=host_id, name="x")
    for verb in (central.isolate_host, central.release_host):
        with through(live), pytest.raises(Invalid, match="nothing was sent"):
            await verb(stranger, "r")
    with pytest.raises(NotFound):
        await central.isolation_of(stranger)
    assert fake.requests == []


async def test_a_read_may_not_isolate(fake: Any, central: Sophos, host: Host) -> None:
    """Outside of an intended change the action is refused before it leaves."""
    with through(Door("live", Effect.READ, "edr.find_hosts")), pytest.raises(RouteRefused):
        await central.isolate_host(host, "r")
    assert fake.changes == []


async def test_alerts_are_as_sophos_has_them(fake: Any, central: Sophos) -> None:
    """The age is asked for, the severity is chosen here, and a time without a zone is UTC."""
    agent, person = {"id": ENDPOINT, "type": "computer", "name": "WS-001"}, {"id": "p", "name": "Jo"}
    fake.lists(
        ALERTS,
        [alert(1, managedAgent=agent, person=person), alert(2, severity="low", raisedAt="2026-11-22T01:02:03.780")],
        [alert(3, severity="medium", managedAgent={"id": "m", "type": "mobile"})],
    )
    first, second, third = await central.list_alerts(since_s=60)
    assert (first.id, first.title, first.severity) == ("alert-1", "Malware: evil.exe", "high")
    assert (first.host_id, first.host_name, first.user_name) == (ENDPOINT, "WS-001", "Jo")
    assert second.at.isoformat() == "2026-11-22T01:02:03.780000+00:00"
    assert third.host_id is None
    params = dict(fake.data_requests[0].url.params)
    assert params.pop("from").endswith("Z")
    assert params == {"sort": "raisedAt:desc", "pageSize": "100"}
    fake.lists(ALERTS, [alert(1), alert(2, severity="medium"), alert(3, severity="low")])
    assert [each.id for each in await central.list_alerts(severity="medium")] == ["alert-1", "alert-2"]
    assert await central.list_alerts(severity="critical") == []


@pytest.mark.parametrize("item", [alert(1, severity="odd"), alert(1, raisedAt="soon"), {"severity": "low"}])
async def test_an_alert_of_another_form_is_invalid(fake: Any, central: Sophos, item: dict[str, Any]) -> None:
    """An alert that cannot be read fails the list; it is not left out."""
    fake.lists(ALERTS, [item])
    with pytest.raises(Invalid):
        await central.list_alerts()


@pytest.mark.parametrize("body", [{"items": []}, {"pages": {}}, {"items": 3, "pages": {}}, {"items": [3], "pages": {}}])
async def test_a_list_of_another_form_is_invalid(fake: Any, central: Sophos, body: dict[str, Any]) -> None:
    """Without its pages nobody knows whether that was all."""
    fake.on("GET", ENDPOINTS, httpx.Response(200, json=body))
    with pytest.raises(Invalid):
        await central.find_hosts("ws-001")


@pytest.mark.parametrize("record", [{"hostname": "ws-001"}, endpoint(macAddresses=3), endpoint(lastSeenAt="x")])
async def test_a_record_of_another_form_is_invalid(fake: Any, central: Sophos, record: dict[str, Any]) -> None:
    """A record that cannot be read fails the lookup; it is not left out."""
    fake.lists(ENDPOINTS, [record])
    with pytest.raises(Invalid, match="unexpected form"):
        await central.find_hosts("ws-001")
