"""How the simulated services say no, give tokens, and read what they are sent."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hikeshi.testing.simulator import Simulator

__all__ = ["Refusal", "Refused", "answering", "body_of", "give_token", "no_token"]

Handler = Callable[[Request], Awaitable[Response]]
Refused = Callable[[int, str, str], Response]
"""What makes an answer of a refusal's status, code and message, in the envelope of one service."""


class Refusal(Exception):
    """A service says no, with a status, a code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def answering(handler: Handler, refused: Refused) -> Handler:
    """Return the handler with its refusals as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return refused(refusal.status, refusal.code, refusal.message)

    return answer


async def body_of(
    request: Request, *, unsuited: str = "Request_BadRequest", unreadable: str = "BadRequest"
) -> dict[str, Any]:
    """Return the JSON object that a request carries. Raises Refusal, with the code for what is none."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(400, unsuited, "Write requests must be of the content type application/json.")
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, unreadable, "Unable to read JSON request payload.")
    return body


async def give_token(simulator: Simulator, request: Request, life_s: float) -> tuple[Response, str, str]:
    """Answer a request of client credentials, as the token service does; with the token given and its scope, or ""."""
    form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    credentials, scope = simulator.credentials, form.get("scope", "")
    if request.path_params["tenant"] != credentials["tenant_id"]:
        return no_token(400, "invalid_request", 90002), "", ""
    if form.get("grant_type") != "client_credentials":
        return no_token(400, "unsupported_grant_type", 70003), "", ""
    if not scope.endswith("/.default"):
        return no_token(400, "invalid_scope", 1002012), "", ""
    if form.get("client_id") != credentials["client_id"]:
        return no_token(400, "unauthorized_client", 700016), "", ""
    if form.get("client_secret") != credentials["client_secret"]:
        return no_token(401, "invalid_client", 7000215), "", ""
    token = simulator.tokens.issue(life_s)
    whole_s = int(life_s)
    given = {"token_type": "Bearer", "expires_in": whole_s, "ext_expires_in": whole_s, "access_token": token}
    return JSONResponse(given), token, scope


def no_token(status: int, kind: str, number: int) -> Response:
    """Return an error in the envelope of the token service. `number` is that of the AADSTS code."""
    said = {"error": kind, "error_description": f"AADSTS{number}: simulated.", "error_codes": [number]}
    return JSONResponse(said, status_code=status)
