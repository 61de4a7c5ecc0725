"""Deskline's API over an estate: the tickets of the estate, twenty to a page."""

from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Ticket
from hikeshi.testing.simulator import Simulator, bearer_token

PAGE = 20


class DesklineSimulator(Simulator):
    """A workspace that holds the estate's tickets."""

    product = "deskline"
    instance_name = "tickets"
    demo_settings: ClassVar = {"api_key": "deskline-simulated-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/tickets", self._search, methods=["GET"]),
            Route("/tickets", self._create, methods=["POST"]),
            Route("/tickets/{id}", self._get, methods=["GET"]),
            Route("/tickets/{id}/comments", self._comment, methods=["POST"]),
            Route("/tickets/{id}/status", self._set_status, methods=["PUT"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        return None if bearer_token(request) == self.credentials["api_key"] else self.error(401, "unknown key")

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("q", "").casefold()
        start = int(request.query_params.get("cursor", "0"))
        found = [each for each in map(_shown, self.estate.tickets) if wanted in each["number"].casefold()]
        more = str(start + PAGE) if start + PAGE < len(found) else None
        return JSONResponse({"items": found[start : start + PAGE], "next": more})

    async def _create(self, request: Request) -> Response:
        given = await request.json()
        if not given.get("title"):
            raise HTTPException(422, "a ticket needs a title")
        number = str(len(self.estate.tickets) + 1)
        ticket = Ticket(number, self.estate.now(), given["title"], given["description"], given["priority"])
        self.estate.tickets.append(ticket)
        return JSONResponse(_shown(ticket), status_code=201)

    async def _get(self, request: Request) -> Response:
        return JSONResponse(_shown(self._ticket(request)))

    async def _comment(self, request: Request) -> Response:
        ticket = self._ticket(request)
        comments = ticket.details.setdefault("comments", [])
        comments.append((await request.json())["text"])
        return JSONResponse({"id": len(comments)}, status_code=201)

    async def _set_status(self, request: Request) -> Response:
        ticket, wanted = self._ticket(request), (await request.json())["status"]
        if ticket.status == wanted:
            raise HTTPException(409, f"the ticket is already {wanted}")
        ticket.status = wanted
        return Response(status_code=204)

    def _ticket(self, request: Request) -> Ticket:
        for ticket in self.estate.tickets:
            if ticket.id == request.path_params["id"]:
                return ticket
        raise HTTPException(404, "no such ticket")


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {"id": ticket.id, "number": f"DL-{ticket.id}", "title": ticket.title, "status": ticket.status}
