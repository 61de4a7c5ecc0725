"""How FortiOS's answers become errors."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Secret,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.fortigate import FortiGate


async def failing(status: int, **content: Any) -> tuple[ConnectorError, int]:
    """Return what banning an address came to, and how many requests it took."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, **content)

    given = {"base_url": "https://fg.example", "token": Secret.of_value("unit-test-token")}
    firewall = build(FortiGate, "fg", given, Redactor(), transport=httpx.MockTransport(answer))
    assert isinstance(firewall, FortiGate)
    with (
        through(Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)),
        pytest.raises(ConnectorError) as caught,
    ):
        await firewall.block_indicators([Indicator(kind="ipv4", value="203.0.113.7")], "c2")
    assert "unit-test-token" not in str(caught.value)
    return caught.value, len(seen)


def error(status: int, code: int) -> dict[str, Any]:
    return {"json": {"http_method": "POST", "status": "error", "http_status": status, "error": code, "vdom": "root"}}


@pytest.mark.parametrize(
    ("status", "content", "kind", "applied"),
    [
        (500, error(500, -5), Conflict, "no"),
        (424, error(424, -5), Conflict, "no"),
        (424, error(424, -15), Conflict, "no"),
        (424, error(424, -23), Conflict, "no"),
        (404, error(404, -3), NotFound, "no"),
        (424, error(424, -3), NotFound, "no"),
        (424, error(424, -999), Conflict, "no"),
        (424, {"text": "x"}, Conflict, "no"),
        (500, error(500, -4), Invalid, "no"),
        (500, error(500, -651), Invalid, "no"),
        (403, error(403, -37), Forbidden, "no"),
        (500, error(500, -37), Forbidden, "no"),
        (403, {"text": ""}, Forbidden, "no"),
        (401, {"text": "<html>401 Unauthorized</html>"}, Unauthorized, "no"),
        (400, error(400, -999), Invalid, "no"),
        (405, error(405, -1), Invalid, "no"),
        (413, {"text": ""}, Invalid, "no"),
        (500, error(500, -999), Unavailable, "maybe"),
        (500, {"text": ""}, Unavailable, "maybe"),
        (404, {"text": "<html>nginx</html>"}, Invalid, "no"),
        (200, {"json": {"status": "error", "error": -1}}, Invalid, "maybe"),
        (200, {"text": "<html>sign in</html>"}, Invalid, "maybe"),
    ],
)
async def test_every_error_has_its_class(status: int, content: dict[str, Any], kind: type[Exception], applied: str):
    """FortiOS's own code counts more than the HTTP status: it says 500 for a duplicate."""
    raised, _ = await failing(status, **content)
    assert type(raised) is kind
    assert raised.applied == applied


async def test_the_code_is_told():
    """People look FortiOS's number up."""
    raised, _ = await failing(500, json={"status": "error", "error": -5, "cli_error": "node exists\n already"})
    assert raised.message.endswith("answered 500, code -5: there is such an entry already (node exists already)")


async def test_a_lock_out_is_waited_for_and_not_hammered():
    """429 comes after wrong tokens; coming back soon would double it, so there is no quick hint."""
    raised, requests = await failing(429, json={"http_status": 429, "status": "error"}, headers={"retry-after": "1"})
    assert type(raised) is RateLimited
    assert raised.retry_after_s == 900
    assert "do not try again before" in raised.message
    assert requests == 1


async def test_a_refused_token_is_tried_once():
    """Three refusals lock the caller out."""
    raised, requests = await failing(401, text="")
    assert type(raised) is Unauthorized
    assert requests == 1
    assert "locks out" in raised.message
