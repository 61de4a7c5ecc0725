"""Hash blocks: how indicators are read, added and deleted, and what becomes of refused entries."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Edr, Indicator
from hikeshi.connector import Applied, Conflict, Invalid, PartialFailure, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi_connectors.crowdstrike import Falcon

ENTITIES = "/iocs/entities/indicators/v1"
SEARCH = "/iocs/combined/indicator/v1"
A, B, C = "a" * 64, "b" * 64, "c" * 64
MD5 = "d" * 32


def sha256(value: str) -> Indicator:
    return Indicator(kind="sha256", value=value)


def record(value: str, ioc_id: str = "id-1", **more: Any) -> dict[str, Any]:
    kind = "sha256" if len(value) == 64 else "md5"
    return {"id": ioc_id, "type": kind, "value": value, "action": "prevent", "applied_globally": True, **more}


def envelope(resources: list[Any], errors: list[Any] | None = None, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json={"meta": {}, "errors": errors or [], "resources": resources})


def test_only_hashes_that_falcon_takes_are_supported() -> None:
    """SHA-1 is not among Falcon's indicator types."""
    supported = Falcon.supported()
    for verb in ("hash_blocks_of", "block_hashes", "unblock_hashes"):
        assert supported[f"edr.{verb}"] == {"md5", "sha256"}
    assert set(supported) == {spec.name for spec in Edr.specs() if not spec.marks.one_of}


async def test_blocks_are_read_in_order(fake: Any, falcon: Falcon) -> None:
    """One answer for each hash, in the order asked; without regard to case."""
    fake.ok("GET", SEARCH, [record(MD5, expiration="2030-01-01T00:00:00Z"), record(A)])
    blocks = await falcon.hash_blocks_of([sha256(A.upper()), sha256(B), Indicator(kind="md5", value=MD5)])
    assert [(each.blocked, each.expires_at) for each in blocks] == [
        (True, None),
        (False, None),
        (True, datetime(2030, 1, 1, tzinfo=UTC)),
    ]
    (asked,) = fake.asked("GET", SEARCH)
    assert asked.url.params["filter"] == f"value:['{A}','{B}','{MD5}']"


@pytest.mark.parametrize(
    "more",
    [
        {"deleted": True},
        {"expired": True},
        {"action": "detect"},
        {"action": "allow"},
        {"applied_globally": False, "host_groups": ["g"]},
        {"type": "domain"},
    ],
)
async def test_what_does_not_prevent_everywhere_is_no_block(fake: Any, falcon: Falcon, more: dict[str, Any]) -> None:
    """Deleted, expired, detecting and partial indicators do not keep a file from running on every host."""
    fake.ok("GET", SEARCH, [{**record(A), **more}])
    assert [each.blocked for each in await falcon.hash_blocks_of([sha256(A)])] == [False]


async def test_blocks_are_read_to_the_last_page_and_in_short_urls(fake: Any, falcon: Falcon) -> None:
    """The `after` token is followed, and many hashes are asked for in several questions."""
    page = {"meta": {"pagination": {"after": "t1"}}, "errors": [], "resources": [record(A)]}
    fake.on("GET", SEARCH, httpx.Response(200, json=page), envelope([record(B)]), envelope([]))
    many = [sha256(A), sha256(B), *(sha256(f"{n:064x}") for n in range(100))]
    blocks = await falcon.hash_blocks_of(many)
    assert [each.blocked for each in blocks[:3]] == [True, True, False]
    asked = fake.asked("GET", SEARCH)
    assert [each.url.params.get("after") for each in asked] == [None, "t1", None, None]
    assert max(len(str(each.url)) for each in asked) < 5000


async def test_block_sends_one_request_for_all(fake: Any, falcon: Falcon, live: Door) -> None:
    """The whole list is one request, whose entries prevent everywhere and end by themselves."""
    fake.ok("GET", SEARCH, [])
    fake.on("POST", ENTITIES, envelope([record(A), record(MD5)], status=201))
    with through(live):
        await falcon.block_hashes([sha256(A), Indicator(kind="md5", value=MD5)], "incident 7", expires_in_s=3600)
    (asked,) = fake.asked("POST", ENTITIES)
    body = json.loads(asked.content)
    assert asked.url.query == b""
    assert body["comment"] == "incident 7"
    expiry = body["indicators"][0].pop("expiration")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", expiry)
    assert abs(datetime.fromisoformat(expiry) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=5)
    assert body["indicators"][0] == {
        "type": "sha256",
        "value": A,
        "action": "prevent",
        "severity": "high",
        "platforms": ["windows", "mac", "linux"],
        "applied_globally": True,
        "description": "incident 7",
        "source": "hikeshi",
    }
    assert [each["type"] for each in body["indicators"]] == ["sha256", "md5"]


async def test_a_plan_shows_the_whole_block(fake: Any, falcon: Falcon, plan: Door) -> None:
    """In a plan what stands already is read, and the one request is captured; the expiry is known to differ."""
    fake.ok("GET", SEARCH, [])
    with through(plan):
        await falcon.block_hashes([sha256(A)], "r", expires_in_s=60)
    (captured,) = plan.captured
    assert captured.body["indicators"][0]["value"] == A
    assert captured.volatile == ("expiration",)
    assert fake.asked("POST", ENTITIES) == []


async def test_a_standing_indicator_is_a_conflict_and_the_rest_is_sent(fake: Any, falcon: Falcon, live: Door) -> None:
    """Somebody's indicator is neither overwritten nor sent again; the others are blocked."""
    fake.ok("GET", SEARCH, [record(A, action="allow")])
    fake.on("POST", ENTITIES, envelope([record(B)], status=201))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(A), sha256(B)], "r")
    assert set(caught.value.failures) == {A}
    assert type(caught.value.failures[A]) is Conflict
    assert "allow on every host" in caught.value.failures[A].message
    assert A not in fake.asked("POST", ENTITIES)[0].content.decode()


async def test_nothing_is_sent_when_every_hash_has_an_indicator(fake: Any, falcon: Falcon, live: Door) -> None:
    """There is no empty request."""
    fake.ok("GET", SEARCH, [record(A)])
    with through(live), pytest.raises(PartialFailure):
        await falcon.block_hashes([sha256(A)], "r")
    assert fake.asked("POST", ENTITIES) == []
    assert not live.sent


async def test_refused_entries_are_named_with_what_falcon_said(fake: Any, falcon: Falcon, live: Door) -> None:
    """After a refusal the state is read: what stands now and was not complained of was accepted."""
    rows = [{"row": 1, "value": A, "message": "duplicate"}, {"row": 2, "value": B, "message": "bad value"}]
    fake.on("GET", SEARCH, envelope([]), envelope([record(A), record(C)]))
    fake.on("POST", ENTITIES, envelope(rows, [{"code": 400, "message": "One or more inputs"}], status=400))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(A), sha256(B), sha256(C)], "r")
    failures = caught.value.failures
    assert {value: type(error) for value, error in failures.items()} == {A: Conflict, B: Invalid}
    assert failures[B].message == "bad value"


async def test_a_list_refused_as_a_whole_names_every_entry(fake: Any, falcon: Falcon, live: Door) -> None:
    """Entries that nobody complained of and that do not stand there were refused with the others."""
    fake.on("GET", SEARCH, envelope([]))
    fake.on("POST", ENTITIES, envelope([{"value": A, "message": "bad"}], [{"code": 400, "message": "m"}], status=400))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(A), sha256(B)], "r")
    assert caught.value.failures[A].message == "bad"
    assert "together with the other entries" in caught.value.failures[B].message


async def test_errors_beside_201_are_read_the_same_way(fake: Any, falcon: Falcon, live: Door) -> None:
    """A created status with errors is not a success for every entry."""
    fake.on("GET", SEARCH, envelope([]), envelope([record(A)]))
    fake.on("POST", ENTITIES, envelope([record(A)], [{"code": 400, "message": "no", "id": B}], status=201))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(A), sha256(B)], "r")
    assert B in caught.value.failures


async def test_an_unreadable_state_after_a_refusal_is_unclear(fake: Any, falcon: Falcon, live: Door) -> None:
    """Whether an entry was accepted cannot be told then, so nobody says that it was not."""
    down = httpx.Response(503, json={"errors": [{"code": 503, "message": "down"}]})
    fake.on("GET", SEARCH, envelope([]), down)
    fake.on("POST", ENTITIES, envelope([], [{"code": 400, "message": "m"}], status=400))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes([sha256(A)], "r")
    assert caught.value.failures[A].applied is Applied.MAYBE
    assert caught.value.failures[A].kind == "outcome_unknown"


async def test_a_later_request_that_fails_names_its_entries(fake: Any, falcon: Falcon, live: Door) -> None:
    """Two hundred entries fit into a request; what was accepted before stays accepted."""
    fake.on("GET", SEARCH, envelope([]))
    down = httpx.Response(500, json={"errors": [{"code": 500, "message": "down"}]})
    fake.on("POST", ENTITIES, envelope([record(A)], status=201), down)
    many = [sha256(f"{n:064x}") for n in range(401)]
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.block_hashes(many, "r")
    assert list(caught.value.failures) == [each.value for each in many[200:]]
    applied = [error.applied for error in caught.value.failures.values()]
    assert applied == [Applied.MAYBE] * 200 + [Applied.NO]
    assert len(fake.asked("POST", ENTITIES)) == 2


async def test_a_first_request_that_fails_is_that_error(fake: Any, falcon: Falcon, live: Door) -> None:
    """Nothing was accepted before, so the error stands for the whole call."""
    fake.on("GET", SEARCH, envelope([]))
    fake.on("POST", ENTITIES, httpx.Response(500, json={"errors": [{"code": 500, "message": "down"}]}))
    with through(live), pytest.raises(Unavailable, match="down"):
        await falcon.block_hashes([sha256(A)], "r")


async def test_unblock_deletes_by_id(fake: Any, falcon: Falcon, live: Door) -> None:
    """The IDs that were read are deleted, with the reason as comment."""
    fake.ok("GET", SEARCH, [record(A, "id-a"), record(B, "id-b")])
    fake.on("DELETE", ENTITIES, envelope(["id-a", "id-b"]))
    with through(live):
        await falcon.unblock_hashes([sha256(A), sha256(B)], "incident 7 & done")
    (asked,) = fake.asked("DELETE", ENTITIES)
    assert asked.url.params.multi_items() == [("ids", "id-a"), ("ids", "id-b"), ("comment", "incident 7 & done")]
    assert asked.content == b""


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (A, "filter=value:*"),
        (A, "x&filter=action:'prevent'"),
        ("*", "r"),
        ("x'+applied_globally:true+value:'", "r"),
        (f"{A}&filter=value:*", "r"),
        ("", "r"),
    ],
)
async def test_no_deletion_ever_names_a_filter(
    fake: Any, falcon: Falcon, live: Door, plan: Door, value: str, reason: str
) -> None:
    """A filter would win over the IDs and could delete everything: no value or reason brings one about."""
    fake.ok("GET", SEARCH, [record(A, "id-a"), record(B, "id-b")])
    fake.on("DELETE", ENTITIES, envelope(["id-a"]))
    for door in (live, plan):
        with through(door):
            try:
                await falcon.unblock_hashes([Indicator(kind="sha256", value=value)], reason)
            except (Invalid, PartialFailure):
                assert value != A
    deletions = fake.asked("DELETE", ENTITIES)
    for sent in deletions:
        assert set(sent.url.params) == {"ids", "comment"}
        assert sent.url.params.get_list("ids") == ["id-a"]
    assert len(deletions) == (1 if value == A else 0)
    assert all("filter" not in httpx.URL(each.url).params for each in plan.captured)


async def test_unblock_sends_nothing_when_nothing_is_blocked(fake: Any, falcon: Falcon, live: Door) -> None:
    """Without an ID there is no request: an empty deletion could mean anything."""
    fake.ok("GET", SEARCH, [record(A, action="detect")])
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.unblock_hashes([sha256(A)], "r")
    assert type(caught.value.failures[A]) is Conflict
    assert fake.asked("DELETE", ENTITIES) == []
    assert not live.sent


async def test_unblock_leaves_the_parents_indicator(fake: Any, falcon: Falcon, live: Door) -> None:
    """What the parent CID decided is told, and not deleted here."""
    fake.ok("GET", SEARCH, [record(A, "id-p", from_parent=True), record(B, "id-b")])
    fake.on("DELETE", ENTITIES, envelope(["id-b"]))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.unblock_hashes([sha256(A), sha256(B)], "r")
    assert set(caught.value.failures) == {A}
    assert fake.asked("DELETE", ENTITIES)[0].url.params.get_list("ids") == ["id-b"]


async def test_a_refused_deletion_counts_where_the_indicator_stands(fake: Any, falcon: Falcon, live: Door) -> None:
    """One was gone already, which is what was wanted; the other is named with what Falcon said."""
    errors = [{"code": 404, "message": "gone", "id": "id-a"}, {"code": 403, "message": "not yours", "id": "id-b"}]
    fake.on("GET", SEARCH, envelope([record(A, "id-a"), record(B, "id-b")]), envelope([record(B, "id-b")]))
    fake.on("DELETE", ENTITIES, envelope([], errors))
    with through(live), pytest.raises(PartialFailure) as caught:
        await falcon.unblock_hashes([sha256(A), sha256(B)], "r")
    assert set(caught.value.failures) == {B}
    assert "not yours" in caught.value.failures[B].message
