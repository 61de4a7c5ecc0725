"""Event search: the query, its scope, its result, and what is not taken for one."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Host
from hikeshi.connector import Invalid, Timeout
from hikeshi_connectors.sentinelone import SentinelOne

QUERIES = "/sdl/v2/api/queries"
AGENTS = "/web/api/v2.1/agents"
AGENT_ID, UUID = "225494730938493804", "ff819e70af13be381993075eb0ce5f2f6de05be2"
SHA = "a" * 64
COLUMNS = ["uuid", "last_at", "times", "host_name", "what"]


def lay_out(
    fake: Any,
    *rows: list[Any],
    columns: list[Any] | None = None,
    waiting: tuple[httpx.Response, ...] = (),
    **more: Any,
) -> None:
    started = {"id": "q-1", "stepsCompleted": 0, "stepsTotal": 0, "data": None}
    headers = {"X-Dataset-Query-Forward-Tag": "shard-3"}
    data = {"columns": [{"name": name} for name in columns or COLUMNS], "values": list(rows), **more}
    fake.on("POST", QUERIES, httpx.Response(200, json=started, headers=headers))
    done = httpx.Response(200, json={"stepsCompleted": 2, "stepsTotal": 2, "data": data})
    fake.on("GET", f"{QUERIES}/q-1", *waiting, done)
    fake.lists(AGENTS, [{"id": AGENT_ID, "uuid": UUID, "networkStatus": "connected"}])


def asked_for(fake: Any) -> str:
    return str(fake.bodies("POST", QUERIES)[0]["pq"]["query"])


async def test_a_search_is_started_looked_at_and_read(fake: Any, console: SentinelOne) -> None:
    """The other scheme of the token, the whole tenant, the tag that leads to the query, the agent's ID for its UUID."""
    half = httpx.Response(200, json={"stepsCompleted": 1, "stepsTotal": 2, "data": None})
    rows = [[UUID, 1_790_000_000_123_456_789, 3, "WS-001", 443.0], ["old", "2026-11-22T01:02:03Z", 1, None, None]]
    lay_out(fake, *rows, waiting=(half,))
    found = await console.search_connections("203.0.113.9", since_s=3600)
    assert [(each.host_id, each.host_name, each.detail) for each in found] == [
        (AGENT_ID, "WS-001", "port 443, 3 times"),
        ("old", "old", "1 times"),
    ]
    assert found[0].at.isoformat() == "2026-09-21T14:13:20.123456+00:00"
    (started,) = fake.asked("POST", QUERIES)
    body = json.loads(started.content)
    assert {name: body[name] for name in ("queryType", "tenant", "queryPriority")} == {
        "queryType": "PQ",
        "tenant": True,
        "queryPriority": "HIGH",
    }
    assert body["startTime"] < body["endTime"]
    assert body["endTime"].endswith("Z")
    looks = fake.asked("GET", f"{QUERIES}/q-1")
    assert [each.url.params["lastStepSeen"] for each in looks] == ["0", "1"]
    for each in (started, *looks):
        assert each.headers["authorization"] == "Bearer unit-test-api-token"
    assert {each.headers["x-dataset-query-forward-tag"] for each in looks} == {"shard-3"}
    (agents,) = fake.asked("GET", AGENTS)
    assert agents.headers["authorization"] == "ApiToken unit-test-api-token"
    assert agents.url.params["uuids"] == UUID


async def test_one_account_is_searched_alone(fake: Any, make: Callable[..., SentinelOne]) -> None:
    """The console wants tenant: false beside an account."""
    lay_out(fake)
    assert await make(account_id="3" * 18).search_hash(SHA) == []
    body = fake.bodies("POST", QUERIES)[0]
    assert (body["tenant"], body["accountIds"]) == (False, ["3" * 18])


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("203.0.113.9", "dst.ip.address='203.0.113.9'"),
        ("2001:DB8:0::1", "src.ip.address='2001:db8::1'"),
        ("Evil.Example.", "event.dns.request in:anycase ('evil.example')"),
    ],
)
async def test_what_is_sought_is_a_value(fake: Any, console: SentinelOne, address: str, part: str) -> None:
    """An address or a name, in its usual form, between quotes; the agents' own events only; no ten rows."""
    lay_out(fake)
    await console.search_connections(address)
    query = asked_for(fake)
    assert query.startswith("dataSource.name='SentinelOne' dataSource.category='security' ")
    assert part in query
    assert query.endswith("by uuid=agent.uuid | sort -last_at | limit 100000")


@pytest.mark.parametrize(
    "address", ["", "x", "a' or 'x'='x", "fe80::1%a' or '1'='1", "evil.example') or ('a'='a", "*", "a b.example"]
)
async def test_nothing_else_becomes_part_of_a_query(fake: Any, console: SentinelOne, address: str) -> None:
    """What has another form is refused before a search is started; so is a hash that is none."""
    with pytest.raises(Invalid):
        await console.search_connections(address)
    with pytest.raises(Invalid):
        await console.search_hash(address)
    assert fake.requests == []


async def test_users_are_asked_for_by_the_agents_uuid(fake: Any, console: SentinelOne, host: Host) -> None:
    """Successful sign-ins of that agent; a row without a name is none."""
    lay_out(fake, ["jo", 1_790_000_000_000_000_000], ["", 1], columns=["name", "last_at"])
    assert [each.name for each in await console.users_of_host(host)] == ["jo"]
    assert f"event.login.loginIsSuccessful=true agent.uuid='{UUID}'" in asked_for(fake)
    fake.lists(AGENTS, [{"id": AGENT_ID, "uuid": "x' or 'a'='a", "networkStatus": "connected"}])
    with pytest.raises(Invalid, match="no UUID"):
        await console.users_of_host(host)


@pytest.mark.parametrize(
    "more",
    [
        {"partialResultsDueToTimeLimit": True},
        {"omittedEvents": 3},
        {"discardedArrayItems": 1},
        {"truncatedAtLimit": True},
        {"warnings": ["something is missing"]},
    ],
)
async def test_an_incomplete_result_is_an_error(fake: Any, console: SentinelOne, more: dict[str, Any]) -> None:
    """Half of the evidence looks like all of it."""
    lay_out(fake, [UUID, 1, 1, "x", None], **more)
    with pytest.raises(Invalid, match="incomplete"):
        await console.search_hash(SHA)


@pytest.mark.parametrize(
    ("rows", "columns"), [([["u"]], COLUMNS), ([[UUID, "soon", 1, "x", None]], COLUMNS), ([[1]], ["other"])]
)
async def test_a_table_of_another_form_is_invalid(
    fake: Any, console: SentinelOne, rows: list[list[Any]], columns: list[str]
) -> None:
    """A row that cannot be read fails the search."""
    lay_out(fake, *rows, columns=columns)
    with pytest.raises(Invalid, match="unexpected form"):
        await console.search_hash(SHA)


@pytest.mark.parametrize("answer", [{"id": None}, {"id": "../x"}, {"id": "q-1"}])
async def test_a_search_that_was_not_started_is_an_error(
    fake: Any, console: SentinelOne, answer: dict[str, Any]
) -> None:
    """No ID, one that is a path, or no tag that leads to it."""
    fake.on("POST", QUERIES, httpx.Response(200, json=answer))
    with pytest.raises(Invalid, match="not started"):
        await console.search_hash(SHA)


async def test_a_search_that_takes_too_long_says_so(fake: Any, make: Callable[..., SentinelOne]) -> None:
    """It says which setting to raise."""
    lay_out(fake)
    fake.on("GET", f"{QUERIES}/q-1", httpx.Response(200, json={"stepsCompleted": 0, "stepsTotal": 0, "data": None}))
    with pytest.raises(Timeout, match="search_timeout_s"):
        await make(search_timeout_s=0.1).search_hash(SHA)


async def test_an_age_is_positive(console: SentinelOne) -> None:
    """A search of no time finds nothing, and would look like an answer."""
    for call in (console.search_hash(SHA, since_s=0), console.list_alerts(since_s=-1)):
        with pytest.raises(Invalid, match="positive"):
            await call
