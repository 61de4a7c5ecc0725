"""Jira Cloud's REST API v3 over an estate: issues of one project, comments, and a search that lags behind.

Sources: https://developer.atlassian.com/cloud/jira/platform/rest/v3/, .../search-and-reconcile/, .../rate-limiting/.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Ticket
from hikeshi.testing.simulator import Simulator

__all__ = ["JiraSimulator"]

_PROJECT, _FIRST_ID, _PAGE_MOST = "SOC", 10_000, 20
_TYPES: Final = ("Task", "Bug", "Incident")
_PRIORITIES: Final = ("Highest", "High", "Medium", "Low", "Lowest")
_KNOWN: Final = frozenset({"project", "issuetype", "summary", "description", "labels", "priority"})
_JQL: Final = re.compile(r'project = "([^"\\]*)" AND labels = "([^"\\]*)"(?: ORDER BY created ASC)?')
_SEARCH_KEYS: Final = frozenset({"jql", "fields", "maxResults", "nextPageToken", "expand", "properties"})
_NO_ISSUE: Final = "Issue does not exist or you do not have permission to see it."
_LOGIN: Final = "X-Seraph-LoginReason"


class JiraSimulator(Simulator):
    """A site with the project SOC: the estate's tickets whose `details` say `product: jira`."""

    product = "jira"
    instance_name = "jira"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "email": "soar@corp.example",
        "api_token": "simulated-jira-token",
        "project": _PROJECT,
    }
    rate_limit = (100, 10.0)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/rest/api/3/issue", self._create, methods=["POST"]),
            Route("/rest/api/3/issue/{key}", self._get, methods=["GET"]),
            Route("/rest/api/3/issue/{key}/comment", self._comment, methods=["POST"]),
            Route("/rest/api/3/search/jql", self._search, methods=["POST"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith("/search/jql")

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        """Serve a refused caller as an anonymous one, to whom nothing is public."""
        if request.headers.get("authorization") == f"Basic {self._expected()}":
            return None
        if request.url.path.endswith("/search/jql"):
            return JSONResponse({"issues": [], "isLast": True}, headers={_LOGIN: "AUTHENTICATED_FAILED"})
        status = 404 if request.method == "GET" else 401
        answer = self.error(status, _NO_ISSUE if status == 404 else "Client must be authenticated.")
        answer.headers[_LOGIN] = "AUTHENTICATED_FAILED"
        return answer

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"errorMessages": [detail], "errors": {}}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = super().too_many_requests(retry_after_s)
        answer.headers["RateLimit-Reason"] = "jira-burst-based"
        return answer

    def shows(self) -> dict[str, Any]:
        return {
            "issues": [
                {
                    "key": _key(ticket),
                    "summary": ticket.title,
                    "priority": ticket.severity,
                    "comments": len(ticket.details.get("comments", ())),
                }
                for ticket in self.issues
            ]
        }

    @property
    def issues(self) -> list[Ticket]:
        return [ticket for ticket in self.estate.tickets if ticket.details.get("product") == self.product]

    def _expected(self) -> str:
        return base64.b64encode(f"{self.credentials['email']}:{self.credentials['api_token']}".encode()).decode()

    async def _create(self, request: Request) -> Response:
        given = (await request.json()).get("fields", {})
        if wrong := _wrong_with(given):
            return JSONResponse({"errorMessages": [], "errors": wrong}, status_code=400)
        number = len(self.issues) + 1
        ticket = Ticket(
            str(_FIRST_ID + number),
            self.estate.now(),
            given["summary"],
            _text_of(given.get("description", {})),
            given.get("priority", {}).get("name", "Medium"),
            "To Do",
            {"product": self.product, "number": number, "labels": list(given.get("labels", ()))},
        )
        self.estate.tickets.append(ticket)
        return JSONResponse({"id": ticket.id, "key": _key(ticket), "self": self._link(request, ticket)}, 201)

    async def _get(self, request: Request) -> Response:
        ticket = self._issue(request)
        return self.error(404, _NO_ISSUE) if ticket is None else JSONResponse(self._shown(request, ticket))

    async def _comment(self, request: Request) -> Response:
        ticket, body = self._issue(request), (await request.json()).get("body")
        if ticket is None:
            return self.error(404, _NO_ISSUE)
        if not _is_document(body):
            return JSONResponse({"errorMessages": [], "errors": {"comment": "Comment body is not valid!"}}, 400)
        comments = ticket.details.setdefault("comments", [])
        comments.append(_text_of(body))
        return JSONResponse({"id": str(len(comments)), "self": self._link(request, ticket), "body": body}, 201)

    async def _search(self, request: Request) -> Response:
        given = await request.json()
        asked = _JQL.fullmatch(str(given.get("jql", "")))
        if asked is None or given.keys() - _SEARCH_KEYS:
            return self.error(400, "Invalid request payload. Refer to the REST API documentation and try again.")
        # The index follows the issues after a while, as Jira's does.
        indexed = self.estate.now() - timedelta(seconds=self.estate.settle_s)
        project, label = asked.groups()
        found = [
            ticket
            for ticket in self.issues
            if project.upper() == _PROJECT and label in ticket.details["labels"] and ticket.at <= indexed
        ]
        start, most = int(given.get("nextPageToken", "0")), min(int(given.get("maxResults", 50)), _PAGE_MOST)
        issues = [self._shown(request, ticket) for ticket in found[start : start + most]]
        more = {"nextPageToken": str(start + most)} if start + most < len(found) else {}
        return JSONResponse({"issues": issues, "isLast": not more, **more})

    def _issue(self, request: Request) -> Ticket | None:
        wanted = request.path_params["key"].upper()
        return next((ticket for ticket in self.issues if wanted in (ticket.id, _key(ticket))), None)

    def _shown(self, request: Request, ticket: Ticket) -> dict[str, Any]:
        fields = {"summary": ticket.title, "status": {"name": ticket.status}, "labels": ticket.details["labels"]}
        return {"id": ticket.id, "key": _key(ticket), "self": self._link(request, ticket), "fields": fields}

    def _link(self, request: Request, ticket: Ticket) -> str:
        return str(request.url.replace(path=f"/{self.product}/rest/api/3/issue/{ticket.id}", query=""))


def _key(ticket: Ticket) -> str:
    return f"{_PROJECT}-{ticket.details['number']}"


def _wrong_with(fields: dict[str, Any]) -> dict[str, str]:
    """Return Jira's complaints about the fields of a new issue."""
    wrong = {
        name: f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        for name in fields.keys() - _KNOWN
    }
    if fields.get("project", {}).get("key") != _PROJECT:
        wrong["project"] = "valid project is required"
    if fields.get("issuetype", {}).get("name") not in _TYPES:
        wrong["issuetype"] = "Specify a valid issue type"
    summary = fields.get("summary")
    if not summary or "\n" in summary:
        wrong["summary"] = "You must specify a summary of the issue, without newline characters."
    elif len(summary) > 255:
        wrong["summary"] = "Summary must be less than 255 characters."
    if "description" in fields and not _is_document(fields["description"]):
        wrong["description"] = "Operation value must be an Atlassian Document"
    if "priority" in fields and fields["priority"].get("name") not in _PRIORITIES:
        wrong["priority"] = "The priority selected is invalid."
    if any(" " in label or len(label) > 255 for label in fields.get("labels", ())):
        wrong["labels"] = "The label contains spaces which is invalid."
    return wrong


def _is_document(value: Any) -> bool:
    if not isinstance(value, dict) or (value.get("type"), value.get("version")) != ("doc", 1):
        return False
    inline = [each for block in value.get("content", ()) for each in block.get("content", ())]
    return all(each["type"] == "hardBreak" or each.get("text") for each in inline) and len(_text_of(value)) <= 32_767


def _text_of(value: dict[str, Any]) -> str:
    blocks = [
        "".join("\n" if each["type"] == "hardBreak" else each["text"] for each in block.get("content", ()))
        for block in value.get("content", ())
    ]
    return "\n\n".join(blocks)
