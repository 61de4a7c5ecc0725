"""Hash blocks: what is sent, what is left alone, and what single entries come to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, Invalid, PartialFailure, Unavailable
from hikeshi.connector.door import CaptureEnded, Door, through

INDICATORS, IMPORT, DELETE = "/api/indicators", "/api/indicators/import", "/api/indicators/BatchDelete"
A, B = "a" * 64, "b" * 64


def sha(value: str) -> Indicator:
    return Indicator(kind="sha256", value=value)


def record(value: str = A, action: str = "Block", **more: Any) -> dict[str, Any]:
    return {"id": "995", "indicatorValue": value, "indicatorType": "FileSha256", "action": action, **more}


def imported(*failed: str) -> httpx.Response:
    results = [{"indicator": value, "isFailed": True, "failureReason": "too many"} for value in failed]
    return httpx.Response(200, json={"value": results})


@pytest.mark.parametrize(
    ("found", "blocked"),
    [
        (record(), True),
        (record(action="BlockAndRemediate"), True),
        (record(action="AlertAndBlock"), True),
        (record(action="Allowed"), False),
        (record(action="Audit"), False),
        (record(rbacGroupNames=["Lab"]), False),
        (record(rbacGroupIds=["7"]), False),
        (record(indicatorType="Url"), False),
        (record(expirationTime="2020-01-01T00:00:00Z"), False),
        (record(expirationTime="2099-01-01T00:00:00Z"), True),
    ],
)
async def test_what_counts_as_a_block(fake, defender, found, blocked):
    """An indicator that blocks, on every machine, now; anything else leaves the hash free to run somewhere."""
    fake.lists(INDICATORS, [found])
    (block,) = await defender.hash_blocks_of([sha(A.upper())])
    assert block.blocked is blocked
    assert block.value == A.upper()
    assert (block.expires_at is not None) == (blocked and "expirationTime" in found)
    assert fake.asked("GET", INDICATORS)[0].url.params["$filter"] == f"indicatorValue eq '{A}'"


async def test_hashes_are_blocked_with_an_end(fake, defender, live):
    """One call for the list, in the documented form; the end is set by the product itself."""
    fake.lists(INDICATORS, [])
    fake.on("POST", IMPORT, imported())
    await live(defender.block_hashes([sha(A), Indicator(kind="md5", value="C" * 32)], "case 7", 3600))
    ((path, body),) = fake.changes
    assert path == IMPORT
    first, second = body["Indicators"]
    end = datetime.fromisoformat(first.pop("expirationTime"))
    assert abs(end - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=5)
    assert first == {
        "indicatorValue": A,
        "indicatorType": "FileSha256",
        "action": "Block",
        "title": "Hikeshi: case 7",
        "description": "case 7",
        "application": "hikeshi",
        "severity": "High",
        "generateAlert": True,
        "rbacGroupNames": [],
    }
    assert (second["indicatorType"], second["indicatorValue"]) == ("FileMd5", "c" * 32)


async def test_somebodys_indicator_is_not_overwritten(fake, defender, live):
    """Defender would change it without a word; it is left alone and reported, and the others are blocked."""
    fake.lists(INDICATORS, [record(action="Allowed")])
    fake.on("POST", IMPORT, imported())
    with pytest.raises(PartialFailure) as caught:
        await live(defender.block_hashes([sha(A), sha(B)], "r"))
    assert list(caught.value.failures) == [A]
    assert isinstance(caught.value.failures[A], Conflict)
    assert "Allowed on every machine" in caught.value.failures[A].message
    assert [each["indicatorValue"] for each in fake.changes[0][1]["Indicators"]] == [B]


async def test_entries_refused_in_a_success_are_named(fake, defender, live):
    """A 200 can hold refusals; what it does not name was accepted."""
    fake.lists(INDICATORS, [])
    fake.on("POST", IMPORT, imported(B))
    with pytest.raises(PartialFailure) as caught:
        await live(defender.block_hashes([sha(A), sha(B)], "r"))
    assert {value: type(error) for value, error in caught.value.failures.items()} == {B: Invalid}


async def test_many_hashes_go_in_lots_and_a_failed_lot_does_not_hide_the_first(fake, defender, live):
    """500 at a time; if a later request fails, its hashes are named with its error."""
    hashes = [sha(f"{n:064x}") for n in range(501)]
    fake.lists(INDICATORS, [])
    fake.on("POST", IMPORT, imported(), httpx.Response(500, json={"error": {"code": "InternalServerError"}}))
    with pytest.raises(PartialFailure) as caught:
        await live(defender.block_hashes(hashes, "r"))
    assert [len(body["Indicators"]) for _, body in fake.changes] == [500, 1]
    assert list(caught.value.failures) == [hashes[500].value]
    assert isinstance(caught.value.failures[hashes[500].value], Unavailable)


async def test_a_plan_of_several_lots_is_complete(fake, defender):
    """Answers are looked at after the last request, so a plan shows each of them."""
    fake.lists(INDICATORS, [])
    door = Door(mode="plan", effect=Effect.CHANGE, action="edr.block_hashes")
    with through(door), pytest.raises(CaptureEnded):
        await defender.block_hashes([sha(f"{n:064x}") for n in range(501)], "r")
    assert (len(door.captured), door.complete) == (2, True)


async def test_blocking_indicators_are_deleted_by_id(fake, defender, live):
    """Only those that block everywhere; a hash without one is a conflict."""
    fake.lists(INDICATORS, [record(), record(B, rbacGroupNames=["Lab"], id="996")])
    fake.on("POST", DELETE, httpx.Response(204))
    with pytest.raises(PartialFailure) as caught:
        await live(defender.unblock_hashes([sha(A), sha(B)], "r"))
    assert {value: type(error) for value, error in caught.value.failures.items()} == {B: Conflict}
    assert fake.changes == [(DELETE, {"IndicatorIds": ["995"]})]


async def test_an_indicator_that_is_gone_meanwhile_is_a_conflict(fake, defender, live):
    """Somebody was quicker: the engine reads the state and decides."""
    fake.lists(INDICATORS, [record()])
    fake.on("POST", DELETE, httpx.Response(404, json={"error": {"code": "ResourceNotFound", "message": "gone"}}))
    with pytest.raises(Conflict, match="gone already"):
        await live(defender.unblock_hashes([sha(A)], "r"))
