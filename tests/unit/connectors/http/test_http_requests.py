"""What the connector for any HTTP API sends, and what it refuses to send."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect
from hikeshi.connector import Invalid, RouteRefused, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.http import Http

BASE = "https://cmdb.corp.example/api"
READS = [{"path": "/hosts/*"}, {"method": "POST", "path": "/op", "where": {"query:cmd": "show*"}}]


class Wire(httpx.AsyncBaseTransport):
    """Takes down what leaves, and answers one thing."""

    def __init__(self, answer: httpx.Response | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self.answer = answer or httpx.Response(200, json={"owner": "mei"})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer


def made(wire: Wire | None = None, **settings: Any) -> Http:
    connector = build(Http, "cmdb", {"base_url": BASE, "read_routes": READS, **settings}, Redactor(), transport=wire)
    assert isinstance(connector, Http)
    return connector


def reading() -> Door:
    return Door(mode="live", effect=Effect.READ, action="http.fetch")


def changing(mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.CHANGE, action="http.send", intended=True, key="k-7")


async def test_a_declared_read_gives_status_and_body():
    """JSON as values, anything else as text."""
    wire = Wire()
    with through(reading()):
        answer = await made(wire).fetch("/hosts/pc7", params={"full": "1"})
    assert (answer.status, answer.body, answer.text) == (200, {"owner": "mei"}, "")
    assert str(wire.requests[0].url) == f"{BASE}/hosts/pc7?full=1"
    plain = Wire(httpx.Response(200, text="all quiet"))
    with through(reading()):
        answer = await made(plain).fetch("/hosts/pc7")
    assert (answer.body, answer.text) == (None, "all quiet")


@pytest.mark.parametrize(
    ("path", "method", "params"),
    [
        ("/hosts", "GET", None),
        ("/hosts/pc7", "POST", None),
        ("/op", "POST", None),
        ("/op", "POST", {"cmd": "reload"}),
        ("/hosts/pc7/disks", "GET", None),
    ],
)
async def test_a_read_that_is_not_declared_goes_nowhere(path: str, method: Any, params: Any):
    """What the configuration does not call a read is a change, and a read makes none."""
    wire = Wire()
    with through(reading()), pytest.raises(RouteRefused):
        await made(wire).fetch(path, method, params)
    assert wire.requests == []


async def test_a_post_can_be_a_read_by_its_query():
    """As the operator declared it."""
    wire = Wire()
    with through(reading()):
        await made(wire).fetch("/op", "POST", {"cmd": "show hosts"}, json={"page": 1})
    assert [(request.method, request.content) for request in wire.requests] == [("POST", b'{"page":1}')]


@pytest.mark.parametrize(
    "path",
    [
        "hosts/pc7",
        "//evil.example/x",
        "https://evil.example/x",
        "/hosts/../../admin",
        "/hosts/%2e%2e/x",
        "/hosts/a?b=c",
        "/hosts/a#b",
        "/hosts\\a",
        "",
    ],
)
async def test_a_path_that_leads_elsewhere_is_refused(path: str):
    """By a read as by a change: nothing leaves."""
    wire = Wire()
    for door, action in ((reading(), "fetch"), (changing(), "send")):
        with through(door), pytest.raises((Invalid, RouteRefused)):
            await getattr(made(wire), action)(path)
    assert wire.requests == []


async def test_a_change_is_sent_with_the_key_of_its_repetition():
    """And a dry run shows it and sends nothing."""
    wire = Wire()
    with through(changing()):
        await made(wire).send("/hosts/pc7", "PATCH", json={"flag": True})
    (request,) = wire.requests
    assert (request.method, str(request.url), json.loads(request.content)) == (
        "PATCH",
        f"{BASE}/hosts/pc7",
        {"flag": True},
    )
    assert request.headers["idempotency-key"] == "k-7"
    with through(changing("plan")) as door:
        await made(wire).send("/hosts/pc7", "DELETE")
    assert len(wire.requests) == 1
    assert [(each.method, each.url) for each in door.captured] == [("DELETE", f"{BASE}/hosts/pc7")]


async def test_a_redirect_is_refused():
    """Wherever it would lead."""
    wire = Wire(httpx.Response(302, headers={"location": "https://evil.example/"}))
    with through(reading()), pytest.raises(Invalid, match="redirected"):
        await made(wire).fetch("/hosts/pc7")
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({"token": "t-secret"}, "authorization", "Bearer t-secret"),
        ({"username": "bot", "password": "p-secret"}, "authorization", "Basic Ym90OnAtc2VjcmV0"),
        ({"api_key": "k-secret"}, "x-api-key", "k-secret"),
        ({"api_key": "k-secret", "api_key_header": "Api-Token"}, "api-token", "k-secret"),
    ],
)
async def test_it_signs_in_as_the_settings_say(settings: dict[str, str], header: str, value: str):
    """By token, by user and password, or by a key in a header of its own."""
    wire = Wire()
    secrets = {name: Secret.of_value(text) if "secret" in text else text for name, text in settings.items()}
    with through(reading()):
        await made(wire, **secrets).fetch("/hosts/pc7")
    assert wire.requests[0].headers[header] == value


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"base_url": "http://cmdb.corp.example"}, "https://"),
        ({"token": Secret.of_value("a"), "api_key": Secret.of_value("b")}, "is enough"),
        ({"username": "bot"}, "belong together"),
        ({"read_routes": [{"path": "hosts"}]}, "read_routes"),
        ({"read_routes": [{"path": "/hosts", "method": "FETCH"}]}, "read_routes"),
        ({"read_routes": [{"path": "/hosts", "where": {"body:x": "y"}}]}, "query:NAME"),
        ({"api_key_header": "X: y"}, "api_key_header"),
    ],
)
def test_settings_that_are_wrong_are_told(settings: dict[str, Any], told: str):
    """Before anything is sent."""
    with pytest.raises(ValidationError, match=told):
        made(**settings)


class _Quiet(BaseHTTPRequestHandler):
    """Answers everything, and counts."""

    seen = 0

    def do_GET(self) -> None:
        type(self).seen += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def local() -> Iterator[str]:
    """A server of this machine."""
    _Quiet.seen = 0
    server = HTTPServer(("127.0.0.1", 0), _Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_private_address_is_reached_only_if_it_is_allowed(local: str):
    """Judged by the address that is really connected to, whatever the name says; nothing is sent to it."""
    refused = made(base_url=local, allow_plain_http=True)
    with through(reading()), pytest.raises(Invalid, match="private address"):
        await refused.fetch("/hosts/pc7")
    await refused.http.aclose()
    assert _Quiet.seen == 0
    allowed = made(base_url=local, allow_plain_http=True, allow_private=True)
    with through(reading()):
        assert (await allowed.fetch("/hosts/pc7")).status == 200
    await allowed.http.aclose()
    assert _Quiet.seen == 1
