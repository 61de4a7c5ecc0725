"""What is asked of TheHive, what its answers mean, and that a step opens one case."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect, Indicator, Ticket
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, NotFound, RateLimited, Secret, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.thehive import TheHive

SITE = "https://hive.acme.example/hive"
API = f"{SITE}/api/v1"
TICKET = Ticket(connector="hive", id="~41056", name="#7", title="Phishing")
CASE = {"_id": "~41056", "number": 7, "title": "Phishing", "status": "New", "tags": []}
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")


def thehive(router: respx.MockRouter, **settings: Any) -> TheHive:
    given = {"base_url": SITE, "api_key": Secret.of_value("k3y"), **settings}
    connector = build(TheHive, "hive", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, TheHive)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="ticketing.create", intended=mode == "live", key=key)


def server(*found: dict[str, Any]) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.post(f"{API}/query", name="query").respond(json=list(found))
    router.post(f"{API}/case", name="create").respond(201, json=CASE)
    router.post(f"{API}/case/~41056/comment", name="comment").respond(201, json={"_id": "~1"})
    router.post(f"{API}/case/~41056/observable", name="observe").respond(201, json=[{"_id": "~2"}])
    return router


def sent(router: respx.MockRouter, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router[name].calls.last.request.content)
    return body


async def test_a_case_is_opened_with_its_marking():
    """Severity, TLP and PAP are numbers; the tags name the step."""
    router = server()
    with through(door()):
        ticket = await thehive(router, tlp="amber+strict", pap="red", organisation="soc").create(
            "Phi\nsh", "", "critical"
        )
    body = sent(router, "create")
    usual, marker = body.pop("tags")
    assert usual == "hikeshi"
    assert body == {"title": "Phi sh", "description": "(no description)", "severity": 4, "tlp": 3, "pap": 3}
    assert sent(router, "query") == {
        "query": [
            {"_name": "listCase"},
            {"_name": "filter", "_eq": {"_field": "tags", "_value": marker}},
            {"_name": "sort", "_fields": [{"_createdAt": "asc"}]},
            {"_name": "page", "from": 0, "to": 100},
        ]
    }
    headers = router["create"].calls.last.request.headers
    assert (headers["authorization"], headers["x-organisation"]) == ("Bearer k3y", "soc")
    assert (ticket.id, ticket.name, ticket.url) == ("~41056", "#7", f"{SITE}/cases/~41056/details")


@pytest.mark.safety(17)
async def test_the_same_step_opens_no_second_case():
    """A case with another tag is not taken for it; another step opens one of its own."""
    first = server({**CASE, "tags": ["hikeshi-other"]})
    with through(door()):
        await thehive(first, case_template="phishing").create("Phishing")
    assert sent(first, "create")["caseTemplate"] == "phishing"
    marker = sent(first, "create")["tags"][-1]
    router = server({**CASE, "number": 9, "tags": [marker]})
    with through(door()):
        assert (await thehive(router).create("Phishing")).name == "#9"
    with through(door("run/2")):
        await thehive(router).create("Phishing")
    assert len(router["create"].calls) == 1
    assert sent(router, "create")["tags"][-1] != marker


async def test_a_plan_shows_the_whole_case():
    """And is complete, although the answer would be read."""
    with through(door(mode="plan", key="")) as planned, pytest.raises(CaptureEnded):
        await thehive(server()).create("Phishing", "text")
    (request,) = planned.captured
    assert (request.method, request.url, request.volatile) == ("POST", f"{API}/case", ("tags",))
    assert planned.complete


async def test_a_comment_is_added_to_the_very_case():
    """Its text as it is."""
    router = server()
    with through(door()):
        assert await thehive(router).comment(TICKET, "a\nb") == TICKET
    assert sent(router, "comment") == {"message": "a\nb"}


@pytest.mark.parametrize("number", ["", "#", "0", "07", "7 ", "-7", "７", "~41056", "7/../8", "9" * 30])
async def test_what_is_no_number_is_not_asked_for(number: str):
    """No request is made of it."""
    assert await thehive(respx.MockRouter()).find_tickets(number) == []


@pytest.mark.parametrize("number", ["7", "#7"])
async def test_a_number_is_found_with_or_without_its_sign(number: str):
    """As a number, and nothing but it."""
    router = server(CASE, {**CASE, "_id": "~9", "number": 70})
    (ticket,) = await thehive(router).find_tickets(number)
    assert (ticket.name, ticket.status) == ("#7", "New")
    assert sent(router, "query")["query"][1] == {"_name": "filter", "_eq": {"_field": "number", "_value": 7}}


@pytest.mark.parametrize(
    ("kind", "value", "data_type"),
    [
        ("ipv6", "2001:db8::1", "ip"),
        ("email", "a@b.example", "mail"),
        ("sha1", "a" * 40, "hash"),
        ("url", "x://y", "url"),
    ],
)
async def test_an_indicator_is_added_by_its_type(kind: Any, value: str, data_type: str):
    """Marked as an indicator of compromise."""
    router = server()
    with through(door()):
        assert (await thehive(router).add_observable(TICKET, Indicator(kind=kind, value=value))).in_case
    assert sent(router, "observe") == {"dataType": data_type, "data": value, "ioc": True, "tlp": 2, "pap": 2}


@pytest.mark.safety(17)
async def test_what_is_in_the_case_is_not_added_again():
    """TheHive would refuse it."""
    router = server({"_id": "~2", "dataType": "ip", "data": ADDRESS.value})
    with through(door()):
        assert (await thehive(router).add_observable(TICKET, ADDRESS)).in_case
    assert not router["observe"].called


async def test_a_network_has_no_type():
    """Nothing is sent for it."""
    network = Indicator(kind="cidr", value="203.0.113.0/24")
    connector = thehive(respx.MockRouter())
    with through(door()), pytest.raises(Unsupported):
        await connector.add_observable(TICKET, network)
    with pytest.raises(Unsupported):
        await connector.observable_of(TICKET, network)


@pytest.mark.parametrize(
    ("indicator", "data", "in_case"),
    [
        (ADDRESS, "203.0.113.9", True),
        (ADDRESS, "203.0.113.90", False),
        (Indicator(kind="sha256", value="a" * 64), "A" * 64, True),
        (Indicator(kind="url", value="http://x/A"), "http://x/a", False),
        (ADDRESS, None, False),
    ],
)
async def test_an_observable_is_recognised_by_its_data(indicator: Indicator, data: Any, in_case: bool):
    """A file has an attachment instead."""
    types = {"ipv4": "ip", "sha256": "hash", "url": "url"}
    router = server({"_id": "~2", "dataType": types[indicator.kind], "data": data})
    state = await thehive(router).observable_of(TICKET, indicator)
    assert state.in_case is in_case
    steps = sent(router, "query")["query"]
    assert steps[:2] == [{"_name": "getCase", "idOrName": "~41056"}, {"_name": "observables"}]


EXISTS = {"type": "CreateError", "message": "Observable already exists"}


@pytest.mark.parametrize(
    ("status", "body", "error", "applied"),
    [
        (400, EXISTS, Conflict, Applied.NO),
        (201, {"success": [], "failure": [{**EXISTS, "object": {}}]}, Conflict, Applied.NO),
        (400, {"type": "BadRequest", "message": "Invalid json"}, Invalid, Applied.NO),
        (207, {"success": [], "failure": [{}]}, Invalid, Applied.NO),
        (403, {"type": "AuthorizationError", "message": "no"}, Forbidden, Applied.NO),
        (404, {"type": "NotFoundError", "message": "Case not found"}, NotFound, Applied.NO),
        (429, "", RateLimited, Applied.NO),
        (201, "text", Invalid, Applied.MAYBE),
        (201, [], Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(status: int, body: Any, error: type[Exception], applied: Applied):
    """What is there already is a conflict, in both ways of saying so."""
    router = server()
    router.post(f"{API}/case/~41056/observable", name="observe").respond(status, json=body)
    with through(door()), pytest.raises(error) as caught:
        await thehive(router).add_observable(TICKET, ADDRESS)
    assert caught.value.applied is applied  # type: ignore[attr-defined]


async def test_trying_the_connector_asks_thehive():
    """With a number that can be one; the usual name of nobody would find nothing without a request."""
    router = server()
    assert await thehive(router).find_tickets(**(TheHive.probes["find_tickets"] or {})) == []
    assert router["query"].called
