"""GitHub's REST API for issues over an estate: issues and comments of one repository, in numbered pages.

Sources: https://docs.github.com/en/rest/issues, .../rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Ticket
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["GitHubIssuesSimulator"]

_REPOSITORY: Final = "acme/soc"
_TITLE_MOST, _BODY_MOST, _PAGE_MOST = 256, 65_536, 100
_DOCS: Final = "https://docs.github.com/rest"


class GitHubIssuesSimulator(Simulator):
    """The repository acme/soc, whose issues are the estate's tickets whose `details` say `product: github_issues`."""

    product = "github_issues"
    instance_name = "github"
    demo_settings: ClassVar[Mapping[str, str]] = {"token": "simulated-github-token", "repository": _REPOSITORY}
    rate_limit = (5000, 3600.0)

    def routes(self) -> list[BaseRoute]:
        issues = "/repos/{owner}/{repo}/issues"
        return [
            Route(issues, self._list, methods=["GET"]),
            Route(issues, self._create, methods=["POST"]),
            Route(f"{issues}/{{number}}", self._get, methods=["GET"]),
            Route(f"{issues}/{{number}}/comments", self._comments, methods=["GET"]),
            Route(f"{issues}/{{number}}/comments", self._comment, methods=["POST"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if bearer_token(request) != self.credentials["token"]:
            return self.error(401, "Bad credentials")
        # What a token may not see is not there.
        return None if f"/repos/{_REPOSITORY}/" in request.url.path else self.error(404, "Not Found")

    def error(self, status: int, detail: str) -> Response:
        body = {"message": detail, "documentation_url": _DOCS, "status": str(status)}
        return JSONResponse(body, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = self.error(403, "API rate limit exceeded for user ID 1.")
        answer.headers["X-RateLimit-Remaining"] = "0"
        # The reader compares it with the header 'Date', which is of this computer's clock.
        answer.headers["X-RateLimit-Reset"] = str(round(time.time() + retry_after_s))
        return answer

    def shows(self) -> dict[str, Any]:
        return {
            "issues": [
                {
                    "number": ticket.details["number"],
                    "title": ticket.title,
                    "labels": ticket.details.get("labels", []),
                    "comments": len(ticket.details.get("comments", ())),
                }
                for ticket in self.issues
            ]
        }

    @property
    def issues(self) -> list[Ticket]:
        return [ticket for ticket in self.estate.tickets if ticket.details.get("product") == self.product]

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        wanted = query.get("state", "open")
        found = [_shown(issue) for issue in self.issues if wanted in ("all", issue.status)]
        found.sort(key=lambda each: each["number"], reverse=query.get("direction", "desc") == "desc")
        return _page(request, found)

    async def _create(self, request: Request) -> Response:
        given = await request.json()
        if wrong := _wrong_with(given):
            return _invalid("Issue", *wrong)
        number = max((issue.details["number"] for issue in self.issues), default=0) + 1
        details = {"product": self.product, "number": number, "labels": list(given.get("labels", ()))}
        issue = Ticket(f"github-{number}", self.estate.now(), given["title"], given.get("body") or "", None, "open")
        issue.details = details
        self.estate.tickets.append(issue)
        return JSONResponse(_shown(issue), status_code=201)

    async def _get(self, request: Request) -> Response:
        issue = self._issue(request)
        return self.error(404, "Not Found") if issue is None else JSONResponse(_shown(issue))

    async def _comments(self, request: Request) -> Response:
        issue = self._issue(request)
        if issue is None:
            return self.error(404, "Not Found")
        return _page(request, [{"id": n, "body": text} for n, text in enumerate(issue.details.get("comments", ()))])

    async def _comment(self, request: Request) -> Response:
        issue, text = self._issue(request), (await request.json()).get("body")
        if issue is None:
            return self.error(404, "Not Found")
        if not text or len(text) > _BODY_MOST:
            return _invalid("IssueComment", ("data", f"Body is too long (maximum is {_BODY_MOST} characters)"))
        comments = issue.details.setdefault("comments", [])
        comments.append(text)
        return JSONResponse({"id": len(comments), "body": text}, status_code=201)

    def _issue(self, request: Request) -> Ticket | None:
        wanted = request.path_params["number"]
        return next((issue for issue in self.issues if str(issue.details["number"]) == wanted), None)


def _page(request: Request, found: Sequence[dict[str, Any]]) -> Response:
    """Return one page; the link to the next one has the repository's ID in it, as GitHub's has."""
    size = min(int(request.query_params.get("per_page", "30")), _PAGE_MOST)
    number = int(request.query_params.get("page", "1"))
    answer = JSONResponse(list(found[(number - 1) * size : number * size]))
    if number * size < len(found):
        answer.headers["Link"] = f'<{request.base_url}repositories/1/issues?page={number + 1}>; rel="next"'
    return answer


def _shown(issue: Ticket) -> dict[str, Any]:
    number, kind = issue.details["number"], "pull" if issue.details.get("pull_request") else "issues"
    shown = {
        "number": number,
        "title": issue.title,
        "body": issue.text or None,
        "state": issue.status,
        "html_url": f"https://github.com/{_REPOSITORY}/{kind}/{number}",
        "labels": [{"name": name} for name in issue.details.get("labels", ())],
    }
    return {**shown, "pull_request": {}} if kind == "pull" else shown


def _wrong_with(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    title, wrong = given.get("title"), []
    if not title or not isinstance(title, str):
        wrong.append(("title", "title is missing"))
    elif len(title) > _TITLE_MOST:
        wrong.append(("title", f"title is too long (maximum is {_TITLE_MOST} characters)"))
    if len(given.get("body") or "") > _BODY_MOST:
        wrong.append(("body", f"body is too long (maximum is {_BODY_MOST} characters)"))
    return wrong


def _invalid(resource: str, *wrong: tuple[str, str]) -> Response:
    errors = [{"resource": resource, "field": field, "code": "custom", "message": text} for field, text in wrong]
    body = {"message": "Validation Failed", "errors": errors, "documentation_url": _DOCS, "status": "422"}
    return JSONResponse(body, status_code=422)
