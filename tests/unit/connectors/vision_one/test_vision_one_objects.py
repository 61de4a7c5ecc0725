"""Hash blocks, searches and alerts."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, Forbidden, Invalid, PartialFailure, Unavailable
from hikeshi.connector.door import CaptureEnded, Door, through

OBJECTS, DELETE = "/threatintel/suspiciousObjects", "/threatintel/suspiciousObjects/delete"
ACTIVITIES, ALERTS = "/search/endpointActivities", "/workbench/alerts"
A, B = "a" * 64, "b" * 64
GUID = "72436165-b5a5-471a-9389-0bdc3647bc33"


def sha(value: str) -> Indicator:
    return Indicator(kind="sha256", value=value)


def listed(value: str = A, **more: Any) -> dict[str, Any]:
    return {"type": "fileSha256", "fileSha256": value.upper(), "scanAction": "block", "inExceptionList": False, **more}


@pytest.mark.parametrize(
    ("found", "blocked"),
    [
        (listed(), True),
        (listed(expiredDateTime="2099-01-01T00:00:00Z"), True),
        (listed(scanAction="log"), False),
        (listed(inExceptionList=True), False),
        ({"type": "fileSha1", "fileSha1": A}, False),
        (listed(B), False),
    ],
)
async def test_what_counts_as_a_block(fake, vision_one, found, blocked):
    """An object that blocks and is not let through by an exception."""
    fake.lists(OBJECTS, [found])
    (block,) = await vision_one.hash_blocks_of([sha(A)])
    assert block.blocked is blocked
    assert (block.expires_at is not None) == ("expiredDateTime" in found)
    assert fake.requests[0].headers["tmv1-filter"] == f"fileSha256 eq '{A}'"


@pytest.mark.parametrize(
    ("expires_in_s", "days"),
    [(None, -1), (60, 1), (8 * 3600, 1), (86_400, 1), (86_401, 2), (364 * 86_400 + 1, 365), (365 * 86_400, 365)],
)
async def test_hashes_are_blocked_for_whole_days(fake, vision_one, live, expires_in_s, days):
    """Never for less than was asked for; the engine lifts the rest earlier."""
    fake.lists(OBJECTS, [])
    fake.multi(OBJECTS, {"status": 201}, {"status": 201})
    hashes = [sha(A.upper()), Indicator(kind="sha1", value="c" * 40)]
    await live(vision_one.block_hashes(hashes, "case 7", expires_in_s))
    common = {"description": "case 7", "scanAction": "block", "riskLevel": "high", "daysToExpiration": days}
    assert fake.changes == [(OBJECTS, [{"fileSha256": A, **common}, {"fileSha1": "c" * 40, **common}])]


async def test_longer_than_a_year_is_refused(fake, vision_one, live):
    """Cut to a year it would end while somebody relies on it."""
    with pytest.raises(Invalid, match="365 days at most, not for 366; nothing was sent"):
        await live(vision_one.block_hashes([sha(A)], "r", 365 * 86_400 + 1))
    assert fake.requests == []


async def test_somebodys_object_is_not_overwritten(fake, vision_one, live):
    """It is left alone and reported, and the others are blocked."""
    fake.lists(OBJECTS, [listed(scanAction="log")])
    fake.multi(OBJECTS, {"status": 201})
    with pytest.raises(PartialFailure) as caught:
        await live(vision_one.block_hashes([sha(A), sha(B)], "r"))
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Conflict}
    assert [each["fileSha256"] for each in fake.changes[0][1]] == [B]


async def test_each_entry_of_a_207_is_judged(fake, vision_one, live):
    """By its place: entries come in the order in which they were sent."""
    fake.lists(OBJECTS, [])
    refused = {"status": 403, "body": {"error": {"code": "AccessDenied", "message": "no"}}}
    fake.multi(OBJECTS, {"status": 201}, refused, {"status": 500})
    with pytest.raises(PartialFailure) as caught:
        await live(vision_one.block_hashes([sha(A), sha(B), sha("c" * 64)], "r"))
    kinds = {value: type(error) for value, error in caught.value.failures.items()}
    assert kinds == {B: Forbidden, "c" * 64: Unavailable}


async def test_an_answer_for_fewer_entries_says_nothing(fake, vision_one, live):
    """Nobody knows then which of them was accepted."""
    fake.lists(OBJECTS, [])
    fake.multi(OBJECTS, {"status": 201})
    with pytest.raises(Invalid, match="each of 2 entries"):
        await live(vision_one.block_hashes([sha(A), sha(B)], "r"))


async def test_many_hashes_go_in_lots(fake, vision_one, live):
    """500 at a time; if a later request fails, its hashes are named with its error, and a plan shows all."""
    hashes = [sha(f"{n:064x}") for n in range(501)]
    fake.lists(OBJECTS, [])
    accepted = httpx.Response(207, json=[{"status": 201}] * 500)
    fake.on("POST", OBJECTS, accepted, httpx.Response(500, json={"error": {"code": "InternalServerError"}}))
    with pytest.raises(PartialFailure) as caught:
        await live(vision_one.block_hashes(hashes, "r"))
    assert list(caught.value.failures) == [hashes[500].value]
    door = Door(mode="plan", effect=Effect.CHANGE, action="edr.block_hashes")
    with through(door), pytest.raises(CaptureEnded):
        await vision_one.block_hashes(hashes, "r")
    assert (len(door.captured), door.complete) == (2, True)


async def test_objects_are_deleted_by_value(fake, vision_one, live):
    """One without a block, or gone meanwhile, is a conflict."""
    fake.lists(OBJECTS, [listed(), listed("c" * 64)])
    gone = {"status": 404, "body": {"error": {"code": "NotFound", "message": "no"}}}
    fake.multi(DELETE, {"status": 204}, gone)
    with pytest.raises(PartialFailure) as caught:
        await live(vision_one.unblock_hashes([sha(A), sha(B), sha("c" * 64)], "r"))
    assert {value: type(error) for value, error in caught.value.failures.items()} == {B: Conflict, "c" * 64: Conflict}
    assert fake.changes == [(DELETE, [{"fileSha256": A}, {"fileSha256": "c" * 64}])]


def event(**more: Any) -> dict[str, Any]:
    return {
        "endpointGuid": GUID,
        "endpointHostName": "PC-7",
        "endpointIp": ["10.0.0.7"],
        "eventTime": 1633124154241,
        **more,
    }


async def test_an_address_is_searched_in_both_directions(fake, vision_one):
    """As destination or source; the endpoint's own address as a source is no hit."""
    other = event(endpointGuid="b" * 32, src="203.0.113.9", eventTime=1633124154999)
    own = event(endpointGuid="c" * 32, src="203.0.113.9", endpointIp=["203.0.113.9"])
    fake.lists(ACTIVITIES, [event(dst="203.0.113.9", dpt=443)], [other, own, event(dst="203.0.113.99")])
    found = await vision_one.search_connections("203.0.113.9", 60)
    assert [(each.host_id, each.detail) for each in found] == [("b" * 32, None), (GUID, "port 443")]
    first, second = fake.asked("GET", ACTIVITIES)
    query = 'dst:"203.0.113.9" or objectIp:"203.0.113.9" or objectIps:"203.0.113.9" or src:"203.0.113.9"'
    assert first.headers["tmv1-query"] == second.headers["tmv1-query"] == query
    assert set(first.url.params) == {"startDateTime", "endDateTime", "top", "mode"}


async def test_a_domain_and_a_hash_are_searched_in_their_fields(fake, vision_one):
    """Each in the documented fields, compared here without regard to case."""
    fake.lists(ACTIVITIES, [event(hostName="Evil.Example."), event(hostName="not-evil.example")])
    assert len(await vision_one.search_connections("evil.example")) == 1
    fake.lists(ACTIVITIES, [event(objectFileHashSha256=A.upper(), objectFilePath="C:\\x")])
    (found,) = await vision_one.search_hash(A)
    assert (found.kind, found.detail) == ("file", "C:\\x")


async def test_a_search_that_was_not_finished_is_no_evidence(fake, vision_one):
    """The last page says how far the search came."""
    fake.gets(ACTIVITIES, {"items": [], "progressRate": 60})
    with pytest.raises(Invalid, match="not complete"):
        await vision_one.search_hash(A)


@pytest.mark.parametrize("what", ["", "*", 'a" or dst:"b', "evil", "a\nb"])
async def test_what_is_neither_address_nor_hash_is_refused(fake, vision_one, what):
    """Nothing else enters a query."""
    for call in (vision_one.search_connections, vision_one.search_hash):
        with pytest.raises(Invalid):
            await call(what)
    assert fake.requests == []


async def test_alerts_are_asked_for_by_time_and_severity(fake, vision_one):
    """Newest first; the first host, account, hash and technique are named."""
    host = {"entityType": "host", "entityValue": {"guid": GUID, "name": "PC-7", "ips": []}}
    account = {"entityType": "account", "entityValue": "corp\\jo"}
    alert = {
        "id": "WB-1",
        "model": "Credential dumping",
        "severity": "critical",
        "status": "Open",
        "createdDateTime": "2026-01-02T10:00:00Z",
        "impactScope": {"entities": [account, host]},
        "indicators": [{"type": "host", "value": {"guid": GUID}}, {"type": "file_sha256", "value": A.upper()}],
        "matchedRules": [{"matchedFilters": [{"mitreTechniqueIds": ["T1003"]}]}],
    }
    bare = {"id": "WB-0", "severity": "high", "createdDateTime": "2026-01-01T10:00:00Z"}
    fake.lists(ALERTS, [bare, alert])
    first, second = await vision_one.list_alerts(60, "high")
    assert (first.host_id, first.host_name, first.user_name) == (GUID, "PC-7", "corp\\jo")
    assert (first.sha256, first.technique, first.title) == (A, "T1003", "Credential dumping")
    assert (second.title, second.host_id, second.sha256) == ("WB-0", None, None)
    (request,) = fake.requests
    assert request.headers["tmv1-filter"] == "severity eq 'high' or severity eq 'critical'"
    assert request.url.params["orderBy"] == "createdDateTime desc"


async def test_all_alerts_need_no_filter(fake, vision_one):
    """Low is the lowest there is."""
    fake.lists(ALERTS, [])
    assert await vision_one.list_alerts(60, "low") == []
    assert "tmv1-filter" not in fake.requests[0].headers
