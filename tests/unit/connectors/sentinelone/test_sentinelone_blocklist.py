"""The blocklist: an entry for each operating system, none overwritten, none deleted that is somebody else's."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Edr, Indicator
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, OutcomeUnknown, PartialFailure, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sentinelone import SentinelOne

PATH = "/web/api/v2.1/restrictions"
A, B, SHA1 = "a" * 64, "b" * 64, "c" * 40
ADDED = httpx.Response(200, json={"data": [{"id": "1" * 18}]})
GONE = httpx.Response(200, json={"data": {"affected": 1}})
SYSTEMS = ("windows", "macos", "linux")


def sha256(value: str) -> Indicator:
    return Indicator(kind="sha256", value=value)


def refusal(status: int, code: int) -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"code": code, "title": "no", "detail": "no"}]})


def record(value: str, system: str, number: int, description: str = "Hikeshi: r") -> dict[str, Any]:
    field = "value" if len(value) == 40 else "sha256Value"
    given = {"id": str(10**17 + number), "type": "black_hash", "osType": system, "description": description}
    return {"value": None, "sha256Value": None, **given, field: value}


def listed(*records: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": list(records), "pagination": {"nextCursor": None}})


def everywhere(value: str, first: int = 1, description: str = "Hikeshi: r") -> list[dict[str, Any]]:
    return [record(value, system, first + number, description) for number, system in enumerate(SYSTEMS)]


def test_only_hashes_that_the_blocklist_takes_are_supported() -> None:
    """MD5 is not among them; every verb of an EDR is there."""
    supported = SentinelOne.supported()
    for verb in ("hash_blocks_of", "block_hashes", "unblock_hashes"):
        assert supported[f"edr.{verb}"] == {"sha1", "sha256"}
    assert set(supported) == {spec.name for spec in Edr.specs() if not spec.marks.one_of}


async def test_a_hash_is_blocked_when_every_system_is(fake: Any, console: SentinelOne) -> None:
    """One answer for each hash, in the order asked; an entry for one system blocks nothing everywhere."""
    fake.lists(PATH, [*everywhere(A.upper()), record(B, "linux", 9, "by hand"), *everywhere(SHA1, 20)])
    blocks = await console.hash_blocks_of([sha256(B), sha256(A), Indicator(kind="sha1", value=SHA1)])
    assert [(each.value, each.blocked, each.expires_at) for each in blocks] == [
        (B, False, None),
        (A, True, None),
        (SHA1, True, None),
    ]
    assert dict(fake.requests[0].url.params) == {
        "tenant": "true",
        "type": "black_hash",
        "value__contains": f"{A},{B},{SHA1}",
        "limit": "1000",
    }


async def test_a_block_is_one_request_for_each_system(fake: Any, console: SentinelOne, live: Door, plan: Door) -> None:
    """The bodies say type, system, hash, reason and scope; a plan shows all of them."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED)
    hashes = [sha256(A.upper()), Indicator(kind="sha1", value=SHA1)]
    with through(plan):
        await console.block_hashes(hashes, "incident 7")
    assert fake.changes == []
    with through(live):
        assert await console.block_hashes(hashes, "incident 7") is None
    assert fake.bodies("POST", PATH) == [
        {
            "data": {"type": "black_hash", "osType": system, field: value, "description": "Hikeshi: incident 7"},
            "filter": {"tenant": True},
        }
        for field, value in (("sha256Value", A), ("value", SHA1))
        for system in SYSTEMS
    ]
    assert [each.body for each in plan.captured] == fake.bodies("POST", PATH)


async def test_one_account_is_a_scope(fake: Any, make: Callable[..., SentinelOne], live: Door) -> None:
    """Its own blocklist is read and written."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED)
    with through(live):
        await make(account_id="3" * 18, os_types=("linux",)).block_hashes([sha256(A)], "r")
    assert fake.requests[0].url.params["accountIds"] == "3" * 18
    assert fake.requests[0].url.params["tenant"] == "false"
    assert fake.bodies("POST", PATH)[0]["filter"] == {"accountIds": ["3" * 18]}


async def test_only_what_is_missing_is_added(fake: Any, console: SentinelOne, live: Door) -> None:
    """What stands there is left alone; a hash that is blocked already is a conflict, the others are blocked."""
    fake.lists(PATH, [*everywhere(A), record(B, "windows", 9, "by hand")])
    fake.on("POST", PATH, ADDED)
    with through(live), pytest.raises(PartialFailure) as caught:
        await console.block_hashes([sha256(A), sha256(B)], "r")
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Conflict}
    assert [each["data"]["osType"] for each in fake.bodies("POST", PATH)] == ["macos", "linux"]


async def test_a_hash_that_is_refused_does_not_hold_up_the_others(fake: Any, console: SentinelOne, live: Door) -> None:
    """What the console says of one hash is about that hash, and what was added for it before is deleted again."""
    fake.on("GET", PATH, listed(), listed(record(A, "windows", 7)))
    fake.on("POST", PATH, ADDED, refusal(400, 4000010), ADDED)
    fake.on("DELETE", PATH, GONE)
    with through(live), pytest.raises(PartialFailure) as caught:
        await console.block_hashes([sha256(A), sha256(B)], "r")
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Invalid}
    assert caught.value.failures[A].applied is Applied.NO
    assert [each.method for each in fake.changes] == ["POST", "POST", "DELETE", "POST", "POST", "POST"]
    assert fake.bodies("DELETE", PATH)[0]["data"]["ids"] == [str(10**17 + 7)]


async def test_a_half_that_cannot_be_taken_back_is_unknown(fake: Any, console: SentinelOne, live: Door) -> None:
    """Both reasons are told, and nothing else is sent."""
    fake.on("GET", PATH, listed(), listed(record(A, "windows", 7)))
    fake.on("POST", PATH, ADDED, refusal(400, 4000010))
    fake.on("DELETE", PATH, refusal(403, 4030010))
    with through(live), pytest.raises(OutcomeUnknown, match=r"4000010.*not taken back.*4030010") as caught:
        await console.block_hashes([sha256(A), sha256(B)], "r")
    assert caught.value.applied is Applied.MAYBE
    assert [each.method for each in fake.changes] == ["POST", "POST", "DELETE"]


async def test_what_is_whole_all_the_same_is_left(fake: Any, console: SentinelOne, live: Door) -> None:
    """The request that failed had its effect, or somebody else blocked the hash there: reading back says so."""
    fake.on("GET", PATH, listed(), listed(*everywhere(A)))
    fake.on("POST", PATH, ADDED, ADDED, refusal(503, 5030010))
    with through(live), pytest.raises(Unavailable):
        await console.block_hashes([sha256(A)], "r")
    assert [each.method for each in fake.changes] == ["POST", "POST", "POST"]


async def test_what_is_not_listed_yet_may_stand(fake: Any, console: SentinelOne, live: Door) -> None:
    """An entry was accepted and is not found to be deleted: that a later one was refused does not undo it."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED, refusal(400, 4000010))
    with through(live), pytest.raises(Invalid) as caught:
        await console.block_hashes([sha256(A)], "r")
    assert caught.value.applied is Applied.MAYBE
    assert [each.method for each in fake.changes] == ["POST", "POST"]


async def test_only_what_was_just_added_is_taken_back(fake: Any, console: SentinelOne, live: Door) -> None:
    """Neither what somebody else entered nor what stood there before."""
    before = record(A, "windows", 1, "by hand")
    fake.on("GET", PATH, listed(before), listed(before, record(A, "macos", 2)))
    fake.on("POST", PATH, ADDED, refusal(503, 5030010))
    fake.on("DELETE", PATH, GONE)
    with through(live), pytest.raises(Unavailable):
        await console.block_hashes([sha256(A)], "r")
    assert fake.bodies("DELETE", PATH)[0]["data"]["ids"] == [str(10**17 + 2)]


async def test_what_may_have_taken_effect_is_not_lost(fake: Any, make: Callable[..., SentinelOne], live: Door) -> None:
    """A web page for an answer: it may be blocked, whatever becomes of the rest, and nothing says that it is not."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, httpx.Response(200, html="<html>proxy</html>"), refusal(403, 4030010))
    with through(live), pytest.raises(Invalid) as caught:
        await make(os_types=("windows",)).block_hashes([sha256(A), sha256(B)], "r")
    assert caught.value.applied is Applied.MAYBE


async def test_the_first_of_several_that_may_have_taken_effect_is_taken_back(
    fake: Any, console: SentinelOne, live: Door
) -> None:
    """The other systems were not asked, so it would be half of a block."""
    fake.on("GET", PATH, listed(), listed(record(A, "windows", 7)))
    fake.on("POST", PATH, refusal(503, 5030010))
    fake.on("DELETE", PATH, GONE)
    with through(live), pytest.raises(Unavailable):
        await console.block_hashes([sha256(A)], "r")
    assert fake.bodies("DELETE", PATH)[0]["data"]["ids"] == [str(10**17 + 7)]


async def test_half_of_a_block_of_ours_is_no_state(fake: Any, console: SentinelOne) -> None:
    """It is neither blocked nor as before; half of a block that somebody else made is not blocked."""
    fake.lists(PATH, [record(A, "windows", 1), record(A, "macos", 2, "by hand")])
    with pytest.raises(Conflict, match=f"for {A} stand for windows, and there are none for linux"):
        await console.hash_blocks_of([sha256(B), sha256(A)])
    fake.lists(PATH, [record(A, "windows", 1, "by hand")])
    assert [each.blocked for each in await console.hash_blocks_of([sha256(A)])] == [False]


async def test_a_failure_ends_the_list_and_names_the_rest(fake: Any, console: SentinelOne, live: Door) -> None:
    """What was accepted before stays accepted; what was not sent did not happen."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED, ADDED, ADDED, refusal(500, 5000010))
    with through(live), pytest.raises(PartialFailure) as caught:
        await console.block_hashes([sha256(A), sha256(B), Indicator(kind="sha1", value=SHA1)], "r")
    failures = caught.value.failures
    assert {value: error.applied for value, error in failures.items()} == {B: Applied.MAYBE, SHA1: Applied.NO}
    assert "not sent" in failures[SHA1].message
    assert len(fake.changes) == 4


async def test_a_first_request_that_fails_is_that_error(fake: Any, console: SentinelOne, live: Door) -> None:
    """Nothing was accepted before, so the error stands for the whole call."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, refusal(403, 4030010))
    with through(live), pytest.raises(Forbidden):
        await console.block_hashes([sha256(A), sha256(B)], "r")
    assert len(fake.changes) == 1


async def test_one_hash_has_one_error(fake: Any, console: SentinelOne, live: Door) -> None:
    """Somebody was quicker on one system: the conflict itself, not a list of one; the other systems are asked."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, refusal(400, 4000030), ADDED)
    with through(live), pytest.raises(Conflict):
        await console.block_hashes([sha256(A)], "r")
    assert [each["data"]["osType"] for each in fake.bodies("POST", PATH)] == list(SYSTEMS)


async def test_unblocking_deletes_by_id(fake: Any, console: SentinelOne, live: Door, plan: Door) -> None:
    """Every entry of each hash, in one request, with the type that keeps it from being an exclusion."""
    fake.lists(PATH, [*everywhere(A, 1), *everywhere(B, 11, "by hand")])
    fake.on("DELETE", PATH, GONE)
    for door in (plan, live):
        with through(door):
            await console.unblock_hashes([sha256(A), sha256(B)], "over")
    ids = [str(10**17 + number) for number in (1, 2, 3, 11, 12, 13)]
    assert fake.bodies("DELETE", PATH) == [{"data": {"ids": ids, "type": "black_hash"}}]
    assert plan.captured[0].body == fake.bodies("DELETE", PATH)[0]


async def test_taking_a_block_back_leaves_what_was_there_before(fake: Any, console: SentinelOne, live: Door) -> None:
    """An entry that somebody had made for one system stays where Hikeshi made the others."""
    mixed = [record(A, "windows", 1, "by hand"), record(A, "macos", 2), record(A, "linux", 3)]
    fake.lists(PATH, mixed)
    fake.on("DELETE", PATH, GONE)
    with through(live):
        await console.unblock_hashes([sha256(A)], "over")
    assert fake.bodies("DELETE", PATH)[0]["data"]["ids"] == [str(10**17 + 2), str(10**17 + 3)]


async def test_nothing_is_deleted_where_nothing_stands(fake: Any, console: SentinelOne, live: Door) -> None:
    """There is no empty deletion."""
    fake.lists(PATH, [record(A, "windows_legacy", 1)])
    with through(live), pytest.raises(Conflict):
        await console.unblock_hashes([sha256(A)], "r")
    assert fake.changes == []
    assert not live.sent


async def test_a_later_deletion_that_fails_names_its_hashes(
    fake: Any, make: Callable[..., SentinelOne], live: Door
) -> None:
    """Five hundred entries fit into a request."""
    many = [f"{number:064x}" for number in range(501)]
    fake.lists(PATH, [record(value, "linux", number) for number, value in enumerate(many)])
    fake.on("DELETE", PATH, GONE, refusal(500, 5000010))
    with through(live), pytest.raises(PartialFailure) as caught:
        await make(os_types=("linux",), requests_per_minute=60_000).unblock_hashes([sha256(each) for each in many], "r")
    assert list(caught.value.failures) == [many[500]]
    assert type(caught.value.failures[many[500]]) is Unavailable


@pytest.mark.parametrize("value", ["", "*", "a,b", f"{A},{B}", "' or 1=1", "z" * 64, A[:-1]])
async def test_what_is_no_hash_is_neither_read_nor_sent(
    fake: Any, console: SentinelOne, live: Door, value: str
) -> None:
    """A part of a hash would match others."""
    for verb in (console.block_hashes, console.unblock_hashes):
        with through(live), pytest.raises(Invalid):
            await verb([sha256(value)], "r")
    with pytest.raises(Invalid):
        await console.hash_blocks_of([sha256(value)])
    assert fake.requests == []
