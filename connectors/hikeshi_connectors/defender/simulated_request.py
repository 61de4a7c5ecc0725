"""What the simulated Defender takes from requests: bodies, batches, filters; and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hikeshi_connectors.microsoft.simulated_answers import Refusal, body_of
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter

__all__ = ["Getter", "batch", "body_in", "filter_of", "getter", "number", "refused"]

_BATCH_MOST = 500
_MOMENTS = frozenset({"alertCreationTime", "lastSeen", "creationDateTimeUtc", "expirationTime"})
Getter = Callable[[str], Any]


def refused(status: int, code: str, message: str) -> Response:
    """Return an error in Defender's envelope."""
    error = {"code": code, "message": message, "target": "43f4cb08-0000-4000-8000-000000000000"}
    return JSONResponse({"error": error}, status_code=status)


async def body_in(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries. Raises Refusal."""
    return await body_of(request, unsuited="InvalidRequestBody", unreadable="InvalidRequestBody")


def batch(entries: Any, kind: type) -> list[Any]:
    """Return the entries of a batch, all of one kind. Raises Refusal."""
    if not isinstance(entries, list) or not entries or not all(isinstance(each, kind) for each in entries):
        raise Refusal(400, "InvalidRequestBody", "Request body is incorrect")
    if len(entries) > _BATCH_MOST:
        text = f"Maximum batch size exceeded. Received: {len(entries)}, allowed: {_BATCH_MOST}."
        raise Refusal(400, "MaximumBatchSizeExceeded", text)
    return entries


def filter_of(request: Request, known: frozenset[str]) -> Callable[[Getter], bool]:
    """Return the test that a request's $filter is, over known properties. Raises Refusal."""
    text = request.query_params.get("$filter")
    if text is None:
        return lambda _: True
    try:
        found = parse_filter(text, ordered=True)
    except FilterError as exc:
        raise Refusal(400, "ODataError", f"Invalid OData URI query: {exc}") from exc
    if unknown := found.properties - known:
        raise Refusal(400, "ODataError", f"Invalid OData URI query: filtering by {sorted(unknown)} is not supported")
    return found.test


def getter(record: Mapping[str, Any]) -> Getter:
    """Return a function that gives a record's properties by name, moments as such."""

    def get(name: str) -> Any:
        value = record.get(name)
        return datetime.fromisoformat(value) if name in _MOMENTS and value else value

    return get


def number(request: Request, name: str, usual: int) -> int:
    """Return a number among a request's parameters. Raises Refusal."""
    text = request.query_params.get(name, str(usual))
    if not text.isdecimal():
        raise Refusal(400, "ODataError", f"Invalid OData URI query: {name}")
    return int(text)
