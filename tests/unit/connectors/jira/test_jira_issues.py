"""What is sent to Jira, what its answers mean, and that a step opens one issue."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect, Ticket
from hikeshi.connector import Applied, Forbidden, Invalid, RateLimited, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.jira import Jira
from hikeshi_connectors.jira.document import document, one_line

SITE = "https://acme.atlassian.net"
API = f"{SITE}/rest/api/3"
TICKET = Ticket(connector="jira", id="10007", name="SOC-7", title="Phishing")
REFUSED_LOGIN = {"x-seraph-loginreason": "AUTHENTICATED_FAILED"}


def jira(router: respx.MockRouter, **settings: Any) -> Jira:
    given = {
        "base_url": SITE,
        "email": "soar@acme.example",
        "api_token": Secret.of_value("t0k3n"),
        "project": "SOC",
        **settings,
    }
    connector = build(Jira, "jira", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, Jira)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="ticketing.create", intended=mode == "live", key=key)


def issue(key: str, **fields: Any) -> dict[str, Any]:
    usual = {"summary": "Phishing", "status": {"name": "To Do"}, "labels": []}
    return {"id": "10007", "key": key, "fields": {**usual, **fields}}


def site(*pages: dict[str, Any]) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    answers = [httpx.Response(200, json=page) for page in pages] or [httpx.Response(200, json={"issues": []})]
    router.post(f"{API}/search/jql", name="search").mock(side_effect=answers)
    router.post(f"{API}/issue", name="create").respond(201, json={"id": "10007", "key": "SOC-7"})
    router.post(f"{API}/issue/10007/comment", name="comment").respond(201, json={"id": "1"})
    return router


def sent(router: respx.MockRouter, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router[name].calls.last.request.content)
    return body


async def test_an_issue_is_opened_with_its_fields():
    """In the configured project, with a document for its description and a label for the step."""
    router = site()
    with through(door()):
        ticket = await jira(router).create("Phishing", "a\nb", "critical")
    fields = sent(router, "create")["fields"]
    usual, marker = fields.pop("labels")
    assert usual == "hikeshi"
    assert sent(router, "search")["jql"] == f'project = "SOC" AND labels = "{marker}" ORDER BY created ASC'
    assert fields == {
        "project": {"key": "SOC"},
        "issuetype": {"name": "Task"},
        "summary": "Phishing",
        "description": document("a\nb"),
        "priority": {"name": "Highest"},
    }
    assert (ticket.id, ticket.name, ticket.url) == ("10007", "SOC-7", f"{SITE}/browse/SOC-7")
    login = base64.b64encode(b"soar@acme.example:t0k3n").decode()
    assert router["create"].calls.last.request.headers["authorization"] == f"Basic {login}"


async def test_what_the_form_does_not_have_is_left_out():
    """A priority where there is none, and a description without text."""
    router = site()
    with through(door()):
        await jira(router, priorities={}, site_url="https://acme.atlassian.net/").create("Phishing", "  ")
    assert set(sent(router, "create")["fields"]) == {"project", "issuetype", "summary", "labels"}


@pytest.mark.safety(17)
async def test_the_same_step_opens_no_second_issue():
    """It gets the one that carries its label, wherever in the pages that is; similar labels are others."""
    first = site()
    with through(door()):
        await jira(first).create("Phishing")
    marker = sent(first, "create")["fields"]["labels"][-1]
    router = site(
        {"issues": [issue("SOC-1", labels=[f"{marker}x"])], "nextPageToken": "p2"},
        {"issues": [issue("SOC-7", labels=["hikeshi", marker])], "isLast": True},
    )
    with through(door()):
        ticket = await jira(router).create("Phishing")
    assert (ticket.name, ticket.status) == ("SOC-7", "To Do")
    assert sent(router, "search")["nextPageToken"] == "p2"
    assert not router["create"].called


async def test_another_step_has_another_label():
    """Two steps may well open two issues with the same title."""
    router = site({"issues": []}, {"issues": []})
    labels = set()
    for key in ("run/1", "run/2"):
        with through(door(key)):
            await jira(router).create("Phishing")
        labels.add(sent(router, "create")["fields"]["labels"][-1])
    assert len(labels) == 2


async def test_a_search_that_fails_opens_nothing():
    """What could not be read is not the same as nothing there."""
    router = respx.MockRouter(assert_all_called=False)
    router.post(f"{API}/search/jql").respond(200, json={"warning": "no issues here"})
    with through(door()) as opened, pytest.raises(Invalid) as caught:
        await jira(router).create("Phishing")
    assert (opened.sent, caught.value.applied) == (False, Applied.NO)


async def test_a_plan_shows_the_whole_issue():
    """And is complete, although the answer would be read."""
    with through(door(mode="plan", key="")) as planned, pytest.raises(CaptureEnded):
        await jira(site()).create("Phishing", "text")
    (request,) = planned.captured
    assert (request.method, request.url, request.volatile) == ("POST", f"{API}/issue", ("labels",))
    assert planned.complete


async def test_a_comment_is_a_document():
    """Markup and mentions in it stay text."""
    router = site()
    with through(door()):
        assert await jira(router).comment(TICKET, "*no* [~admin]") == TICKET
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": "*no* [~admin]"}]}
    assert sent(router, "comment") == {"body": {"type": "doc", "version": 1, "content": [paragraph]}}


async def test_an_id_never_leaves_its_segment_of_the_path():
    """Whatever an entity carries."""
    router = respx.MockRouter(assert_all_called=False)
    odd = TICKET.model_copy(update={"id": "../user?x#y"})
    with through(door()), pytest.raises(Exception, match="encoded dots or slashes"):
        await jira(router).comment(odd, "text")


async def test_a_moved_issue_is_not_found_by_its_old_key():
    """Jira answers for it under the new one."""
    router = respx.MockRouter()
    router.get(f"{API}/issue/SOC-7", params={"fields": "summary,status,labels"}).respond(200, json=issue("IT-9"))
    assert await jira(router).find_tickets("SOC-7") == []


async def test_a_key_is_found_in_any_case():
    """As Jira does."""
    router = respx.MockRouter()
    router.get(f"{API}/issue/soc-7").respond(200, json=issue("SOC-7"))
    (ticket,) = await jira(router).find_tickets("soc-7")
    assert (ticket.connector, ticket.name, ticket.title, ticket.status) == ("jira", "SOC-7", "Phishing", "To Do")


@pytest.mark.parametrize(
    ("settings", "url"), [({}, None), ({"site_url": f"{SITE}/"}, f"{SITE}/browse/SOC-7")], ids=["gateway", "site"]
)
async def test_the_gateway_is_no_place_to_open_an_issue(settings: dict[str, Any], url: str | None):
    """It has an address only where the site is known."""
    base = "https://api.atlassian.com/ex/jira/11111111-2222-3333-4444-555555555555"
    router = respx.MockRouter()
    router.get(f"{base}/rest/api/3/issue/SOC-7").respond(200, json=issue("SOC-7"))
    (ticket,) = await jira(router, base_url=base, **settings).find_tickets("SOC-7")
    assert ticket.url == url


@pytest.mark.parametrize("number", ["", "7", "SOC-", "SOC-07", "SOC-7/comment", "SOC-7 OR 1=1", "ＳＯＣ-7"])
async def test_what_is_no_key_is_not_asked_for(number: str):
    """No request is made of it."""
    assert await jira(respx.MockRouter()).find_tickets(number) == []


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "applied"),
    [
        (200, REFUSED_LOGIN, {"issues": []}, Unauthorized, Applied.NO),
        (404, REFUSED_LOGIN, {}, Unauthorized, Applied.NO),
        (400, {}, {"errorMessages": [], "errors": {"priority": "is invalid"}}, Invalid, Applied.NO),
        (403, {}, {"errorMessages": ["no"], "errors": {}}, Forbidden, Applied.NO),
        (502, {}, "<html>", Unavailable, Applied.MAYBE),
        (201, {}, {"key": "SOC-7"}, Invalid, Applied.MAYBE),
        (201, {}, [], Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(
    status: int, headers: dict[str, str], body: Any, error: type[Exception], applied: Applied
):
    """A refused token beside a 200 is one of them."""
    router = site()
    router.post(f"{API}/issue", name="create").respond(status, headers=headers, json=body)
    with through(door()), pytest.raises(error) as caught:
        await jira(router).create("Phishing")
    assert caught.value.applied is applied  # type: ignore[attr-defined]


async def test_an_error_names_the_field():
    """So that an operator knows what to change."""
    router = site()
    router.post(f"{API}/issue", name="create").respond(400, json={"errorMessages": [], "errors": {"priority": "bad"}})
    with through(door()), pytest.raises(Invalid, match="priority: bad"):
        await jira(router).create("Phishing")


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"retry-after": "9", "ratelimit-reason": "jira-per-issue-on-write"}, 9.0, 9.0),
        ({"x-ratelimit-reset": "2999-01-01T00:00Z"}, 1e9, 1e12),
    ],
)
async def test_the_hint_of_a_rate_limit_is_taken(headers: dict[str, str], least_s: float, most_s: float):
    """Seconds, or else a moment as ISO 8601."""
    router = site()
    router.post(f"{API}/issue", name="create").respond(429, headers=headers)
    with through(door()), pytest.raises(RateLimited) as caught:
        await jira(router).create("Phishing")
    assert caught.value.retry_after_s is not None
    assert least_s <= caught.value.retry_after_s <= most_s


def test_long_and_odd_texts_are_made_fit():
    """Jira refuses empty text nodes, long titles and several lines."""
    assert one_line("a\nb\x00") == "a b"
    assert one_line(" ") == "(no title)"
    assert len(one_line("x" * 999)) <= 255
    assert len(json.dumps(document("x" * 99_999))) < 32_767
    assert document("")["content"] == [{"type": "paragraph", "content": []}]
    texts = [node["text"] for node in document("a\n\nb\nc\x07")["content"][1]["content"] if node["type"] == "text"]
    assert texts == ["b", "c "]


async def test_trying_the_connector_asks_jira():
    """With a key that can be one; the usual name of nobody would find nothing without a request."""
    router = respx.MockRouter()
    router.get(f"{API}/issue/HIKESHI-1").respond(404, headers=REFUSED_LOGIN, json={})
    with pytest.raises(Unauthorized):
        await jira(router).find_tickets(**(Jira.probes["find_tickets"] or {}))
