"""What a request comes to: credentials, answers, errors, and what is known of its effect."""

import gzip
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import (
    Applied,
    Conflict,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Forbidden,
    Invalid,
    NotFound,
    Pace,
    RateLimited,
    Response,
    RouteRefused,
    Timeout,
    TokenCache,
    Unauthorized,
    Unavailable,
    retry_after_s,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.http import HttpClient
from hikeshi.connector.route import SeenRequest
from hikeshi.secrets import Redactor, SecretUnavailable


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="fake.act", intended=True, key="k")


class Tokens:
    """Gives token-1, token-2 ..."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.fetched = 0
        self.cache = TokenCache(self.fetch, redactor or Redactor(), clock=lambda: self.now)
        self.now = 0.0

    async def fetch(self) -> tuple[str, float]:
        self.fetched += 1
        return f"token-{self.fetched}", 600.0


@pytest.fixture
def tokens(client: HttpClient) -> Tokens:
    made = Tokens()
    client.authorize = made.cache.headers
    client.forget_credentials = made.cache.forget
    return made


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param({}, b'{"ok": true}', id="plain"),
        pytest.param({"Content-Encoding": "gzip"}, gzip.compress(b'{"ok": true}'), id="packed"),
    ],
)
async def test_an_answer_is_read_whether_it_is_packed_or_not(
    client: HttpClient, wire: Any, headers: dict[str, str], body: bytes
) -> None:
    """The body is what the product meant, however it travelled."""
    wire.answers = [httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))]
    assert (await client.get("/hosts/1")).json() == {"ok": True}


async def test_a_401_fetches_fresh_credentials_once(client: HttpClient, wire: Any, tokens: Tokens) -> None:
    """It changed nothing, so the same request goes again with a new token."""
    wire.answers = [httpx.Response(401), httpx.Response(200, json={"ok": True})]
    answer = await client.get("/hosts/1")
    assert answer.json() == {"ok": True}
    assert [request.headers["authorization"] for request in wire.requests] == ["Bearer token-1", "Bearer token-2"]


async def test_a_second_401_is_unauthorized_and_had_no_effect(client: HttpClient, wire: Any, tokens: Tokens) -> None:
    """Fresh credentials are refused: that is for the operator, and a change was provably not applied."""
    wire.answers = [httpx.Response(401), httpx.Response(401)]
    with through(live()) as door, pytest.raises(Unauthorized, match="refuses fresh credentials") as caught:
        await client.post("/a")
    assert caught.value.applied is Applied.NO
    assert door.sent is True
    assert len(wire.requests) == 2


async def test_a_401_without_credentials_to_refresh_is_judged_at_once(client: HttpClient, wire: Any) -> None:
    """Nothing could be better the second time."""
    wire.answers = [httpx.Response(401)]
    with pytest.raises(Unauthorized):
        await client.get("/hosts/1")
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "error", [Timeout("no answer", applied=Applied.MAYBE), Unavailable("down", applied=Applied.MAYBE), Forbidden("no")]
)
async def test_a_sign_in_that_fails_means_that_the_request_never_left(
    client: HttpClient, wire: Any, error: ConnectorError
) -> None:
    """Whatever became of the sign-in, the change was not sent."""

    async def fail() -> Mapping[str, str]:
        raise error

    client.authorize = fail
    with through(live()) as door, pytest.raises(type(error)) as caught:
        await client.post("/a")
    assert caught.value.applied is Applied.NO
    assert door.sent is False
    assert wire.requests == []


async def test_a_secret_that_is_missing_means_that_the_request_never_left(client: HttpClient, wire: Any) -> None:
    """The operator is told which; nothing was sent."""

    async def fail() -> Mapping[str, str]:
        raise SecretUnavailable("the environment variable X is not set")

    client.authorize = fail
    with through(live()) as door, pytest.raises(SecretUnavailable):
        await client.post("/a")
    assert (door.sent, wire.requests) == (False, [])


async def test_requests_without_authorisation_carry_none(client: HttpClient, wire: Any, tokens: Tokens) -> None:
    """A sign-in itself must not wait for a token."""
    await client.get("/hosts/1", auth=False)
    assert "authorization" not in wire.requests[0].headers
    assert tokens.fetched == 0


@pytest.mark.parametrize(
    ("raised", "kind", "applied"),
    [
        (httpx.ConnectError("x"), Unavailable, Applied.NO),
        (httpx.ConnectTimeout("x"), Unavailable, Applied.NO),
        (httpx.PoolTimeout("x"), Unavailable, Applied.NO),
        (httpx.UnsupportedProtocol("x"), Unavailable, Applied.NO),
        (httpx.ReadTimeout("x"), Timeout, Applied.MAYBE),
        (httpx.WriteTimeout("x"), Timeout, Applied.MAYBE),
        (httpx.ReadError("x"), Unavailable, Applied.MAYBE),
        (httpx.WriteError("x"), Unavailable, Applied.MAYBE),
        (httpx.RemoteProtocolError("x"), Unavailable, Applied.MAYBE),
        (httpx.CloseError("x"), Unavailable, Applied.MAYBE),
        (httpx.ProxyError("x"), Unavailable, Applied.MAYBE),
        (httpx.DecodingError("x"), Unavailable, Applied.MAYBE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_only_what_failed_before_a_connection_stood_is_provably_not_applied(
    client: HttpClient, wire: Any, raised: Exception, kind: type[ConnectorError], applied: Applied
) -> None:
    """Rule 16; and httpx's own text, which may repeat a header, is not told."""
    wire.answers = [raised]
    with through(live()), pytest.raises(kind) as caught:
        await client.post("/a?token=abc")
    assert caught.value.applied is applied
    assert caught.value.__cause__ is None
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "applied"),
    [
        (400, Invalid, Applied.NO),
        (401, Unauthorized, Applied.NO),
        (403, Forbidden, Applied.NO),
        (404, NotFound, Applied.NO),
        (408, Timeout, Applied.MAYBE),
        (409, Conflict, Applied.NO),
        (410, Invalid, Applied.NO),
        (422, Invalid, Applied.NO),
        (429, RateLimited, Applied.NO),
        (500, Unavailable, Applied.MAYBE),
        (502, Unavailable, Applied.MAYBE),
        (503, Unavailable, Applied.MAYBE),
        (504, Timeout, Applied.MAYBE),
        (599, Unavailable, Applied.MAYBE),
    ],
)
async def test_what_a_status_means_for_a_change(
    client: HttpClient, wire: Any, status: int, kind: type[ConnectorError], applied: Applied
) -> None:
    """A server that failed may have failed after the effect."""
    wire.answers = [httpx.Response(status, headers={"retry-after": "7"})]
    with through(live()), pytest.raises(kind) as caught:
        await client.post("/a")
    assert caught.value.applied is applied
    assert f"POST product.example/api1/a answered {status}" in str(caught.value)
    if status in (429, 503):
        assert caught.value.retry_after_s == 7.0


async def test_a_good_status_without_json_may_have_had_its_effect(client: HttpClient, wire: Any) -> None:
    """A proxy's page instead of an answer is an error whatever the status says."""
    wire.answers = [httpx.Response(200, html="<html>login</html>")]
    with through(live()):
        answer = await client.post("/a")
    with pytest.raises(Invalid, match="not JSON") as caught:
        answer.json()
    assert caught.value.applied is Applied.MAYBE


async def test_the_check_of_the_connector_judges_every_answer(client: HttpClient, wire: Any) -> None:
    """A vendor's "200 but failed" is found in one place."""

    def check(response: Response) -> None:
        if b"error" in response.content:
            raise Conflict("the envelope says so")

    client.check = check
    wire.answers = [httpx.Response(200, json={"error": 1})]
    with pytest.raises(Conflict):
        await client.get("/hosts/1")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("inf", None),
        ("-inf", None),
        ("nan", None),
        ("1e400", None),
        ("", None),
        ("soon", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        ("Mon, 99 Jan 2001 00:00:00 GMT", None),
        ("1, 2", None),
    ],
)
def test_how_long_a_product_asks_to_wait(text: str, seconds: float | None) -> None:
    """Seconds or a date; whatever else it says is nothing, and never an error."""
    assert retry_after_s({"retry-after": text}) == seconds


async def test_an_answer_that_is_too_large_breaks_off(client: HttpClient, wire: Any) -> None:
    """Memory is bounded; a change may have had its effect."""

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            while True:
                yield b"x" * 4_000_000

    wire.answers = [httpx.Response(200, stream=Endless())]
    with through(live()), pytest.raises(Unavailable) as caught:
        await client.post("/a")
    assert caught.value.applied is Applied.MAYBE


async def test_a_url_that_cannot_be_made_is_refused(client: HttpClient, wire: Any) -> None:
    """Control characters in a path are the author's fault, and nothing leaves."""
    for path in ("/hosts/\x00", "/hosts/\n", "http://[::1/x", "http://product.example:port/x"):
        with pytest.raises(RouteRefused):
            await client.get(path)
    assert wire.requests == []


async def test_a_token_is_fetched_once_for_many_and_renewed_before_it_ends() -> None:
    """No request travels with a dying token, and concurrent callers wait for one fetch."""
    import asyncio

    redactor = Redactor()
    tokens = Tokens(redactor)
    headers = await asyncio.gather(*(tokens.cache.headers() for _ in range(5)))
    assert {each["authorization"] for each in headers} == {"Bearer token-1"}
    tokens.now = 539.0
    assert (await tokens.cache.headers())["authorization"] == "Bearer token-1"
    tokens.now = 541.0
    assert (await tokens.cache.headers())["authorization"] == "Bearer token-2"
    tokens.cache.forget()
    assert (await tokens.cache.headers())["authorization"] == "Bearer token-3"
    assert redactor.text("token-1 token-2 token-3") == "[secret] [secret] [secret]"


# --- signatures, other bodies, pace


async def test_a_signature_is_made_of_the_very_request(client: HttpClient, wire: Any):
    """The signer sees method, address, headers and body as they are sent, and again for a second try."""
    seen: list[tuple[str, str, str, bytes]] = []

    async def sign(request: SeenRequest) -> Mapping[str, str]:
        seen.append((request.method, request.url, request.headers["content-type"], request.content))
        return {"authorization": f"Signature {len(seen)}"}

    client.sign = sign
    client.forget_credentials = lambda: None
    wire.answers = [httpx.Response(401), httpx.Response(200, json={})]
    await client.post("/search", params={"a": "b c"}, json={"q": 1})

    url = "http://product.example/api1/search?a=b+c"
    assert seen == [("POST", url, "application/json", b'{"q":1}')] * 2
    assert [request.headers["authorization"] for request in wire.requests] == ["Signature 1", "Signature 2"]
    assert str(wire.requests[0].url) == url


async def test_a_text_is_sent_and_previewed_as_it_is(client: HttpClient, wire: Any):
    """With the type that its header names, and without being taken for JSON."""
    door = Door(mode="plan", effect=Effect.CHANGE, action="fake.act")
    with through(door):
        await client.put("/list", text="203.0.113.7\n", headers={"Content-Type": "text/plain"})
    assert [(each.method, each.body) for each in door.captured] == [("PUT", "203.0.113.7\n")]
    with through(live()):
        await client.put("/list", text="203.0.113.7\n", headers={"Content-Type": "text/plain"})
    assert [(request.content, request.headers["content-type"]) for request in wire.requests] == [
        (b"203.0.113.7\n", "text/plain")
    ]


@pytest.mark.parametrize(
    ("usual", "settings", "pace"),
    [
        (None, {}, None),
        (Pace(50, 60, 5), {}, Pace(50, 60, 5)),
        (Pace(50, 60, 5), {"requests_per_minute": 10}, Pace(10, 60.0, 5)),
        (Pace(50, 60, 5), {"requests_at_once": 1}, Pace(50, 60, 1)),
        (None, {"requests_at_once": 2}, Pace(None, 1.0, 2)),
    ],
)
def test_an_operator_may_say_how_quickly_a_product_is_called(
    usual: Pace | None, settings: dict[str, int], pace: Pace | None
):
    """What the settings say comes before what the connector thinks of its product."""

    class Quick(Connector, product="quick"):
        """A product with a limit."""

    Quick.pace = usual
    assert Quick.pace_of(ConnectorSettings(base_url="https://q.example", **settings)) == pace
