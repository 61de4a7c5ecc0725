"""TheHive 5, by its API v1. Sources: https://docs.strangebee.com/thehive/api-docs/, thehive4py 2.1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote

from pydantic import Field

from hikeshi.capabilities import Indicator, Severity, Ticket, Ticketing, notify, read
from hikeshi.capabilities.action import supports
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Response,
    Route,
    Secret,
    Unsupported,
    cut,
    json_list,
    json_object,
    understood,
)
from hikeshi_connectors.thehive.answers import QUERY, check_answer, query_all
from hikeshi_connectors.thehive.observable import DATA_TYPES, Observable, same_data

__all__ = ["TheHive"]

_CASE: Final = "/api/v1/case"
_NUMBER: Final = re.compile(r"#?([1-9][0-9]{0,8})")
_SEVERITIES: Final[Mapping[Severity, int]] = {"low": 1, "medium": 2, "high": 3, "critical": 4}
_TLPS: Final = {"clear": 0, "green": 1, "amber": 2, "amber+strict": 3, "red": 4}
_PAPS: Final = {"clear": 0, "green": 1, "amber": 2, "red": 3}
_TITLE_MOST, _TEXT_MOST = 512, 100_000


class TheHive(Connector, Ticketing, product="thehive"):
    """The cases of one organisation in TheHive."""

    class Settings(ConnectorSettings):
        api_key: Secret
        # For a user who belongs to several; else TheHive takes the user's usual one.
        organisation: str | None = None
        tlp: Literal["clear", "green", "amber", "amber+strict", "red"] = "amber"
        pap: Literal["clear", "green", "amber", "red"] = "amber"
        tags: list[str] = Field(default_factory=lambda: ["hikeshi"])
        case_template: str | None = None

    # Queries are a POST that only reads.
    read_routes = (Route("POST", QUERY),)
    # One of the tags names the step of the run that opens the case.
    volatile = ("tags",)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {"find_tickets": {"number": "1"}}
    least_privileges = ("a user of its own whose profile has manageCase/create, manageComment and manageObservable",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        """Open a case, or give the one that the same step of the same run has opened before.

        A tag that follows from the step is looked for first. Source: POST /api/v1/case.
        """
        marker = self._marker()
        opened = await self._tagged(marker) if self.key else []
        if opened:
            return opened[0]
        template = self.settings.case_template
        body = {
            "title": cut(" ".join(title.split()) or "(no title)", _TITLE_MOST),
            "description": cut(description, _TEXT_MOST) or "(no description)",
            "severity": _SEVERITIES[severity],
            **self._marking(),
            "tags": [*self.settings.tags, marker],
            **({} if template is None else {"caseTemplate": template}),
        }
        answer = await self.http.post(_CASE, json=body, last=True)
        made = json_object(answer)
        with understood(answer.where):
            return self._ticket(made)

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        """Add a comment; sent again it is there twice. Source: POST /api/v1/case/{caseId}/comment."""
        answer = await self.http.post(f"{_path(ticket)}/comment", json={"message": cut(text, _TEXT_MOST)}, last=True)
        made = json_object(answer)
        with understood(answer.where):
            _ = made["_id"]
        return ticket

    async def find_tickets(self, number: str) -> list[Ticket]:
        """Find the case of this number, with or without '#'. Source: POST /api/v1/query, listCase."""
        asked = _NUMBER.fullmatch(number)
        if asked is None or not number.isascii():
            return []
        wanted = int(asked[1])
        cases = await query_all(self.http, "cases", {"_name": "listCase"}, _filter("number", wanted))
        with understood(f"{self.name}: the query for case {wanted}"):
            return [self._ticket(case) for case in cases if case["number"] == wanted]

    @read
    async def observable_of(self, ticket: Ticket, indicator: Indicator) -> Observable:
        """Read whether an indicator is an observable of a case."""
        found = await query_all(
            self.http,
            "case-observables",
            {"_name": "getCase", "idOrName": ticket.id},
            {"_name": "observables"},
            _filter("dataType", _data_type(indicator)),
        )
        with understood(f"{self.name}: the observables of case {ticket.name}"):
            in_case = any(
                each["dataType"] == _data_type(indicator) and same_data(each.get("data"), indicator) for each in found
            )
        return Observable(
            connector=self.name, case_id=ticket.id, kind=indicator.kind, value=indicator.value, in_case=in_case
        )

    @supports(kinds=set(DATA_TYPES))
    @notify
    async def add_observable(self, ticket: Ticket, indicator: Indicator) -> Observable:
        """Add an indicator to a case, marked as an indicator of compromise, unless it is there.

        It only tells people: nothing is blocked by it. Source: POST /api/v1/case/{caseId}/observable.
        """
        state = await self.observable_of(ticket, indicator)
        if state.in_case:
            return state
        body = {"dataType": _data_type(indicator), "data": indicator.value, "ioc": True, **self._marking()}
        answer = await self.http.post(f"{_path(ticket)}/observable", json=body, last=True)
        made = json_list(answer)
        with understood(answer.where):
            _ = made[0]["_id"]
        return state.model_copy(update={"in_case": True})

    def check(self, response: Response) -> None:
        check_answer(response)

    async def _tagged(self, tag: str) -> list[Ticket]:
        """Return the cases with exactly this tag, oldest first."""
        cases = await query_all(self.http, "cases", {"_name": "listCase"}, _filter("tags", tag))
        with understood(f"{self.name}: the query for the tag {tag}"):
            return [self._ticket(case) for case in cases if tag in case["tags"]]

    def _marking(self) -> dict[str, int]:
        return {"tlp": _TLPS[self.settings.tlp], "pap": _PAPS[self.settings.pap]}

    def _ticket(self, case: Mapping[str, Any]) -> Ticket:
        return Ticket(
            connector=self.name,
            id=case["_id"],
            name=f"#{int(case['number'])}",
            title=case["title"],
            status=case.get("status"),
            url=f"{self.settings.base_url.rstrip('/')}/cases/{quote(case['_id'], safe='~')}/details",
        )

    def _marker(self) -> str:
        return f"hikeshi-{self.own_id()}"

    async def _authorization(self) -> Mapping[str, str]:
        bearer = {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}
        organisation = self.settings.organisation
        return bearer if organisation is None else {**bearer, "x-organisation": organisation}


def _filter(field: str, value: str | int) -> dict[str, Any]:
    """Return the step of a query that keeps what has this value; values are data, not part of a language."""
    return {"_name": "filter", "_eq": {"_field": field, "_value": value}}


def _path(ticket: Ticket) -> str:
    return f"{_CASE}/{quote(ticket.id, safe='~')}"


def _data_type(indicator: Indicator) -> str:
    if indicator.kind not in DATA_TYPES:
        raise Unsupported(f"TheHive has no type of observable for {indicator.kind} ({indicator.value})")
    return DATA_TYPES[indicator.kind]
