"""GitHub issues, by the REST API. Source: https://docs.github.com/en/rest/issues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field

from hikeshi.capabilities import Severity, Ticket, Ticketing
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Forbidden,
    Invalid,
    NotFound,
    Pace,
    Response,
    Route,
    Secret,
    all_pages,
    json_list,
    json_object,
    understood,
)
from hikeshi_connectors.github_issues.answers import check_answer
from hikeshi_connectors.github_issues.body import marked, one_line

__all__ = ["GitHubIssues"]

_NUMBER: Final = re.compile(r"#?([1-9][0-9]{0,9})")
_PAGE: Final = 100
_NEWEST_PAGES: Final = 3
_HEADERS: Final = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


class GitHubIssues(Connector, Ticketing, product="github_issues"):
    """The issues of one repository."""

    class Settings(ConnectorSettings):
        base_url: str = "https://api.github.com"
        token: Secret
        repository: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
        labels: list[str] = Field(default_factory=list)
        severity_labels: dict[Severity, str] = Field(default_factory=dict)
        # Whether GitHub makes links, mentions and pictures of what a playbook writes.
        markdown: bool = False

    read_routes = (
        Route("GET", "/repos/*/*/issues"),
        Route("GET", "/repos/*/*/issues/*"),
        Route("GET", "/repos/*/*/issues/*/comments"),
    )
    # The mark in it names the step of the run.
    volatile = ("body",)
    # About 80 new issues and comments in a minute are taken, and calls one after another are asked for.
    pace = Pace(60, 60.0, at_once=2)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {"find_tickets": {"number": "1"}}
    least_privileges = (
        "a fine-grained token, or an app's, for the one repository, with 'Issues: read and write'",
        "labels are set only if the token's owner can push to the repository",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        """Open an issue, or give the one that the same step of the same run has opened before.

        Its mark is looked for in the newest issues: the list shows an issue at once, GitHub's search only after a
        while. Source: POST /repos/{owner}/{repo}/issues.
        """
        mark = self._mark()
        opened = await self._opened(mark) if self.key else None
        if opened is not None:
            return opened
        text = f"Severity: {severity}\n\n{description}".strip()
        labels = [*self.settings.labels, *self._severity_label(severity)]
        body = {
            "title": one_line(title),
            "body": marked(text, mark, markdown=self.settings.markdown),
            **({"labels": labels} if labels else {}),
        }
        answer = await self.http.post(self._issues, json=body, last=True)
        made = json_object(answer)
        with understood(answer.where):
            return self._ticket(made)

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        """Add a comment, unless the same step has added it before.

        Source: POST /repos/{owner}/{repo}/issues/{issue_number}/comments.
        """
        path, mark = f"{self._issues}/{quote(ticket.id, safe='')}/comments", self._mark()
        if self.key and await self._is_said(path, mark):
            return ticket
        body = {"body": marked(text, mark, markdown=self.settings.markdown)}
        answer = await self.http.post(path, json=body, last=True)
        made = json_object(answer)
        with understood(answer.where):
            _ = made["id"]
        return ticket

    async def find_tickets(self, number: str) -> list[Ticket]:
        """Find the issue of this number, with or without '#'; a pull request is none.

        Raises Forbidden if the repository itself cannot be read: GitHub says 404 for that as well. Source: GET
        /repos/{owner}/{repo}/issues/{issue_number}.
        """
        asked = _NUMBER.fullmatch(number)
        if asked is None or not number.isascii():
            return []
        try:
            answer = await self.http.get(f"{self._issues}/{asked[1]}")
        except NotFound:
            await self._can_be_read()
            return []
        issue = json_object(answer)
        with understood(answer.where):
            ticket = self._ticket(issue)
        if ticket.id != asked[1]:
            raise Invalid(f"{answer.where}: the answer is about issue {ticket.name}")
        return [] if "pull_request" in issue else [ticket]

    def check(self, response: Response) -> None:
        check_answer(response)

    @property
    def _issues(self) -> str:
        return f"/repos/{self.settings.repository}/issues"

    async def _can_be_read(self) -> None:
        try:
            json_list(await self.http.get(self._issues, params={"per_page": 1}))
        except NotFound as exc:
            what = f"{self.name}: the issues of {self.settings.repository} cannot be read"
            advice = "check 'repository', that it has issues, and that the token has 'Issues: read and write' for it"
            raise Forbidden(f"{what} ({exc.message}); {advice}") from exc

    async def _opened(self, mark: str) -> Ticket | None:
        """Return the issue with this mark among the newest ones, or None."""
        newest = {"state": "all", "sort": "created", "direction": "desc"}
        found = await self._listed(self._issues, newest, pages_most=_NEWEST_PAGES)
        with understood(f"{self.name}: {self._issues}"):
            carrying = [each for each in found if mark in (each["body"] or "") and "pull_request" not in each]
            return self._ticket(carrying[-1]) if carrying else None

    async def _is_said(self, path: str, mark: str) -> bool:
        found = await self._listed(path, {}, pages_most=None)
        with understood(f"{self.name}: {path}"):
            return any(mark in (each["body"] or "") for each in found)

    async def _listed(self, path: str, params: Mapping[str, str], *, pages_most: int | None) -> list[dict[str, Any]]:
        """Return what a list has, by numbered pages: GitHub's own links lead to other addresses."""

        async def page(number: int | None) -> tuple[list[dict[str, Any]], int | None]:
            at = number or 1
            answer = await self.http.get(path, params={**params, "per_page": _PAGE, "page": at})
            entries = json_list(answer)
            ended = len(entries) < _PAGE or at == pages_most
            return entries, None if ended else at + 1

        return await all_pages(page, f"{self.name}: {path}")

    def _severity_label(self, severity: Severity) -> list[str]:
        label = self.settings.severity_labels.get(severity)
        return [] if label is None else [label]

    def _ticket(self, issue: Mapping[str, Any]) -> Ticket:
        number = int(issue["number"])
        return Ticket(
            connector=self.name,
            id=str(number),
            name=f"#{number}",
            title=issue["title"],
            status=issue["state"],
            url=issue["html_url"],
        )

    def _mark(self) -> str:
        return f"hikeshi-{self.own_id()}"

    async def _authorization(self) -> Mapping[str, str]:
        return {**_HEADERS, "authorization": f"Bearer {self.reveal(self.settings.token)}"}
