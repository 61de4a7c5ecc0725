"""Jira Cloud, by its REST API v3. Source: https://developer.atlassian.com/cloud/jira/platform/rest/v3/."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from pydantic import Field

from hikeshi.capabilities import Severity, Ticket, Ticketing
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    NotFound,
    Pace,
    Response,
    Route,
    Secret,
    all_pages,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.jira.answers import check_answer
from hikeshi_connectors.jira.document import document, one_line

__all__ = ["Jira"]

_ISSUE: Final = "/rest/api/3/issue"
_SEARCH: Final = "/rest/api/3/search/jql"
_FIELDS: Final = ["summary", "status", "labels"]
_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}-[1-9][0-9]{0,17}")
_PAGE: Final = 50
_PRIORITIES: Final[Mapping[Severity, str]] = {"low": "Low", "medium": "Medium", "high": "High", "critical": "Highest"}


class Jira(Connector, Ticketing, product="jira"):
    """The issues of one Jira Cloud site; new ones go to one project of it."""

    class Settings(ConnectorSettings):
        email: str
        api_token: Secret
        project: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
        issue_type: str = "Task"
        # By severity; empty where the project's form for new issues has no priority.
        priorities: dict[Severity, str] = Field(default_factory=lambda: dict(_PRIORITIES))
        labels: list[str] = Field(default_factory=lambda: ["hikeshi"])
        # Where people open issues, if base_url is not the site itself but https://api.atlassian.com/ex/jira/...
        site_url: str | None = None

    # The search for an issue that an earlier attempt has opened is a POST that only reads.
    read_routes = (Route("GET", f"{_ISSUE}/*"), Route("POST", _SEARCH))
    # One of the labels names the step of the run that opens the issue.
    volatile = ("labels",)
    # Jira's limits are not published; calls at once are what they are about.
    pace = Pace(at_once=10)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {"find_tickets": {"number": "HIKESHI-1"}}
    least_privileges = (
        "a user of its own with 'Browse projects', 'Create issues' and 'Add comments' in the project",
        "its API token, with the scopes read:jira-work and write:jira-work if it has scopes",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        """Open an issue, or give the one that the same step of the same run has opened before.

        Jira has no idempotency key, so a label that follows from the step is looked for first. Source: POST
        /rest/api/3/issue.
        """
        label = self._label()
        opened = await self._labelled(label) if self.key else []
        if opened:
            return opened[0]
        summary = one_line(title)
        fields = {
            "project": {"key": self.settings.project.upper()},
            "issuetype": {"name": self.settings.issue_type},
            "summary": summary,
            "labels": [*self.settings.labels, label],
            **self._optional(description, severity),
        }
        answer = await self.http.post(_ISSUE, json={"fields": fields}, last=True)
        made = json_object(answer)
        with understood(answer.where):
            return self._ticket({"id": made["id"], "key": made["key"], "fields": {"summary": summary}})

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        """Add a comment; sent again it is there twice. Source: POST /rest/api/3/issue/{issueIdOrKey}/comment."""
        path = f"{_ISSUE}/{quote(ticket.id, safe='')}/comment"
        answer = await self.http.post(path, json={"body": document(text)}, last=True)
        made = json_object(answer)
        with understood(answer.where):
            _ = made["id"]
        return ticket

    async def find_tickets(self, number: str) -> list[Ticket]:
        """Find the issue of this key, in any project that the user may see. Source: GET /rest/api/3/issue/{key}.

        What was moved to another project is found by its new key alone: Jira answers for the old one, with the new one.
        """
        if not _KEY.fullmatch(number):
            return []
        try:
            answer = await self.http.get(f"{_ISSUE}/{number}", params={"fields": ",".join(_FIELDS)})
        except NotFound:
            return []
        found = json_object(answer)
        with understood(answer.where):
            ticket = self._ticket(found)
        return [ticket] if ticket.name.casefold() == number.casefold() else []

    def check(self, response: Response) -> None:
        check_answer(response)

    async def _labelled(self, label: str) -> list[Ticket]:
        """Return the issues with exactly this label, oldest first. Source: POST /rest/api/3/search/jql."""
        jql = f'project = "{self.settings.project}" AND labels = "{label}" ORDER BY created ASC'

        async def page(token: str | None) -> tuple[list[dict[str, Any]], str | None]:
            body = {"jql": jql, "fields": _FIELDS, "maxResults": _PAGE}
            answer = await self.http.post(_SEARCH, json=body if token is None else {**body, "nextPageToken": token})
            # The token is not there on the last page. Source: https://jira.atlassian.com/browse/JRACLOUD-92184.
            return objects_under(answer, "issues"), json_object(answer).get("nextPageToken") or None

        issues = await all_pages(page, f"{self.name}: the search for the label {label}")
        with understood(f"{self.name}: the search for the label {label}"):
            return [self._ticket(issue) for issue in issues if label in issue["fields"]["labels"]]

    def _optional(self, description: str, severity: Severity) -> dict[str, Any]:
        found: dict[str, Any] = {"description": document(description)} if description.strip() else {}
        if severity in self.settings.priorities:
            found["priority"] = {"name": self.settings.priorities[severity]}
        return found

    def _ticket(self, issue: Mapping[str, Any]) -> Ticket:
        fields, key = issue["fields"], str(issue["key"])
        status = fields.get("status")
        return Ticket(
            connector=self.name,
            id=str(issue["id"]),
            name=key,
            title=fields["summary"],
            status=None if status is None else status["name"],
            url=self._address(key),
        )

    def _address(self, key: str) -> str | None:
        """Return where people open an issue; the gateway for tokens with scopes is no such place."""
        site = self.settings.site_url or self.settings.base_url
        is_gateway = self.settings.site_url is None and urlsplit(site).hostname == "api.atlassian.com"
        return None if is_gateway else f"{site.rstrip('/')}/browse/{key}"

    def _label(self) -> str:
        return f"hikeshi-{self.own_id()}"

    async def _authorization(self) -> Mapping[str, str]:
        return self.basic_authorization(self.settings.email, self.settings.api_token)
