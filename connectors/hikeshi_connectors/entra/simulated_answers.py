"""How the simulated Graph says no."""

from starlette.responses import JSONResponse, Response

from hikeshi_connectors.microsoft.simulated_answers import Refusal

__all__ = ["missing", "references", "refused"]


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
