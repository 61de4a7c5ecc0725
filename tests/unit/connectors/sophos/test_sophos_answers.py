"""Sophos's answers: each failure becomes the right class, says whether it can have happened, and leaks nothing."""

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
    NotFound,
    RateLimited,
    Timeout,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sophos import Sophos

ISOLATION = "/endpoint/v1/endpoints/isolation"
ENDPOINTS = "/endpoint/v1/endpoints"


async def failing(fake: Any, central: Sophos, host: Host, live: Door, answer: httpx.Response) -> ConnectorError:
    fake.on("POST", ISOLATION, answer)
    with through(live), pytest.raises(ConnectorError) as caught:
        await central.isolate_host(host, "r")
    told = str(caught.value) + repr(caught.value)
    assert "unit-test-client-secret" not in told
    assert "unit-test-bearer-token" not in told
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "applied"),
    [
        (400, Invalid, Applied.NO),
        (403, Forbidden, Applied.NO),
        (404, NotFound, Applied.NO),
        (409, Conflict, Applied.NO),
        (429, RateLimited, Applied.NO),
        (500, Unavailable, Applied.MAYBE),
        (503, Unavailable, Applied.MAYBE),
        (504, Timeout, Applied.MAYBE),
    ],
)
async def test_each_status_has_its_error(
    fake: Any, central: Sophos, host: Host, live: Door, status: int, kind: type[ConnectorError], applied: Applied
) -> None:
    """The class, whether it can have happened, what Sophos said, and the number to ask its support about."""
    body = {"error": "SomeError", "message": "Sophos says no", "requestId": "req-7", "code": "x"}
    error = await failing(fake, central, host, live, httpx.Response(status, json=body))
    assert type(error) is kind
    assert error.applied is applied
    assert "SomeError Sophos says no (request req-7)" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>Please sign in</html>"),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b'{"items": ['),
        httpx.Response(200, json=["not", "an", "object"]),
        httpx.Response(202, json={}),
        httpx.Response(200, json={"error": "badRequest", "message": "no"}),
    ],
)
async def test_an_answer_that_is_none_is_no_success(
    fake: Any, central: Sophos, host: Host, live: Door, answer: httpx.Response
) -> None:
    """A proxy's page, half an answer, or an error beside a 200 leave open what happened."""
    error = await failing(fake, central, host, live, answer)
    assert type(error) is Invalid
    assert error.applied is Applied.MAYBE


async def test_the_rate_limit_says_how_long(fake: Any, central: Sophos) -> None:
    """Retry-After, in seconds."""
    fake.on("GET", ENDPOINTS, httpx.Response(429, headers={"retry-after": "7"}, json={"error": "TooManyRequests"}))
    with pytest.raises(RateLimited) as caught:
        await central.find_hosts("x")
    assert caught.value.retry_after_s == 7
