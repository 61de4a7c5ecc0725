"""Alerts, advanced hunting and the inventory."""

import json
from typing import Any

import httpx
import pytest

from hikeshi.connector import Invalid, RateLimited

HUNT, ALERTS, MACHINES, FILES = "/api/advancedqueries/run", "/api/alerts", "/api/machines", "/api/files"
MACHINE_ID = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"
SHA = "a" * 64
AT = "2026-01-02T14:39:38.2262283Z"


def results(*rows: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"Schema": [], "Results": list(rows)})


def queries(fake: Any) -> list[str]:
    return [json.loads(each.content)["Query"] for each in fake.asked("POST", HUNT)]


def row(**more: Any) -> dict[str, Any]:
    return {"Timestamp": AT, "DeviceId": MACHINE_ID, "DeviceName": "pc-7", "Times": 3, **more}


async def test_an_address_is_searched_in_both_its_forms(fake, defender):
    """Sensors write an IPv4 address of a dual socket in IPv6."""
    fake.on("POST", HUNT, results(row(RemotePort=443, RemoteUrl="")))
    (found,) = await defender.search_connections("203.0.113.9", 60)
    assert (found.value, found.detail, found.host_id) == ("203.0.113.9", "port 443, 3 times", MACHINE_ID)
    assert queries(fake) == [
        "DeviceNetworkEvents | where Timestamp > ago(60s) | where RemoteIP in~ ('203.0.113.9', '::ffff:203.0.113.9')"
        " | summarize arg_max(Timestamp, DeviceName, RemotePort), Times = count() by DeviceId"
    ]


async def test_a_domain_is_the_host_of_a_url_and_not_a_part_of_one(fake, defender):
    """The query narrows down; what the URL's host is, is decided here."""
    urls = ("https://evil.example/a", "evil.example:8443", "https://evil.example.org/", "https://x/?q=evil.example")
    fake.on("POST", HUNT, results(*(row(DeviceId=f"{n:040}", RemoteUrl=url) for n, url in enumerate(urls))))
    assert [each.host_id for each in await defender.search_connections("Evil.Example.")] == [f"{0:040}", f"{1:040}"]
    assert "RemoteUrl contains 'evil.example'" in queries(fake)[0]


@pytest.mark.parametrize("address", ["", "*", "a' or 'x'=='x", "evil", "a\nb", "http://evil.example/"])
async def test_what_is_no_address_is_refused(fake, defender, address):
    """Nothing that is neither an address nor a domain enters a query."""
    with pytest.raises(Invalid, match="neither"):
        await defender.search_connections(address)
    assert fake.requests == []


async def test_a_file_is_searched_by_both_its_hashes(fake, defender):
    """Many events have no SHA-256; Defender knows the SHA-1 of files that it has seen."""
    fake.on("GET", f"{FILES}/{SHA}", httpx.Response(200, json={"sha256": SHA, "sha1": "b" * 40}))
    fake.on("POST", HUNT, results(row(FolderPath="C:\\bad.exe")))
    (found,) = await defender.search_hash(SHA.upper())
    assert (found.value, found.detail) == (SHA, "C:\\bad.exe, 3 times")
    assert f"where SHA256 =~ '{SHA}' or SHA1 =~ '{'b' * 40}' |" in queries(fake)[0]


async def test_a_file_that_defender_does_not_know_is_searched_by_its_sha256(fake, defender):
    """That it is not known is an answer; any other failure is not."""
    unknown = httpx.Response(404, json={"error": {"code": "ResourceNotFound", "message": "no"}})
    fake.on("GET", f"{FILES}/{SHA}", unknown)
    fake.on("POST", HUNT, results())
    assert await defender.search_hash(SHA) == []
    assert "SHA1" not in queries(fake)[0].partition("summarize")[0]


async def test_a_result_that_was_cut_off_is_no_evidence(fake, defender):
    """At the documented limit there may be more."""
    fake.on("POST", HUNT, results(*[{}] * 100_000))
    with pytest.raises(Invalid, match="cut off"):
        await defender.search_connections("203.0.113.9")


async def test_the_quota_of_hunting_says_how_long(fake, defender):
    """429 stands for the number of queries and for their running time alike."""
    answer = httpx.Response(429, json={"error": {"code": "TooManyRequests"}}, headers={"Retry-After": "33"})
    fake.on("POST", HUNT, answer)
    with pytest.raises(RateLimited) as caught:
        await defender.search_connections("203.0.113.9")
    assert caught.value.retry_after_s == 33


async def test_users_carry_their_domain_and_the_latest_comes_first(fake, defender, host):
    """Only sign-ins that succeeded are asked for."""
    fake.on("GET", f"{MACHINES}/{MACHINE_ID}", httpx.Response(200, json={"id": MACHINE_ID}))
    old = {"AccountDomain": "", "AccountName": "root", "LastAt": "2026-01-01T00:00:00Z"}
    new = {"AccountDomain": "corp", "AccountName": "jo", "LastAt": AT}
    fake.on("POST", HUNT, results(old, new, {**old, "AccountName": ""}))
    assert [each.name for each in await defender.users_of_host(host)] == ["corp\\jo", "root"]
    assert "ActionType == 'LogonSuccess'" in queries(fake)[0]


@pytest.mark.parametrize(
    ("severity", "asked"),
    [
        (None, ""),
        ("low", ""),
        ("medium", " and (severity eq 'Medium' or severity eq 'High')"),
        ("high", " and (severity eq 'High')"),
    ],
)
async def test_alerts_are_asked_for_by_time_and_severity(fake, defender, severity, asked):
    """Newest first, with the evidence that holds the hash."""
    alert = {"id": "da1", "title": "Bad", "severity": "High", "alertCreationTime": AT, "machineId": MACHINE_ID}
    more = {
        "evidence": [{"entityType": "User"}, {"entityType": "File", "sha256": SHA}],
        "mitreTechniques": ["T1064"],
        "relatedUser": {"userName": "jo"},
    }
    fake.lists(ALERTS, [{**alert, "id": "da0", "alertCreationTime": "2026-01-01T00:00:00Z"}], [{**alert, **more}])
    first, second = await defender.list_alerts(60, severity)
    assert (first.id, first.sha256, first.technique, first.user_name) == ("da1", SHA, "T1064", "jo")
    assert second.sha256 is None
    params = fake.asked("GET", ALERTS)[0].url.params
    assert params["$expand"] == "evidence"
    assert params["$filter"].startswith("alertCreationTime ge 20")
    assert params["$filter"].partition("Z")[2] == asked


async def test_nothing_at_defender_is_critical(fake, defender):
    """Its highest severity is high, so there is nothing to ask."""
    assert await defender.list_alerts(60, "critical") == []
    assert fake.requests == []


async def test_software_is_found_in_the_inventorys_spelling(fake, defender):
    """Spaces are underscores there; versions are compared whole; exposure comes from the device's own table."""
    fake.on(
        "POST",
        HUNT,
        results({"DeviceId": MACHINE_ID}),
        results({"DeviceId": MACHINE_ID, "IsInternetFacing": 1}),
        results({"DeviceId": MACHINE_ID, "SoftwareName": "http_server", "SoftwareVersion": "2.4"}),
    )
    machine = {"id": MACHINE_ID, "computerDnsName": "pc-7", "onboardingStatus": "Onboarded", "deviceValue": "High"}
    fake.lists(MACHINES, [machine])
    (found,) = await defender.search_assets("HTTP Server", ["2.4"], exposed=True)
    assert (found.exposed, found.has_edr, found.criticality) == (True, True, "high")
    assert [(each.name, each.version) for each in found.software] == [("http_server", "2.4")]
    assert queries(fake)[0] == (
        "DeviceTvmSoftwareInventory | where SoftwareName in~ ('http server', 'http_server')"
        " | where SoftwareVersion in~ ('2.4') | distinct DeviceId"
    )


async def test_what_the_inventory_does_not_say_is_unknown(fake, defender):
    """A device without a row is neither exposed nor hidden, and asked for as hidden it is not given."""
    fake.on("POST", HUNT, results({"DeviceId": MACHINE_ID}), results(), results())
    fake.lists(MACHINES, [{"id": MACHINE_ID, "onboardingStatus": "InsufficientInfo"}])
    assert await defender.search_assets("x", exposed=False) == []
    fake.on("POST", HUNT, results())
    fake.lists(MACHINES, [{"id": MACHINE_ID, "computerDnsName": "pc-7", "onboardingStatus": "CanBeOnboarded"}])
    (found,) = await defender.find_assets("pc-7")
    assert (found.exposed, found.has_edr, found.software) == (None, False, ())


@pytest.mark.parametrize("software", ["a') or true", "a\\", 'a"', "</entry>"])
async def test_a_software_name_stays_a_literal(fake, defender, software):
    """Quotes and backslashes are escaped; the name is compared as a whole."""
    fake.on("POST", HUNT, results())
    assert await defender.search_assets(software) == []
    escaped = software.replace("\\", "\\\\").replace("'", "\\'")
    assert f"('{escaped}'" in queries(fake)[0]
