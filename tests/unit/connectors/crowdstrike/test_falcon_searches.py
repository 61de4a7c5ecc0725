"""Alerts and event search: filters, pages, polling, and results that may be incomplete."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.connector import Invalid, Timeout, Unavailable
from hikeshi_connectors.crowdstrike import Falcon

ALERTS = "/alerts/combined/alerts/v1"
JOBS = "/humio/api/v1/repositories/search-all/queryjobs"
AID = "0123456789abcdef0123456789abcdef"
HASH = "ab" * 32


def alert(**more: Any) -> dict[str, Any]:
    return {
        "composite_id": "cid:ind:1",
        "created_timestamp": "2026-11-22T01:02:03.5Z",
        "display_name": "PsExec",
        "severity": 70,
        "severity_name": "High",
        **more,
    }


def state(done: bool = True, events: list[Any] | None = None, **more: Any) -> httpx.Response:
    meta = {"pollAfter": 1, "extraData": {"hasMoreEvents": "false"}}
    body = {"done": done, "cancelled": False, "events": events or [], "metaData": meta, "warnings": [], **more}
    return httpx.Response(200, json=body)


async def test_alerts_are_read_to_the_last_page(fake: Any, falcon: Falcon) -> None:
    """The `after` token goes back in the body until there is none."""
    first = {"meta": {"pagination": {"after": "t1"}}, "errors": [], "resources": [alert()]}
    last = {"meta": {"pagination": {}}, "errors": [], "resources": [alert(composite_id="cid:ind:2")]}
    fake.on("POST", ALERTS, httpx.Response(200, json=first), httpx.Response(200, json=last))
    alerts = await falcon.list_alerts(since_s=5400, severity="high")
    assert [each.id for each in alerts] == ["cid:ind:1", "cid:ind:2"]
    bodies = [json.loads(each.content) for each in fake.asked("POST", ALERTS)]
    asked = "created_timestamp:>='now-90m'+severity_name:['High','Critical']"
    assert bodies[0] == {"filter": asked, "limit": 1000, "sort": "created_timestamp|desc"}
    assert bodies[1] == {**bodies[0], "after": "t1"}


async def test_alerts_of_every_severity_are_not_filtered_by_it(fake: Any, falcon: Falcon) -> None:
    """Informational alerts count as low."""
    fake.ok("POST", ALERTS, [alert(severity_name="Informational", severity=10), alert(severity_name="", severity=55)])
    assert [each.severity for each in await falcon.list_alerts(severity="low")] == ["low", "medium"]
    assert json.loads(fake.asked("POST", ALERTS)[0].content)["filter"] == "created_timestamp:>='now-1h'"


async def test_an_alert_keeps_what_the_sensor_said_as_data(fake: Any, falcon: Falcon) -> None:
    """Names chosen by an attacker stay texts."""
    evil = "{{ 7 * 7 }}<script>"
    device = {"device_id": AID, "hostname": evil}
    fake.ok("POST", ALERTS, [alert(device=device, user_name="aiko", sha256=HASH, technique_id="T1569.002")])
    (found,) = await falcon.list_alerts()
    assert (found.host_id, found.host_name, found.user_name) == (AID, evil, "aiko")
    assert (found.title, found.severity, found.technique, found.sha256) == ("PsExec", "high", "T1569.002", HASH)
    assert found.at.isoformat() == "2026-11-22T01:02:03.500000+00:00"


@pytest.mark.parametrize("since_s", [0, -5])
async def test_an_age_is_positive(falcon: Falcon, since_s: int) -> None:
    """A time that has not been yet cannot be asked for."""
    with pytest.raises(Invalid, match="positive"):
        await falcon.list_alerts(since_s=since_s)


async def test_a_search_is_started_polled_and_read(fake: Any, falcon: Falcon) -> None:
    """What is sought travels as an argument; the job is asked about until it is done."""
    row = {"aid": AID, "ComputerName": "ws-1", "last_at": "1700000000000", "times": "3", "RemotePort": "443"}
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1", "hashedQueryOnView": "h"}))
    fake.on("GET", f"{JOBS}/P1", state(done=False), state(events=[row]))
    (found,) = await falcon.search_connections("198.51.100.7", since_s=7200)
    assert (found.kind, found.host_id, found.host_name, found.value) == ("connection", AID, "ws-1", "198.51.100.7")
    assert found.detail == "port 443, 3 times"
    assert found.at.isoformat() == "2023-11-14T22:13:20+00:00"
    body = json.loads(fake.asked("POST", JOBS)[0].content)
    assert body["arguments"] == {"sought": "198.51.100.7"}
    assert body["start"] == "2h"
    assert "198.51.100.7" not in body["queryString"]
    assert "RemoteAddressIP4=?sought" in body["queryString"]
    assert len(fake.asked("GET", f"{JOBS}/P1")) == 2


@pytest.mark.parametrize(
    ("address", "field", "sought"),
    [
        ("2001:DB8::0:1", "RemoteAddressIP6", "2001:db8::1"),
        ("C2.Example.COM.", "asked_name", "c2.example.com"),
    ],
)
async def test_addresses_and_domains_are_normalised(
    fake: Any, falcon: Falcon, address: str, field: str, sought: str
) -> None:
    """One way to write an address is asked for, in the field that holds it."""
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1"}))
    fake.on("GET", f"{JOBS}/P1", state())
    assert await falcon.search_connections(address) == []
    body = json.loads(fake.asked("POST", JOBS)[0].content)
    assert body["arguments"] == {"sought": sought}
    assert f"{field}=?sought" in body["queryString"]


@pytest.mark.parametrize("address", ["*", "a b.example", "x' | drop", "10.0.0.0/8", "", "localhost", "*.example.com"])
async def test_what_is_no_address_is_not_searched(fake: Any, falcon: Falcon, address: str) -> None:
    """Wildcards and networks would find too much, anything else nothing; both are errors."""
    with pytest.raises(Invalid, match="neither"):
        await falcon.search_connections(address)
    assert fake.requests == []


async def test_files_are_searched_by_hash(fake: Any, falcon: Falcon) -> None:
    """The path where it ran or was written is the detail; a host without name is called by its ID."""
    row = {"aid": AID, "last_at": "1700000000000", "times": "1", "TargetFileName": r"C:\x.exe"}
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1"}))
    fake.on("GET", f"{JOBS}/P1", state(events=[row]))
    (found,) = await falcon.search_hash(HASH.upper())
    assert (found.kind, found.host_name, found.value, found.detail) == ("file", AID, HASH, r"C:\x.exe, 1 times")
    assert json.loads(fake.asked("POST", JOBS)[0].content)["arguments"] == {"sought": HASH}


async def test_a_text_that_is_no_hash_is_not_searched(falcon: Falcon) -> None:
    """Only a SHA-256 is sought."""
    with pytest.raises(Invalid, match="SHA-256"):
        await falcon.search_hash("*")


@pytest.mark.parametrize(
    "incomplete",
    [
        {"metaData": {"extraData": {"hasMoreEvents": "true"}}},
        {"warnings": [{"category": "Groups", "code": "x", "message": "groupBy exceeded its limit"}]},
    ],
)
async def test_a_result_that_may_be_incomplete_is_an_error(
    fake: Any, falcon: Falcon, incomplete: dict[str, Any]
) -> None:
    """A part of the hosts must not pass for all of them."""
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1"}))
    fake.on("GET", f"{JOBS}/P1", state(**incomplete))
    with pytest.raises(Invalid, match="incomplete"):
        await falcon.search_hash(HASH)


async def test_a_cancelled_search_is_unavailable(fake: Any, falcon: Falcon) -> None:
    """What was cancelled found nothing out."""
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1"}))
    fake.on("GET", f"{JOBS}/P1", state(cancelled=True))
    with pytest.raises(Unavailable, match="cancelled"):
        await falcon.search_hash(HASH)


async def test_a_search_that_takes_too_long_times_out(fake: Any, make: Callable[..., Falcon]) -> None:
    """The setting says how long is too long."""
    fake.on("POST", JOBS, httpx.Response(200, json={"id": "P1"}))
    fake.on("GET", f"{JOBS}/P1", state(done=False, metaData={"pollAfter": 5000}))
    with pytest.raises(Timeout, match="search_timeout_s"):
        await make(search_timeout_s=1).search_hash(HASH)


async def test_a_search_that_does_not_start_is_invalid(fake: Any, falcon: Falcon) -> None:
    """Without a job there is nothing to wait for, and no empty result."""
    fake.on("POST", JOBS, httpx.Response(200, json={}))
    with pytest.raises(Invalid, match="not started"):
        await falcon.search_hash(HASH)


def test_the_repository_is_a_setting_that_cannot_leave_its_place(make: Callable[..., Falcon]) -> None:
    """A repository is a name, not a path."""
    make(repository="investigate_view")
    for wrong in ("../x", "a/b", "a%2fb", ""):
        with pytest.raises(ValueError, match="repository"):
            make(repository=wrong)
