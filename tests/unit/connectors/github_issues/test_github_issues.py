"""What is sent to GitHub, what its answers mean, and that a step opens one issue."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Ticket
from hikeshi.connector import Applied, Forbidden, Invalid, RateLimited, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.github_issues import GitHubIssues
from hikeshi_connectors.github_issues.body import marked, one_line

ISSUES = "https://api.github.com/repos/acme/soc/issues"
TICKET = Ticket(connector="github", id="7", name="#7", title="Phishing")
ISSUE = {
    "number": 7,
    "title": "Phishing",
    "state": "open",
    "body": None,
    "html_url": "https://github.com/acme/soc/issues/7",
}


def github(router: respx.MockRouter, **settings: Any) -> GitHubIssues:
    given = {"repository": "acme/soc", "token": Secret.of_value("t0k3n"), **settings}
    connector = build(GitHubIssues, "github", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, GitHubIssues)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="ticketing.create", intended=mode == "live", key=key)


def repository(*pages: list[dict[str, Any]]) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    answers = [httpx.Response(200, json=page) for page in pages or ([],)]
    router.get(f"{ISSUES}/7/comments", name="comments").mock(side_effect=list(answers))
    router.get(ISSUES, name="list").mock(side_effect=list(answers))
    router.post(ISSUES, name="create").respond(201, json=ISSUE)
    router.post(f"{ISSUES}/7/comments", name="comment").respond(201, json={"id": 1})
    return router


def sent(router: respx.MockRouter, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router[name].calls.last.request.content)
    return body


def mark_in(body: dict[str, Any]) -> str:
    return str(body["body"]).rpartition("<!-- ")[2].removesuffix(" -->")


async def test_an_issue_is_opened_with_its_labels():
    """Its text in a code block, and the mark of the step where nobody sees it."""
    router = repository()
    settings = {"labels": ["incident"], "severity_labels": {"high": "p1"}}
    with through(door()):
        ticket = await github(router, **settings).create("Phi\nsh", "@all look", "high")
    body = sent(router, "create")
    mark = mark_in(body)
    assert mark.startswith("hikeshi-")
    assert body == {
        "title": "Phi sh",
        "body": f"```text\nSeverity: high\n\n@all look\n```\n\n<!-- {mark} -->",
        "labels": ["incident", "p1"],
    }
    request = router["create"].calls.last.request
    assert request.headers["authorization"] == "Bearer t0k3n"
    assert request.headers["x-github-api-version"] == "2022-11-28"
    assert (ticket.id, ticket.name, ticket.status, ticket.url) == ("7", "#7", "open", ISSUE["html_url"])


@pytest.mark.safety(17)
async def test_the_same_step_opens_no_second_issue():
    """It gets the one with its mark, on whichever page, open or closed; a pull request that quotes it is none."""
    first = repository()
    with through(door()):
        await github(first).create("Phishing")
    body = sent(first, "create")["body"]
    newest = [{**ISSUE, "number": n, "body": "x"} for n in range(299, 200, -1)]
    pull = {**ISSUE, "number": 200, "body": body, "pull_request": {}}
    router = repository([*newest, pull], [{**ISSUE, "number": 9, "body": body, "state": "closed"}])
    with through(door()):
        ticket = await github(router).create("Phishing")
    assert (ticket.name, ticket.status) == ("#9", "closed")
    assert not router["create"].called
    params = [dict(call.request.url.params) for call in router["list"].calls]
    usual = {"state": "all", "sort": "created", "direction": "desc", "per_page": "100"}
    assert params == [{**usual, "page": "1"}, {**usual, "page": "2"}]


async def test_the_newest_issues_are_looked_through_and_no_more():
    """A repository with years of issues is not read to its end; another step has another mark."""
    page = [{**ISSUE, "number": n} for n in range(100)]
    router = repository(page, page, page)
    with through(door("run/1")):
        await github(router).create("Phishing")
    assert router["list"].call_count == 3
    mark = mark_in(sent(router, "create"))
    other = repository()
    with through(door("run/2")):
        await github(other).create("Phishing")
    assert mark_in(sent(other, "create")) != mark


@pytest.mark.safety(17)
async def test_the_same_step_adds_no_second_comment():
    """All comments of the issue are looked through."""
    first = repository()
    with through(door()):
        assert await github(first, markdown=True).comment(TICKET, "**isolated**") == TICKET
    body = sent(first, "comment")["body"]
    assert body.startswith("**isolated**\n\n<!-- hikeshi-")
    others = [{"id": n, "body": None} for n in range(100)]
    router = repository(others, others, others, others, [{"id": 401, "body": body}])
    with through(door()):
        assert await github(router).comment(TICKET, "isolated") == TICKET
    assert router["comments"].call_count == 5
    assert not router["comment"].called


async def test_a_plan_shows_the_whole_issue():
    """And is complete, although the answer would be read."""
    with through(door(mode="plan", key="")) as planned, pytest.raises(CaptureEnded):
        await github(repository()).create("Phishing", "text")
    (request,) = planned.captured
    assert (request.method, request.url, request.volatile) == ("POST", ISSUES, ("body",))
    assert planned.complete


async def test_a_pull_request_is_no_ticket():
    """GitHub counts both with the same numbers."""
    router = respx.MockRouter()
    router.get(f"{ISSUES}/7").respond(json={**ISSUE, "pull_request": {}})
    assert await github(router).find_tickets("#7") == []


@pytest.mark.parametrize("status", [404, 410])
async def test_an_issue_that_is_not_there_is_told_from_a_repository_that_cannot_be_read(status: int):
    """GitHub says the same of both."""
    router = respx.MockRouter()
    router.get(f"{ISSUES}/7").respond(status, json={"message": "Not Found"})
    listing = router.get(ISSUES, params={"per_page": 1}).respond(json=[])
    assert await github(router).find_tickets("7") == []
    listing.respond(status, json={"message": "Not Found"})
    with pytest.raises(Forbidden, match="check 'repository'"):
        await github(router).find_tickets("7")


@pytest.mark.parametrize("number", ["", "#", "0", "07", "-7", "７", "7/comments", "acme/soc#7", "9" * 30])
async def test_what_is_no_number_is_not_asked_for(number: str):
    """No request is made of it."""
    assert await github(respx.MockRouter()).find_tickets(number) == []


async def test_another_issue_than_the_one_asked_for_is_no_answer():
    """It is not taken for it."""
    router = respx.MockRouter()
    router.get(f"{ISSUES}/8").respond(json=ISSUE)
    with pytest.raises(Invalid, match="about issue #7"):
        await github(router).find_tickets("8")


@pytest.mark.parametrize("name", ["soc", "acme/soc/x", "acme/..", "acme/.", "../soc", "acme/so c", "acme/soc?x"])
def test_a_repository_has_an_owner_and_a_name(name: str):
    """Anything else is told when the project is read."""
    with pytest.raises(ValidationError):
        github(respx.MockRouter(), repository=name)


LIMITED = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772442060", "date": "Mon, 02 Mar 2026 09:00:00 GMT"}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "body", "after_s"),
    [
        ({"retry-after": "30", **LIMITED}, {}, 30.0),
        (LIMITED, {}, 60.0),
        ({"x-ratelimit-remaining": "4000"}, SECONDARY, 60.0),
    ],
)
async def test_a_limit_is_told_from_a_missing_privilege(
    status: int, headers: dict[str, str], body: Any, after_s: float
):
    """By its headers or, for the second kind of limit, by its words."""
    router = repository()
    router.post(ISSUES, name="create").respond(status, headers=headers, json=body)
    with through(door()), pytest.raises(RateLimited) as caught:
        await github(router).create("Phishing")
    assert (caught.value.retry_after_s, caught.value.applied) == (after_s, Applied.NO)


TOO_LONG = {"message": "Validation Failed", "errors": [{"field": "title", "code": "custom", "message": "is too long"}]}


@pytest.mark.parametrize(
    ("status", "body", "error", "applied"),
    [
        (401, {"message": "Bad credentials"}, Unauthorized, Applied.NO),
        (403, {"message": "Resource not accessible by personal access token"}, Forbidden, Applied.NO),
        (410, {"message": "Issues are disabled for this repo"}, Invalid, Applied.NO),
        (422, TOO_LONG, Invalid, Applied.NO),
        (503, {"message": "down"}, Unavailable, Applied.MAYBE),
        (201, [], Invalid, Applied.MAYBE),
        (201, {"number": 7}, Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(status: int, body: Any, error: type[Exception], applied: Applied):
    """With GitHub's words."""
    router = repository()
    router.post(ISSUES, name="create").respond(status, json=body)
    words = "title custom is too long" if status == 422 else None
    with through(door()), pytest.raises(error, match=words) as caught:
        await github(router).create("Phishing")
    assert caught.value.applied is applied  # type: ignore[attr-defined]


def test_no_text_ends_its_code_block():
    """However many backticks it has; long ones are cut."""
    assert marked("a\n````\n<img>", "m", markdown=False) == "`````text\na\n````\n<img>\n`````\n\n<!-- m -->"
    assert marked(" ", "m", markdown=False) == "<!-- m -->"
    assert marked("`" * 500, "m", markdown=False).count("`") == 100 + 2 * 101
    assert len(marked("x`" * 99_999, "m" * 48, markdown=False)) < 65_536
    assert one_line("x" * 999).endswith("characters cut)")
    assert len(one_line("x" * 999)) <= 250


async def test_trying_the_connector_asks_github():
    """With a number that can be one; the usual name of nobody would find nothing without a request."""
    router = respx.MockRouter()
    router.get(f"{ISSUES}/1").respond(404, json={"message": "Not Found"})
    listing = router.get(ISSUES).respond(json=[])
    assert await github(router).find_tickets(**(GitHubIssues.probes["find_tickets"] or {})) == []
    assert listing.called
