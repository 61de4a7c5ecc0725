"""Acme's API over an estate: its people, twenty to a page."""

from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import User
from hikeshi.testing.simulator import Simulator, bearer_token

PAGE = 20


class AcmeSimulator(Simulator):
    """A directory whose accounts are the estate's."""

    product = "acme"
    instance_name = "acme"
    demo_settings: ClassVar = {"api_key": "acme-simulated-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/users", self._search, methods=["GET"]),
            Route("/users/{id}", self._get, methods=["GET"]),
            Route("/users/{id}/lock", self._set, methods=["PUT"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        return None if bearer_token(request) == self.credentials["api_key"] else self.error(401, "unknown key")

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("q", "").casefold()
        start = int(request.query_params.get("cursor", "0"))
        users = self.estate.users.values()
        found = [user for user in users if any(wanted in each.casefold() for each in (user.id, user.upn))]
        more = str(start + PAGE) if start + PAGE < len(found) else None
        return JSONResponse({"users": [_shown(user) for user in found[start : start + PAGE]], "next": more})

    async def _get(self, request: Request) -> Response:
        return JSONResponse(_shown(self._user(request)))

    async def _set(self, request: Request) -> Response:
        user, locked = self._user(request), (await request.json())["locked"]
        if user.enabled is not locked:
            raise HTTPException(409, "the account is so already")
        user.enabled = not locked
        return Response(status_code=204)

    def _user(self, request: Request) -> User:
        user = self.estate.users.get(request.path_params["id"])
        if user is None:
            raise HTTPException(404, "no such account")
        return user


def _shown(user: User) -> dict[str, Any]:
    return {"id": user.id, "login": user.upn, "mail": user.mail, "locked": not user.enabled}
