"""Falcon's answers: each failure becomes the right class, says whether it can have happened, and leaks nothing."""

import time
from collections.abc import Callable
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
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi_connectors.crowdstrike import Falcon

ACTIONS = "/devices/entities/devices-actions/v2"
DEVICES = "/devices/combined/devices/v1"
SECRETS = ("unit-test-client-secret", "unit-test-access-token")


def refusal(status: int, message: str = "vendor says no", headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"meta": {}, "errors": [{"code": status, "message": message}]}
    return httpx.Response(status, json=body, headers=headers)


async def change_failing(fake: Any, falcon: Falcon, host: Host, live: Door, answer: httpx.Response) -> ConnectorError:
    fake.on("POST", ACTIONS, answer)
    with through(live), pytest.raises(ConnectorError) as caught:
        await falcon.isolate_host(host, "r")
    assert not any(secret in str(caught.value) + repr(caught.value) for secret in SECRETS)
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
    fake: Any, falcon: Falcon, host: Host, live: Door, status: int, kind: type[ConnectorError], applied: Applied
) -> None:
    """The class, whether it can have happened, and what the vendor said."""
    error = await change_failing(fake, falcon, host, live, refusal(status))
    assert type(error) is kind
    assert error.applied is applied
    assert "vendor says no" in error.message


@pytest.mark.parametrize(
    ("code", "kind", "applied"),
    [
        (400, Invalid, Applied.NO),
        (401, Unauthorized, Applied.NO),
        (403, Forbidden, Applied.NO),
        (404, NotFound, Applied.NO),
        (409, Conflict, Applied.NO),
        (429, RateLimited, Applied.NO),
        (500, Unavailable, Applied.MAYBE),
        (4242, Unavailable, Applied.MAYBE),
    ],
)
async def test_an_error_in_a_success_counts(
    fake: Any, falcon: Falcon, host: Host, live: Door, code: int, kind: type[ConnectorError], applied: Applied
) -> None:
    """The envelope's code decides when the status says 202."""
    answer = httpx.Response(202, json={"errors": [{"code": code, "message": "no"}], "resources": []})
    error = await change_failing(fake, falcon, host, live, answer)
    assert type(error) is kind
    assert error.applied is applied


async def test_an_error_beside_accepted_entries_may_have_had_effect(
    fake: Any, falcon: Falcon, host: Host, live: Door
) -> None:
    """Where the answer also names accepted entries, nobody can say that nothing happened."""
    answer = httpx.Response(202, json={"errors": [{"code": 400, "message": "no"}], "resources": [{"id": "x"}]})
    assert (await change_failing(fake, falcon, host, live, answer)).applied is Applied.MAYBE


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<html>Please sign in</html>"),
        httpx.Response(202, content=b""),
        httpx.Response(202, content=b'{"errors": [], "resour'),
        httpx.Response(202, json=["not", "an", "object"]),
    ],
)
async def test_an_answer_that_is_none_is_no_success(
    fake: Any, falcon: Falcon, host: Host, live: Door, answer: httpx.Response
) -> None:
    """A proxy's page or half an answer leaves open what happened."""
    error = await change_failing(fake, falcon, host, live, answer)
    assert type(error) is Invalid
    assert error.applied is Applied.MAYBE


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({"X-RateLimit-RetryAfter": "EPOCH"}, 28, 31),
        ({"X-RateLimit-RetryAfter": "12"}, 12, 12),
        ({"Retry-After": "7"}, 7, 7),
        ({"X-RateLimit-RetryAfter": "1000000001"}, 0, 0),
        ({"X-RateLimit-RetryAfter": "soon"}, None, None),
        ({"X-RateLimit-RetryAfter": "inf"}, None, None),
        ({}, None, None),
    ],
)
async def test_the_rate_limit_says_how_long(
    fake: Any, falcon: Falcon, header: dict[str, str], least: float | None, most: float | None
) -> None:
    """A Unix time, a delay, the standard header, a moment that has passed, or nothing usable."""
    at = {key: str(int(time.time()) + 30) if value == "EPOCH" else value for key, value in header.items()}
    fake.on("GET", DEVICES, refusal(429, headers=at))
    with pytest.raises(RateLimited) as caught:
        await falcon.find_hosts("x")
    if least is None or most is None:
        assert caught.value.retry_after_s is None
    else:
        assert caught.value.retry_after_s is not None
        assert least <= caught.value.retry_after_s <= most


async def test_an_ended_token_is_fetched_anew_once(fake: Any, falcon: Falcon) -> None:
    """A 401 costs one new token; the request is sent again."""
    empty = httpx.Response(200, json={"meta": {}, "errors": [], "resources": []})
    fake.on("GET", DEVICES, refusal(401, "invalid bearer token"), empty)
    assert await falcon.find_hosts("x") == []
    assert len(fake.asked("POST", "/oauth2/token")) == 2


async def test_a_fresh_token_that_is_refused_is_unauthorized(fake: Any, falcon: Falcon) -> None:
    """There is no third attempt."""
    fake.on("GET", DEVICES, refusal(401))
    with pytest.raises(Unauthorized):
        await falcon.find_hosts("x")
    assert len(fake.asked("GET", DEVICES)) == 2


async def test_the_token_request_has_the_documented_form(fake: Any, make: Callable[..., Falcon]) -> None:
    """A form with the client's ID and secret, and the member's CID where there is one; the token is kept and masked."""
    falcon = make(member_cid="child-cid")
    fake.ok("GET", DEVICES, [])
    await falcon.find_hosts("x")
    await falcon.find_hosts("y")
    (asked,) = fake.asked("POST", "/oauth2/token")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.content == b"client_id=id-1&client_secret=unit-test-client-secret&member_cid=child-cid"
    assert "authorization" not in asked.headers
    assert falcon.redactor.text(" ".join(SECRETS)) == "[secret] [secret]"


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_refused_credentials_are_unauthorized(fake: Any, falcon: Falcon, status: int) -> None:
    """Whatever status the token request fails with, the message says what to check."""
    fake.on("POST", "/oauth2/token", refusal(status, "access denied"))
    with pytest.raises(Unauthorized, match="region") as caught:
        await falcon.find_hosts("x")
    assert not any(secret in str(caught.value) for secret in SECRETS)


async def test_a_token_answer_without_token_is_invalid(fake: Any, falcon: Falcon) -> None:
    """An empty success gives no token, and nothing is sent with none."""
    fake.on("POST", "/oauth2/token", httpx.Response(201, json={}))
    with pytest.raises(Invalid, match="no token"):
        await falcon.find_hosts("x")
    assert fake.asked("GET", DEVICES) == []


async def test_resources_of_another_form_are_invalid(fake: Any, falcon: Falcon) -> None:
    """An answer that cannot be understood is not an empty list."""
    fake.on("GET", DEVICES, httpx.Response(200, json={"errors": [], "resources": "none"}))
    with pytest.raises(Invalid, match="resources"):
        await falcon.find_hosts("x")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="no such page"),
        refusal(404),
        httpx.Response(200, json={"errors": [{"code": 404, "message": "no"}], "resources": []}),
    ],
)
async def test_a_missing_address_is_no_missing_host(fake: Any, falcon: Falcon, answer: httpx.Response) -> None:
    """Only an answer about a device can say that it does not exist; a wrong base address cannot."""
    fake.on("GET", DEVICES, answer)
    with pytest.raises(Invalid):
        await falcon.find_hosts("x")


@pytest.mark.parametrize(
    "record",
    [{"hostname": "x"}, {"device_id": "a" * 32, "last_seen": "yesterday"}, {"device_id": "a" * 32, "tags": 3}],
)
async def test_a_record_of_another_form_is_invalid(fake: Any, falcon: Falcon, record: dict[str, Any]) -> None:
    """A record that cannot be read fails the lookup; it is not left out."""
    fake.ok("GET", DEVICES, [record])
    with pytest.raises(Invalid, match="unexpected form"):
        await falcon.find_hosts("x")
