"""Deskline, by its REST API. The product is invented; its API is described in README.md."""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from hikeshi.capabilities import Model, Recovery, Severity, Ticket, Ticketing, change, read
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Invalid,
    Response,
    Route,
    Secret,
    error_of_status,
    said_in,
)


class TicketStatus(Model):
    """Whether a ticket is still worked on."""

    connector: str
    ticket_id: str
    status: Literal["open", "closed"]


def is_closed(state: TicketStatus, _prior: TicketStatus) -> bool:
    return state.status == "closed"


def is_open(state: TicketStatus, _prior: TicketStatus) -> bool:
    return state.status == "open"


class Deskline(Connector, Ticketing, product="deskline"):
    """Tickets of one Deskline workspace."""

    class Settings(ConnectorSettings):
        api_key: Secret

    read_routes = (Route("GET", "/tickets"), Route("GET", "/tickets/*"))
    least_privileges = ("an API key with the role 'agent'",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        body = {"title": title, "description": description, "priority": severity}
        return self._ticket((await self.http.post("/tickets", json=body, last=True)).json())

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        answer = await self.http.post(f"{_path(ticket)}/comments", json={"text": text}, last=True)
        _object(answer.json(), "id")
        return ticket

    async def find_tickets(self, number: str) -> list[Ticket]:
        """Deskline searches for parts of words, a page at a time; only the very number counts."""
        found: list[Ticket] = []
        params = {"q": number}
        while True:
            page = _object((await self.http.get("/tickets", params=params)).json(), "items")
            found += [self._ticket(item) for item in page["items"]]
            if not page.get("next"):
                return [ticket for ticket in found if ticket.name.casefold() == number.casefold()]
            params = {"q": number, "cursor": page["next"]}

    @read
    async def status_of(self, ticket: Ticket) -> TicketStatus:
        """Read whether a ticket is open."""
        item = _object((await self.http.get(_path(ticket))).json(), "status")
        return TicketStatus(connector=self.name, ticket_id=ticket.id, status=item["status"])

    @change(target="ticket", undo="reopen_ticket", verify="status_of", done=is_closed, recovery=Recovery.VERIFIABLE)
    async def close_ticket(self, ticket: Ticket, reason: str) -> None:
        """Close a ticket."""
        await self.http.put(f"{_path(ticket)}/status", json={"status": "closed", "note": reason})

    @change(target="ticket", undo="close_ticket", verify="status_of", done=is_open, recovery=Recovery.VERIFIABLE)
    async def reopen_ticket(self, ticket: Ticket, reason: str) -> None:
        """Open a closed ticket again."""
        await self.http.put(f"{_path(ticket)}/status", json={"status": "open", "note": reason})

    def check(self, response: Response) -> None:
        if response.status >= 400:
            raise error_of_status(response, said_in(response, "error"))  # the field in which Deskline says why
        if response.status != 204:
            response.json()  # a web page with status 200 is no answer of Deskline's

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}

    def _ticket(self, item: Any) -> Ticket:
        known = _object(item, "id", "number", "title", "status")
        return Ticket(
            connector=self.name, id=known["id"], name=known["number"], title=known["title"], status=known["status"]
        )


def _path(ticket: Ticket) -> str:
    return f"/tickets/{quote(ticket.id, safe='')}"


def _object(data: Any, *fields: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(field in data for field in fields):
        raise Invalid(f"Deskline's answer lacks one of: {', '.join(fields)}", applied=Applied.MAYBE)
    return data
