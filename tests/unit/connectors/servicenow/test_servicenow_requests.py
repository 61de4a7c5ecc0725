"""What is asked of ServiceNow, what its answers mean, and that a step opens one incident."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect, Software, Ticket
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, RateLimited, Secret, Unavailable, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.servicenow import ServiceNow

SITE = "https://acme.service-now.com"
INCIDENTS = f"{SITE}/api/now/table/incident"
COMPUTERS = f"{SITE}/api/now/table/cmdb_ci_computer"
INSTALLATIONS = f"{SITE}/api/now/table/cmdb_sam_sw_install"
TICKET = Ticket(connector="sn", id="a" * 32, name="INC0010001", title="Phishing")
ROW = {
    "sys_id": "a" * 32,
    "number": "INC0010001",
    "short_description": "Phishing",
    "state": "New",
    "correlation_id": "",
}


def servicenow(router: respx.MockRouter, **settings: Any) -> ServiceNow:
    given = {"base_url": SITE, "username": "hikeshi", "password": Secret.of_value("pw"), **settings}
    connector = build(ServiceNow, "sn", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, ServiceNow)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="ticketing.create", intended=mode == "live", key=key)


def instance(*rows: dict[str, Any]) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.get(INCIDENTS, name="list").respond(json={"result": list(rows)})
    router.post(INCIDENTS, name="create").respond(201, json={"result": ROW})
    router.patch(f"{INCIDENTS}/{'a' * 32}", name="update").respond(json={"result": ROW})
    return router


def sent(router: respx.MockRouter, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router[name].calls.last.request.content)
    return body


def both(**values: str) -> dict[str, Any]:
    return {name.replace("__", "."): {"value": value, "display_value": value} for name, value in values.items()}


async def test_an_incident_is_opened_with_its_grade_and_key():
    """Impact and urgency make the priority; what the settings add is there as well."""
    router = instance()
    with through(door()):
        ticket = await servicenow(router, fields={"category": "security"}).create("Phish\ning", "text", "critical")
    body = sent(router, "create")
    marker = body.pop("correlation_id")
    assert marker.startswith("hikeshi-")
    query = router["list"].calls.last.request.url.params["sysparm_query"]
    assert query == f"correlation_id={marker}^ORDERBYsys_id"
    assert body == {
        "short_description": "Phish ing",
        "description": "text",
        "impact": "1",
        "urgency": "1",
        "category": "security",
        "correlation_display": "Hikeshi",
    }
    assert router["create"].calls.last.request.headers["authorization"] == "Basic aGlrZXNoaTpwdw=="
    assert (ticket.id, ticket.name, ticket.status) == ("a" * 32, "INC0010001", "New")
    assert ticket.url == f"{SITE}/incident.do?sys_id={'a' * 32}"


@pytest.mark.safety(17)
async def test_the_same_step_opens_no_second_incident():
    """Rows of other keys, which a query that is ignored in part gives, are not taken for it."""
    first = instance({**ROW, "correlation_id": "hikeshi-of-another-step"})
    with through(door()):
        await servicenow(first).create("Phishing")
    marker = sent(first, "create")["correlation_id"]
    router = instance({**ROW, "number": "INC7", "correlation_id": marker})
    with through(door()):
        assert (await servicenow(router).create("Phishing")).name == "INC7"
    with through(door("run/2")):
        await servicenow(router).create("Phishing")
    assert len(router["create"].calls) == 1
    assert sent(router, "create")["correlation_id"] != marker


async def test_a_plan_shows_the_whole_incident():
    """And is complete, although the answer would be read."""
    with through(door(mode="plan", key="")) as planned, pytest.raises(CaptureEnded):
        await servicenow(instance()).create("Phishing", "text")
    (request,) = planned.captured
    assert (request.method, request.volatile) == ("POST", ("correlation_id",))
    assert planned.complete


async def test_a_comment_is_a_work_note():
    """Of the very incident; the caller does not see it."""
    router = instance()
    with through(door()):
        assert (await servicenow(router).comment(TICKET, "isolated")).id == TICKET.id
    assert sent(router, "update") == {"work_notes": "isolated"}


async def test_long_texts_are_cut_with_a_note():
    """To what the fields hold."""
    router = instance()
    with through(door()):
        await servicenow(router).create("x" * 500, "y" * 9000)
    body = sent(router, "create")
    assert (len(body["short_description"]) <= 160, len(body["description"]) <= 4000) == (True, True)
    assert body["short_description"].endswith("characters cut)")


@pytest.mark.parametrize("number", ["", "INC", "0010001", "INC1^active=true", "INC1^NQactive=true", "ＩＮＣ1"])
async def test_what_is_no_number_is_not_asked_for(number: str):
    """No request is made of it."""
    assert await servicenow(respx.MockRouter()).find_tickets(number) == []


async def test_a_number_that_the_instance_ignores_finds_nothing():
    """ServiceNow gives all rows for a query that it does not understand."""
    assert await servicenow(instance(ROW)).find_tickets("INC0010002") == []


@pytest.mark.parametrize("name", ["a^ORname!=b", "javascript:gs.getUserID()", " JavaScript :x", "a\nb"])
async def test_a_name_that_would_become_a_query_is_refused(name: str):
    """It is not said to be absent: nobody has looked."""
    connector = servicenow(respx.MockRouter())
    with pytest.raises(Invalid, match="part of the query"):
        await connector.find_assets(name)
    with pytest.raises(Invalid, match="part of the query"):
        await connector.search_assets(name)


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("PC-7", "name=PC-7^ORfqdn=PC-7^ORDERBYsys_id"),
        ("10.0.0.7", "name=10.0.0.7^ORfqdn=10.0.0.7^ORip_address=10.0.0.7^ORDERBYsys_id"),
        ("b" * 32, f"name={'b' * 32}^ORfqdn={'b' * 32}^ORsys_id={'b' * 32}^ORDERBYsys_id"),
    ],
)
async def test_assets_are_found_by_what_names_them(name: str, query: str):
    """And every page is read, however short the first one is."""
    row = both(sys_id="b" * 32, name="pc-7", fqdn="", ip_address="10.0.0.7", os="Windows", location="", assigned_to="")
    row |= {"owned_by": {"value": "x", "display_value": "Ann"}}
    router = respx.MockRouter()
    answers = [
        httpx.Response(200, json={"result": []}, headers={"x-total-count": "150"}),
        httpx.Response(200, json={"result": [row, {**row, "name": {"value": "PC-8"}, "sys_id": {}, "ip_address": {}}]}),
    ]
    route = router.get(COMPUTERS, params={"sysparm_query": query}).mock(side_effect=answers)
    (asset,) = await servicenow(router).find_assets(name)
    assert (asset.name, asset.owner, asset.os, asset.ips, asset.site) == ("pc-7", "Ann", "Windows", ("10.0.0.7",), None)
    assert [call.request.url.params["sysparm_offset"] for call in route.calls] == ["0", "100"]


async def test_installations_of_one_computer_are_one_asset():
    """Of the versions that are asked for, each with its version."""
    ci = both(installed_on="c1", installed_on__name="PC-7", installed_on__ip_address="10.0.0.7")
    rows = [
        {**both(sys_id=str(n), display_name="Firefox", version=version), **ci}
        for n, version in enumerate(("115", "116", "117", "116"))
    ]
    lost = both(sys_id="9", display_name="Firefox", version="115", installed_on="")
    router = respx.MockRouter()
    router.get(INSTALLATIONS).respond(json={"result": [*rows, lost]})
    (asset,) = await servicenow(router).search_assets("firefox", versions=["115", "116"])
    assert (asset.id, asset.name, asset.ips) == ("c1", "PC-7", ("10.0.0.7",))
    assert asset.software == (Software(name="Firefox", version="115"), Software(name="Firefox", version="116"))
    with pytest.raises(Unsupported):
        await servicenow(router).search_assets("firefox", exposed=True)


@pytest.mark.parametrize(
    ("status", "body", "error", "applied"),
    [
        (403, {"error": {"message": "Operation Failed", "detail": "ACL Exception"}}, Forbidden, Applied.NO),
        (409, {"error": "exists"}, Conflict, Applied.NO),
        (200, {"error": {"message": "late"}, "status": "failure", "result": ROW}, Unavailable, Applied.MAYBE),
        (201, {"result": []}, Invalid, Applied.MAYBE),
        (201, {"result": {"number": "INC1"}}, Invalid, Applied.MAYBE),
        (202, "", Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(status: int, body: Any, error: type[Exception], applied: Applied):
    """A 200 that says failure is one of them."""
    router = instance()
    router.post(INCIDENTS, name="create").respond(status, json=body)
    with through(door()), pytest.raises(error) as caught:
        await servicenow(router).create("Phishing")
    assert caught.value.applied is applied  # type: ignore[attr-defined]


async def test_a_cancelled_transaction_is_no_list():
    """It answers 200, with the rows it had come to and no end."""
    router = respx.MockRouter()
    half = '{"result":[{"number":"INC1"}, "error":{"message":"Transaction cancelled: maximum execution time exceeded"}'
    router.get(INCIDENTS).respond(200, text=half)
    with pytest.raises(Unavailable, match="half-way"):
        await servicenow(router).find_tickets("INC1")


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({"retry-after": "9", "x-ratelimit-reset": "99"}, 9.0),
        ({"x-ratelimit-reset": "1772442060", "date": "Mon, 02 Mar 2026 09:00:00 GMT"}, 60.0),
        ({}, None),
    ],
)
async def test_the_hint_of_a_rate_limit_is_taken(headers: dict[str, str], after_s: float | None):
    """Seconds, or else the end of the hour that is counted."""
    router = instance()
    router.post(INCIDENTS, name="create").respond(429, headers=headers)
    with through(door()), pytest.raises(RateLimited) as caught:
        await servicenow(router).create("Phishing")
    assert caught.value.retry_after_s == after_s


async def test_trying_the_connector_asks_the_instance():
    """With a number that can be one; the usual name of nobody would find nothing without a request."""
    router = instance()
    assert await servicenow(router).find_tickets(**(ServiceNow.probes["find_tickets"] or {})) == []
    assert router["list"].called
