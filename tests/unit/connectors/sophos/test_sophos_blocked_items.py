"""Blocked items: the whole list is read, each hash is one request, and each refusal is about its hash."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Edr, Indicator
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, PartialFailure
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sophos import Sophos

PATH = "/endpoint/v1/settings/blocked-items"
A, B, C = "a" * 64, "b" * 64, "c" * 64
ADDED = httpx.Response(201, json={"id": "new"})
GONE = httpx.Response(200, json={"deleted": True})


def sha256(*values: str) -> list[Indicator]:
    return [Indicator(kind="sha256", value=value) for value in values]


def item(value: str, number: int, kind: str = "sha256") -> dict[str, Any]:
    return {"id": f"item-{number}", "type": kind, "properties": {"sha256": value}, "comment": "c"}


def refusal(status: int, error: str = "no") -> httpx.Response:
    return httpx.Response(status, json={"error": error, "message": "no"})


def test_sha256_is_what_can_be_blocked() -> None:
    """No other kind is; every verb of an EDR but the users of a host is there."""
    supported = Sophos.supported()
    for verb in ("hash_blocks_of", "block_hashes", "unblock_hashes"):
        assert supported[f"edr.{verb}"] == {"sha256"}
    wanted = {spec.name for spec in Edr.specs() if not spec.marks.one_of}
    assert set(supported) == wanted - {"edr.users_of_host"}


async def test_every_page_is_read(fake: Any, central: Sophos) -> None:
    """One answer for each hash, in the order asked; an item of another type blocks no hash."""
    fake.lists(PATH, [item(A.upper(), 1), item(B, 2, "path")], [item(C, 3)])
    blocks = await central.hash_blocks_of(sha256(B, C, A))
    assert [(each.value, each.blocked, each.expires_at) for each in blocks] == [
        (B, False, None),
        (C, True, None),
        (A, True, None),
    ]
    assert [dict(each.url.params) for each in fake.data_requests] == [
        {"pageSize": "100", "page": number, "pageTotal": "true"} for number in ("1", "2")
    ]


async def test_a_list_without_a_total_is_no_list(fake: Any, central: Sophos) -> None:
    """A hash on a page that was not read would seem not to be blocked."""
    fake.on("GET", PATH, httpx.Response(200, json={"items": [], "pages": {"current": 1, "size": 100}}))
    with pytest.raises(Invalid, match="unexpected form"):
        await central.hash_blocks_of(sha256(A))


async def test_each_hash_is_a_request(fake: Any, central: Sophos, live: Door, plan: Door) -> None:
    """The body has type, hash and reason; a plan shows all of them and sends none."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED)
    with through(plan):
        await central.block_hashes(sha256(A.upper(), B), "incident 7")
    assert fake.changes == []
    with through(live):
        assert await central.block_hashes(sha256(A.upper(), B), "incident 7") is None
    assert fake.bodies("POST", PATH) == [
        {"type": "sha256", "properties": {"sha256": value}, "comment": "incident 7"} for value in (A, B)
    ]
    assert [each.body for each in plan.captured] == fake.bodies("POST", PATH)


async def test_what_is_blocked_already_is_a_conflict(fake: Any, central: Sophos, live: Door) -> None:
    """Whether the list shows it or Sophos says 409; the others are blocked."""
    fake.lists(PATH, [item(A, 1)])
    fake.on("POST", PATH, refusal(409), ADDED)
    with through(live), pytest.raises(PartialFailure) as caught:
        await central.block_hashes(sha256(A, B, C), "r")
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Conflict, B: Conflict}
    assert [each["properties"]["sha256"] for each in fake.bodies("POST", PATH)] == [B, C]


async def test_one_hash_has_one_error(fake: Any, central: Sophos, live: Door) -> None:
    """Somebody was quicker: the conflict itself, not a list of one."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, refusal(409))
    with through(live), pytest.raises(Conflict):
        await central.block_hashes(sha256(A), "r")


async def test_a_hash_that_is_refused_does_not_hold_up_the_others(fake: Any, central: Sophos, live: Door) -> None:
    """What Sophos says of one hash is about that hash."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, refusal(400), ADDED)
    with through(live), pytest.raises(PartialFailure) as caught:
        await central.block_hashes(sha256(A, B), "r")
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Invalid}
    assert len(fake.changes) == 2


async def test_a_failure_ends_the_list_and_names_the_rest(fake: Any, central: Sophos, live: Door) -> None:
    """What was accepted before stays accepted; what was not sent did not happen."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, ADDED, refusal(500))
    with through(live), pytest.raises(PartialFailure) as caught:
        await central.block_hashes(sha256(A, B, C), "r")
    failures = caught.value.failures
    assert {value: error.applied for value, error in failures.items()} == {B: Applied.MAYBE, C: Applied.NO}
    assert "not sent" in failures[C].message
    assert len(fake.changes) == 2


async def test_what_may_have_taken_effect_is_not_lost(fake: Any, central: Sophos, live: Door) -> None:
    """A web page for an answer: it may be blocked, whatever becomes of the rest, and nothing says that it is not."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, httpx.Response(200, html="<html>proxy</html>"), refusal(503), ADDED)
    with through(live), pytest.raises(Invalid) as caught:
        await central.block_hashes(sha256(A, B), "r")
    assert caught.value.applied is Applied.MAYBE


async def test_a_first_request_that_fails_is_that_error(fake: Any, central: Sophos, live: Door) -> None:
    """Nothing was accepted before, so the error stands for the whole call."""
    fake.lists(PATH, [])
    fake.on("POST", PATH, refusal(403))
    with through(live), pytest.raises(Forbidden):
        await central.block_hashes(sha256(A, B), "r")
    assert len(fake.changes) == 1


async def test_unblocking_deletes_every_item_of_a_hash(fake: Any, central: Sophos, live: Door, plan: Door) -> None:
    """By the ID of the item, and no item of another hash."""
    fake.lists(PATH, [item(A, 1), item(B, 2), item(A, 3)])
    for number in (1, 3):
        fake.on("DELETE", f"{PATH}/item-{number}", GONE)
    for door in (plan, live):
        with through(door):
            await central.unblock_hashes(sha256(A), "over")
    assert [each.url.path for each in fake.changes] == [f"{PATH}/item-1", f"{PATH}/item-3"]
    assert [each.method for each in plan.captured] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("answer", [httpx.Response(200, json={"deleted": False}), refusal(409), refusal(404)])
async def test_an_item_that_was_not_deleted_is_a_conflict(
    fake: Any, central: Sophos, live: Door, answer: httpx.Response
) -> None:
    """Somebody was quicker, or it may not be deleted: the list says which."""
    fake.lists(PATH, [item(A, 1)])
    fake.on("DELETE", f"{PATH}/item-1", answer)
    with through(live), pytest.raises(Conflict):
        await central.unblock_hashes(sha256(A), "r")


async def test_an_item_that_is_gone_does_not_hold_up_the_others(fake: Any, central: Sophos, live: Door) -> None:
    """What somebody else deleted meanwhile is a conflict of that hash."""
    fake.lists(PATH, [item(A, 1), item(B, 2)])
    fake.on("DELETE", f"{PATH}/item-1", refusal(404))
    fake.on("DELETE", f"{PATH}/item-2", GONE)
    with through(live), pytest.raises(PartialFailure) as caught:
        await central.unblock_hashes(sha256(A, B), "r")
    assert {value: type(error) for value, error in caught.value.failures.items()} == {A: Conflict}


async def test_nothing_is_deleted_where_nothing_stands(fake: Any, central: Sophos, live: Door) -> None:
    """A hash without an item is a conflict, and nothing leaves."""
    fake.lists(PATH, [item(B, 1)])
    with through(live), pytest.raises(Conflict):
        await central.unblock_hashes(sha256(A), "r")
    assert fake.changes == []


async def test_an_items_id_is_not_a_path(fake: Any, central: Sophos, live: Door) -> None:
    """What Sophos calls an item must not lead anywhere else."""
    fake.lists(PATH, [{**item(A, 1), "id": "../../endpoints"}])
    with through(live), pytest.raises(Invalid, match="unexpected form"):
        await central.unblock_hashes(sha256(A), "r")
    assert fake.changes == []


@pytest.mark.parametrize("value", ["", "*", f"{A},{B}", "' or 1=1", "z" * 64, A[:-1], "c" * 40])
async def test_what_is_no_hash_is_neither_read_nor_sent(fake: Any, central: Sophos, live: Door, value: str) -> None:
    """It is refused before anything is asked."""
    for verb in (central.block_hashes, central.unblock_hashes):
        with through(live), pytest.raises(Invalid):
            await verb(sha256(value), "r")
    with pytest.raises(Invalid):
        await central.hash_blocks_of(sha256(value))
    assert fake.requests == []
