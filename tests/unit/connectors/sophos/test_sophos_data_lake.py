"""Data Lake searches: the statement, how a run ends, its rows, and what never becomes part of a statement."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.connector import ConnectorError, Invalid, Timeout, Unavailable
from hikeshi_connectors.sophos import Sophos

RUNS = "/xdr-query/v1/queries/runs"
ENDPOINT, OTHER = "3fa85f64-5717-4562-b3fc-2c963f66afa6", "9d5d6819-0238-43e6-ba03-815cae0d474d"
SHA = "a" * 64


def row(endpoint: str = ENDPOINT, **more: Any) -> dict[str, Any]:
    at = "2026-11-22T01:02:03.000Z"
    return {"endpoint_id": endpoint, "host_name": "WS-001", "last_at": at, "times": 3, "what": "curl.exe", **more}


def lay_out(fake: Any, *pages: list[dict[str, Any]], result: str = "succeeded", status: str = "finished") -> None:
    fake.on("POST", RUNS, httpx.Response(201, json={"id": "run-1", "status": "pending", "result": "notAvailable"}))
    fake.on("GET", f"{RUNS}/run-1", httpx.Response(200, json={"id": "run-1", "status": status, "result": result}))
    fake.lists(f"{RUNS}/run-1/results", *(pages or ([],)))


def statement(fake: Any) -> str:
    return str(fake.bodies("POST", RUNS)[0]["adHocQuery"]["template"])


async def test_a_search_is_started_looked_at_and_read(fake: Any, central: Sophos) -> None:
    """A row for each endpoint, from every page."""
    second = row(OTHER, host_name=None, last_at="2026-11-22 01:02:03", times="1", what=None)
    lay_out(fake, [row()], [second])
    found = await central.search_connections("203.0.113.9", since_s=3600)
    assert [(each.host_id, each.host_name, each.value, each.detail) for each in found] == [
        (ENDPOINT, "WS-001", "203.0.113.9", "curl.exe, 3 times"),
        (OTHER, OTHER, "203.0.113.9", "1 times"),
    ]
    assert {each.at.isoformat() for each in found} == {"2026-11-22T01:02:03+00:00"}
    (body,) = fake.bodies("POST", RUNS)
    assert set(body) == {"adHocQuery", "from", "to"}
    assert body["from"] < body["to"]
    assert body["to"].endswith("Z")
    results = fake.asked("GET", f"{RUNS}/run-1/results")
    assert [dict(each.url.params) for each in results] == [
        {"pageSize": "1000"},
        {"pageSize": "1000", "pageFromKey": "key-1"},
    ]


@pytest.mark.parametrize(
    ("address", "test"),
    [
        ("203.0.113.9", "destination_ip = '203.0.113.9' OR remote_address = '203.0.113.9'"),
        ("2001:DB8:0::1", "destination_ip = '2001:db8::1' OR remote_address = '2001:db8::1'"),
        ("Evil.Example.", "LOWER(domain) = 'evil.example'"),
    ],
)
async def test_what_is_sought_is_a_value(fake: Any, central: Sophos, address: str, test: str) -> None:
    """An address or a name, in its usual form, between quotes."""
    lay_out(fake)
    assert await central.search_connections(address) == []
    assert f" FROM xdr_data WHERE {test} GROUP BY endpoint_id " in statement(fake)


async def test_a_hash_is_sought_in_lower_case(fake: Any, central: Sophos) -> None:
    """Whatever case the column has."""
    lay_out(fake, [row(what="C:\\bad.exe")])
    (found,) = await central.search_hash(SHA.upper())
    assert (found.kind, found.value, found.detail) == ("file", SHA, "C:\\bad.exe, 3 times")
    assert f"WHERE LOWER(sha256) = '{SHA}'" in statement(fake)


@pytest.mark.parametrize(
    "address", ["", "x", "a' or 'x'='x", "fe80::1%a' or '1'='1", "evil.example'--", "*", "a b.example", "{sought}.com"]
)
async def test_nothing_else_becomes_part_of_a_statement(fake: Any, central: Sophos, address: str) -> None:
    """What has another form is refused before a search is started; so is a hash that is none."""
    with pytest.raises(Invalid):
        await central.search_connections(address)
    with pytest.raises(Invalid):
        await central.search_hash(address)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("result", "kind"),
    [("failed", Invalid), ("timedOut", Timeout), ("canceled", Unavailable), ("notAvailable", Invalid)],
)
async def test_a_run_that_did_not_succeed_found_nothing_out(
    fake: Any, central: Sophos, result: str, kind: type[ConnectorError]
) -> None:
    """It is an error, not an empty answer; its results are not asked for."""
    lay_out(fake, result=result)
    with pytest.raises(kind):
        await central.search_hash(SHA)
    assert fake.asked("GET", f"{RUNS}/run-1/results") == []


async def test_a_search_that_takes_too_long_says_so(fake: Any, make: Callable[..., Sophos]) -> None:
    """It says which setting to raise."""
    lay_out(fake, status="started", result="notAvailable")
    with pytest.raises(Timeout, match="search_timeout_s"):
        await make(search_timeout_s=0.1).search_hash(SHA)


@pytest.mark.parametrize("answer", [{"status": "pending"}, {"id": "../x"}, {"id": 7}])
async def test_a_search_that_was_not_started_is_an_error(fake: Any, central: Sophos, answer: dict[str, Any]) -> None:
    """No ID, or one that is a path."""
    fake.on("POST", RUNS, httpx.Response(201, json=answer))
    with pytest.raises(Invalid, match="not started"):
        await central.search_hash(SHA)


@pytest.mark.parametrize("wrong", [{"last_at": None}, {"last_at": "soon"}, {"times": None}])
async def test_a_row_of_another_form_is_invalid(fake: Any, central: Sophos, wrong: dict[str, Any]) -> None:
    """A row that cannot be read fails the search."""
    lay_out(fake, [row(**wrong)])
    with pytest.raises(Invalid, match="unexpected form"):
        await central.search_hash(SHA)


async def test_an_age_is_positive(fake: Any, central: Sophos) -> None:
    """A search of no time finds nothing, and would look like an answer."""
    for call in (central.search_hash(SHA, since_s=0), central.list_alerts(since_s=-1)):
        with pytest.raises(Invalid, match="positive"):
            await call
    assert fake.requests == []
