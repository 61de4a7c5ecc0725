"""How the simulated Graph says no, and how it reads what it is sent."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = ["Refusal", "body_of", "missing", "no_token", "references", "refused"]


class Refusal(Exception):
    """Graph says no, with a status, a code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def missing(key: str) -> Refusal:
    """Return what Graph says of anything that is not there."""
    text = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
    return Refusal(404, "Request_ResourceNotFound", text)


def references(verb: str, state: str) -> Refusal:
    """Return what Graph says of a membership that is there already, or no longer."""
    text = f"One or more {verb} object references {state} for the following modified properties: 'members'."
    return Refusal(400, "Request_BadRequest", text)


def refused(status: int, code: str, message: str) -> Response:
    """Return an error in Graph's envelope."""
    inner = {"date": "2025-11-21T11:30:00", "request-id": "simulated-request", "client-request-id": "simulated-request"}
    return JSONResponse({"error": {"code": code, "message": message, "innerError": inner}}, status_code=status)


def no_token(status: int, kind: str, number: int) -> Response:
    """Return an error in the envelope of the token service. `number` is that of the AADSTS code."""
    said = {"error": kind, "error_description": f"AADSTS{number}: simulated.", "error_codes": [number]}
    return JSONResponse(said, status_code=status)


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries. Raises Refusal."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(400, "Request_BadRequest", "Write requests must be of the content type application/json.")
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "Unable to read JSON request payload.")
    return body
