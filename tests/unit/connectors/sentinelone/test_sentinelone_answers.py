"""SentinelOne's answers: each failure becomes the right class, says whether it can have happened, and leaks nothing."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Host
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sentinelone import SentinelOne

DISCONNECT = "/web/api/v2.1/agents/actions/disconnect"
AGENTS = "/web/api/v2.1/agents"


def refusal(status: int, code: int = 0, detail: str = "the console says no") -> httpx.Response:
    errors = [{"code": code or status * 10_000 + 10, "title": "Error", "detail": detail}]
    return httpx.Response(status, json={"errors": errors})


async def failing(fake: Any, console: SentinelOne, host: Host, live: Door, answer: httpx.Response) -> ConnectorError:
    fake.on("POST", DISCONNECT, answer)
    with through(live), pytest.raises(ConnectorError) as caught:
        await console.isolate_host(host, "r")
    assert "unit-test-api-token" not in str(caught.value) + repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "applied"),
    [
        (400, Invalid, Applied.NO),
        (401, Unauthorized, Applied.NO),
        (403, Forbidden, Applied.NO),
        (404, Invalid, Applied.NO),
        (409, Conflict, Applied.NO),
        (429, RateLimited, Applied.NO),
        (500, Unavailable, Applied.MAYBE),
        (503, Unavailable, Applied.MAYBE),
        (504, Timeout, Applied.MAYBE),
    ],
)
async def test_each_status_has_its_error(
    fake: Any,
    console: SentinelOne,
    host: Host,
    live: Door,
    status: int,
    kind: type[ConnectorError],
    applied: Applied,
) -> None:
    """The class, whether it can have happened, and what the console said."""
    error = await failing(fake, console, host, live, refusal(status))
    assert type(error) is kind
    assert error.applied is applied
    assert f"{status * 10_000 + 10} Error the console says no" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, 4000030, "Blocklist item"),
        refusal(400, 4000010, "Item already exists in scope"),
        httpx.Response(200, json={"data": {"affected": 0}}),
    ],
)
async def test_already_so_is_a_conflict(
    fake: Any, console: SentinelOne, host: Host, live: Door, answer: httpx.Response
) -> None:
    """Its own code, its own words, or a success that affected nothing: read the state, then decide."""
    error = await failing(fake, console, host, live, answer)
    assert type(error) is Conflict
    assert error.applied is Applied.NO


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>Please sign in</html>"),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b'{"data": {"aff'),
        httpx.Response(200, json=["not", "an", "object"]),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"data": {}, "errors": [{"code": 5, "detail": "no"}]}),
    ],
)
async def test_an_answer_that_is_none_is_no_success(
    fake: Any, console: SentinelOne, host: Host, live: Door, answer: httpx.Response
) -> None:
    """A proxy's page, half an answer, or errors beside a success leave open what happened."""
    error = await failing(fake, console, host, live, answer)
    assert type(error) is Invalid
    assert error.applied is Applied.MAYBE


async def test_the_rate_limit_says_how_long(fake: Any, console: SentinelOne) -> None:
    """Retry-After, in seconds."""
    fake.on("GET", AGENTS, httpx.Response(429, headers={"retry-after": "7"}, json={"errors": []}))
    with pytest.raises(RateLimited) as caught:
        await console.find_hosts("x")
    assert caught.value.retry_after_s == 7


async def test_a_refused_token_says_what_to_check(fake: Any, console: SentinelOne, host: Host, live: Door) -> None:
    """There is nothing to fetch anew."""
    error = await failing(fake, console, host, live, refusal(401))
    assert "api_token" in error.message
    assert len(fake.requests) == 1
