"""The guarded client: nothing leaves but declared reads, and changes inside an intended change of a live run."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Connector, ConnectorSettings, PreviewedRequest, Route, RouteRefused, xml_root
from hikeshi.connector.door import CaptureEnded, Door, current_door, through
from hikeshi.connector.http import HttpClient
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor

pytestmark = pytest.mark.safety(1)

Client = Callable[[str], HttpClient]


def live(effect: Effect = Effect.CHANGE, *, intended: bool = True) -> Door:
    return Door(mode="live", effect=effect, action="fake.act", intended=intended, key="k")


def plan(effect: Effect = Effect.CHANGE) -> Door:
    return Door(mode="plan", effect=effect, action="fake.act")


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/hosts/1", {}),
        ("GET", "/hosts/a%20b", {}),
        ("GET", "/deep/a/b/c", {}),
        ("POST", "/search", {"json": {"q": 1}}),
        ("GET", "/api/", {"params": {"type": "op", "cmd": "show system"}}),
        ("POST", "/form", {"form": {"type": "op"}}),
        ("POST", "/header", {"headers": {"X-MODE": "read"}}),
        ("GET", "/token", {"base": "login"}),
        ("GET", "http://product.example/api1/hosts/2", {}),
    ],
)
async def test_declared_reads_pass_everywhere(
    client: HttpClient, wire: Any, method: str, path: str, options: Any
) -> None:
    """Outside of an action, in a plan, in a read and in a change alike."""
    await client.request(method, path, **options)
    for door in (plan(), plan(Effect.READ), live(Effect.READ, intended=False), live()):
        with through(door):
            await client.request(method, path, **options)
        assert door.captured == []
        assert door.sent is False
    assert len(wire.requests) == 5


OTHERS = [
    ("POST", "/hosts/1", {}),
    ("get", "/hosts/1", {}),
    ("HEAD", "/hosts/1", {}),
    ("GET", "/hosts/1/isolate", {}),
    ("GET", "/hosts/", {}),
    ("GET", "/hosts", {}),
    ("GET", "/other", {}),
    ("GET", "/token", {}),
    ("GET", "/api/", {"params": {"type": "config", "cmd": "show"}}),
    ("GET", "/api/", {"params": {"type": "op"}}),
    ("GET", "/api/", {"params": {"TYPE": "op", "cmd": "show"}}),
    ("POST", "/form", {"form": {"type": "config"}}),
    ("POST", "/form", {"json": {"type": "op"}}),
    ("POST", "/form", {"form": {"type": "op "}}),
    ("POST", "/header", {"headers": {"X-Mode": "write"}}),
    ("POST", "/header", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), OTHERS)
async def test_whatever_is_no_declared_read_goes_nowhere_without_permission(
    client: HttpClient, wire: Any, method: str, path: str, options: Any
) -> None:
    """Outside of an action, in a read and in a change that was not intended it is refused; in a plan captured."""
    with pytest.raises(RouteRefused):
        await client.request(method, path, **options)
    for door in (live(Effect.READ), plan(Effect.READ), live(intended=False), live(Effect.NOTIFY, intended=False)):
        with through(door), pytest.raises(RouteRefused):
            await client.request(method, path, **options)
    with through(plan()) as planned:
        await client.request(method, path, **options)
    assert len(planned.captured) == 1
    assert wire.requests == []


@pytest.mark.parametrize(("method", "path", "options"), OTHERS)
async def test_inside_an_intended_change_it_is_sent(
    client: HttpClient, wire: Any, method: str, path: str, options: Any
) -> None:
    """The valid twin: the same request passes the door of a change."""
    with through(live()) as door:
        await client.request(method, path, **options)
    assert door.sent is True
    assert len(wire.requests) == 1


TRICKS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/hosts/%2e%2e/isolate", {}),
    ("GET", "/hosts/a%2fisolate", {}),
    ("GET", "/hosts/a%2Fisolate", {}),
    ("GET", "/hosts/a%5cb", {}),
    ("GET", "/hosts/a\\b", {}),
    ("GET", "/hosts/a%00", {}),
    ("GET", "/hosts/a;b=c", {}),
    ("GET", "/hosts//a", {}),
    ("GET", "//hosts/a", {}),
    ("GET", "/hosts/a", {"headers": {"X-HTTP-Method-Override": "DELETE"}}),
    ("GET", "/hosts/a", {"headers": {"x-http-method": "DELETE"}}),
    ("GET", "/hosts/a", {"headers": {"X-Method-Override": "DELETE"}}),
    ("GET", "/hosts/a", {"headers": {"X-Original-URL": "/hosts/a/isolate"}}),
    ("GET", "/hosts/a", {"headers": {"X-Rewrite-URL": "/hosts/a/isolate"}}),
    ("GET", "/hosts/a", {"headers": {"Host": "other.example"}}),
    ("GET", "/hosts/a", {"params": {"_method": "delete"}}),
    ("POST", "/search", {"form": {"_method": "delete"}}),
    (
        "POST",
        "/search",
        {"form": {"_method": "delete"}, "headers": {"Content-Type": "APPLICATION/X-WWW-Form-Urlencoded"}},
    ),
    ("GET", "/api/?type=op&type=config&cmd=show", {}),
    ("GET", "/api/?type=op", {"params": {"type": "config", "cmd": "show"}}),
    ("GET", "/api/", {"params": {"type": ["op", "config"], "cmd": "show"}}),
    ("POST", "/form?type=config", {"form": {"type": "op"}}),
    ("POST", "/form?type=op", {"form": {"type": "op"}}),
    (
        "POST",
        "/form?type=config",
        {"form": {"type": "op"}, "headers": {"content-type": "APPLICATION/x-www-form-urlencoded"}},
    ),
    ("GET", "hosts/1", {}),
    ("GET", "@evil.example/hosts/1", {}),
    ("GET", ".evil.example/hosts/1", {}),
    ("GET", ":8080/hosts/1", {}),
    ("GET", "x/hosts/1", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), TRICKS)
async def test_what_two_readers_could_understand_in_two_ways_is_refused(
    client: HttpClient, wire: Any, method: str, path: str, options: Any
) -> None:
    """Everywhere, inside an intended change too: it is the connector's author who is to mend it."""
    for door in (plan(), live(Effect.READ), live()):
        with through(door), pytest.raises(RouteRefused):
            await client.request(method, path, **options)
        assert (door.sent, door.captured) == (False, [])
    assert wire.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/api1/hosts/1",
        "http://product.example/hosts/1",
        "http://product.example/api1x/hosts/1",
        "http://product.example/api12/hosts/1",
        "http://product.example.evil.example/api1/hosts/1",
        "http://product.example@evil.example/api1/hosts/1",
        "http://user:pass@product.example/api1/hosts/1",
        "http://product.example:8080/api1/hosts/1",
        "https://product.example/api1/hosts/1",
        "ftp://product.example/api1/hosts/1",
        "http://product.example\\@evil.example/api1/hosts/1",
        "http://evil.example/?http://product.example/api1/hosts/1",
        "http://evil.example#http://product.example/api1/hosts/1",
        "http://product.example/api1/../hosts/1",
        "http://product.example/api1/./../x",
    ],
)
async def test_an_absolute_url_leads_only_below_a_base_address(client: HttpClient, wire: Any, url: str) -> None:
    """A link to a next page can't take credentials elsewhere, not even inside a change."""
    for door in (plan(), live(Effect.READ), live()):
        with through(door), pytest.raises(RouteRefused):
            await client.get(url)
    assert wire.requests == []


@pytest.mark.parametrize(
    "base",
    ["HTTP://Product.Example/api1", "http://product.example:80/api1", "http://product.example/api1/"],
)
async def test_an_address_may_be_written_as_people_write_it(at: Client, wire: Any, base: str) -> None:
    """Upper case, the usual port and a slash at the end make no difference, in settings and in a product's links."""
    client = at(base)
    await client.get("/hosts/1")
    await client.get("http://product.example/api1/hosts/2")
    await client.get("http://PRODUCT.example:80/api1/hosts/3")
    assert wire.seen == [f"GET http://product.example/api1/hosts/{n}" for n in (1, 2, 3)]


async def test_another_port_is_kept(at: Client, wire: Any) -> None:
    """The valid twin of the usual port."""
    await at("http://product.example:8080").get("/hosts/1")
    assert wire.seen == ["GET http://product.example:8080/hosts/1"]


@pytest.mark.parametrize(
    "name", ["extensions", "mounts", "follow_redirects", "content", "data", "files", "cookies", "url"]
)
async def test_nothing_of_httpx_can_be_passed_through(client: HttpClient, name: str) -> None:
    """The `target` extension and its like have no way in."""
    with pytest.raises(TypeError):
        await client.request("GET", "/hosts/1", **{name: {"target": b"/evil"}})


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(client: HttpClient, wire: Any, status: int, method: str) -> None:
    """A redirect would send credentials, or a change, to a place that nobody judged."""
    import httpx

    from hikeshi.connector import Invalid

    wire.answers = [httpx.Response(status, headers={"location": "http://evil.example/"})]
    with through(live()), pytest.raises(Invalid, match="was redirected"):
        await client.request(method, "/hosts/1")
    assert len(wire.requests) == 1


async def test_a_change_after_its_last_request_is_refused(client: HttpClient, wire: Any) -> None:
    """`last=True` is a promise that the client holds a connector to; reads may follow."""
    with through(live()):
        await client.post("/a", last=True)
        await client.get("/hosts/1")
        with pytest.raises(RouteRefused, match="after the request it had called its last"):
            await client.post("/b")
    assert wire.seen == ["POST http://product.example/api1/a", "GET http://product.example/api1/hosts/1"]


LOOKS: dict[str, Callable[[Any], Any]] = {
    "status": lambda answer: answer.status,
    "json": lambda answer: answer.json(),
    "text": lambda answer: answer.text,
    "headers": lambda answer: answer.headers,
    "repr": repr,
    "str": str,
    "vars": vars,
    "equality": lambda answer: answer == answer,
    "hash": hash,
    "getattr with a default": lambda answer: getattr(answer, "status", 200),
    "hasattr": lambda answer: hasattr(answer, "nothing"),
    "f-string": lambda answer: f"{answer}",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_any_look_at_a_captured_answer_ends_the_preview(client: HttpClient, look: Callable[[Any], Any]) -> None:
    """There is no answer, so whatever follows from it is not known."""
    with through(plan()) as door:
        answer = await client.post("/a", json={"x": 1})
        with pytest.raises(CaptureEnded):
            look(answer)
    assert door.captured == [PreviewedRequest("POST", "http://product.example/api1/a", {"x": 1})]
    assert door.complete is False


async def test_a_connectors_own_error_handling_does_not_swallow_the_end(client: HttpClient) -> None:
    """`except Exception` and `suppress(Exception)` let it pass."""

    async def careful() -> None:
        answer = await client.post("/a")
        try:
            answer.json()
        except Exception:  # noqa: BLE001 - as connectors do
            pytest.fail("swallowed")

    async def careless() -> None:
        answer = await client.post("/a")
        with contextlib.suppress(Exception):
            answer.json()

    for connector in (careful, careless):
        with through(plan()), pytest.raises(CaptureEnded):
            await connector()


async def test_looking_after_the_last_request_leaves_the_preview_complete(client: HttpClient) -> None:
    """Whatever the answer, nothing follows."""
    with through(plan()) as door, pytest.raises(CaptureEnded):
        (await client.post("/a", last=True)).json()
    assert door.complete is True


async def test_looking_in_a_gather_that_keeps_errors_is_noticed(client: HttpClient) -> None:
    """`return_exceptions=True` swallows even this, and the preview still says that it is not complete."""

    async def one(path: str) -> Any:
        return (await client.post(path)).json()

    with through(plan()) as door:
        await asyncio.gather(one("/a"), one("/b"), return_exceptions=True)
    assert [request.url[-2:] for request in door.captured] == ["/a", "/b"]
    assert door.complete is False


async def test_a_preview_shows_the_body_as_it_would_be_sent(client: HttpClient) -> None:
    """JSON, form or none; with the volatile fields named."""
    with through(plan()) as door:
        await client.post("/a", json={"ids": ["1"]}, params={"n": [1, 2]})
        await client.post("/b", form={"cmd": "a b"})
        await client.delete("/c")
    assert [(request.method, request.url.rpartition("/")[2], request.body) for request in door.captured] == [
        ("POST", "a?n=1&n=2", {"ids": ["1"]}),
        ("POST", "b", {"cmd": "a b"}),
        ("DELETE", "c", None),
    ]


@pytest.mark.parametrize(
    "body", [{"json": {"a": "ü"}}, {"form": {"a": "ü&b"}}, {"json": []}, {"json": 0}, {"form": {}}, {}]
)
async def test_what_was_previewed_is_what_is_sent(client: HttpClient, wire: Any, body: Any) -> None:
    """The same method, address and body, byte for byte."""
    from urllib.parse import parse_qsl

    with through(plan()) as door:
        await client.put("/a", **body)
    with through(live()):
        await client.put("/a", **body)
    (request,) = wire.requests
    (shown,) = door.captured
    assert (request.method, str(request.url)) == (shown.method, shown.url)
    import json

    if "form" in body:
        assert dict(parse_qsl(request.content.decode())) == shown.body
    else:
        assert (json.loads(request.content) if request.content else None) == shown.body


def test_doors_do_not_leak_into_each_other() -> None:
    """The permission ends with its block, and nested ones return to the outer."""
    assert current_door() is None
    outer, inner = live(), plan()
    with through(outer):
        with through(inner):
            assert current_door() is inner
        assert current_door() is outer
    assert current_door() is None
    assert outer.closed
    assert inner.closed


async def test_a_change_after_the_call_has_ended_is_refused(client: HttpClient, wire: Any) -> None:
    """A task that was left behind has no permission any more."""

    async def later() -> None:
        await asyncio.sleep(0)
        await client.post("/late")

    with through(live()):
        task = asyncio.ensure_future(later())
    with pytest.raises(RouteRefused, match="after the action had ended"):
        await task
    assert wire.requests == []


class Ldap(Connector, product="ldap"):
    """A connector whose protocol is not HTTP."""

    class Settings(ConnectorSettings):
        base_url: str = "ldap://directory.example"


async def test_other_protocols_keep_the_same_rule() -> None:
    """`commit` sends only inside an intended change; in a plan it shows what it would do."""
    connector = build(Ldap, "ldap", {}, Redactor())
    done: list[str] = []

    async def modify() -> str:
        done.append("modify")
        return "ok"

    shown = PreviewedRequest("MODIFY", "ldap://directory.example/cn=x", {"enabled": False})
    with pytest.raises(RouteRefused):
        await connector.commit(shown, modify)
    for door in (live(Effect.READ), plan(Effect.READ), live(intended=False)):
        with through(door), pytest.raises(RouteRefused):
            await connector.commit(shown, modify)
    with through(plan()) as planned, pytest.raises(CaptureEnded):
        await connector.commit(shown, modify)
    assert (done, planned.captured) == ([], [shown])
    with through(live()) as door:
        assert await connector.commit(shown, modify) == "ok"
    assert (done, door.sent) == (["modify"], True)
    await connector.http.aclose()


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("<show><x/></show>", True),
        ("<set/>", False),
        ("<show/><set/>", False),
        ("<show>", False),
        ("", False),
        ("<!DOCTYPE x><show/>", False),
        ("<?xml version='1.0'?><show/>", False),
        ("<show><![CDATA[x]]></show>", False),
        ("<SHOW/>", False),
        ("<a:show xmlns:a='b'/>", False),
    ],
)
def test_one_xml_element_of_a_name_and_nothing_beside_it(text: str, accepted: bool) -> None:
    """What a command does is told by its root."""
    assert xml_root("show")(text) is accepted


def test_a_route_that_ends_in_two_stars_stays_below_its_base() -> None:
    """`**` is any number of segments, never another base address."""
    from hikeshi.connector.route import SeenRequest

    everything = Route("GET", "**")
    base = "http://product.example/api1"
    assert everything.matches(SeenRequest("GET", f"{base}/x/y", {}, b""), base)
    assert not everything.matches(SeenRequest("GET", "http://product.example/api12/x", {}, b""), base)
