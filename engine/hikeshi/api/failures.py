"""What goes wrong, as HTTP says it: one JSON form with the codes of the command line, and one status for each code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from hikeshi.access.tokens import NotKnown
from hikeshi.app.failure import Failure, failure_of
from hikeshi.playbook.library import UnknownPlaybook
from hikeshi.service.errors import Denied, NoTriggers
from hikeshi.service.replies import KeyReused, ReplyPending
from hikeshi.triggers.errors import OfferRefused, UnknownOffer, UnknownTrigger

__all__ = [
    "PLAIN_RESPONSES",
    "RESPONSES",
    "FailureDocument",
    "answer_failures",
    "expected_response",
    "failure_response",
]

_log = structlog.get_logger("hikeshi.api")

_STATUS: Mapping[str, int] = {
    "unauthorized": 401,
    "not_allowed": 403,
    "unknown_run": 404,
    "unknown_playbook": 404,
    "unknown_hold": 404,
    "unknown_token": 404,
    "unknown_trigger": 404,
    "unknown_offer": 404,
    "not_found": 404,
    "nothing_to_release": 404,
    "refused": 409,
    "key_held": 409,
    "plan_refused": 409,
    "nothing_to_resolve": 409,
    "nothing_to_retry": 409,
    "run_is_driven": 409,
    "playbook": 409,
    "project": 409,
    "secret": 409,
    "under_way": 409,
    "key_reused": 409,
    "not_taken": 503,
    "journal": 503,
    "run_halted": 503,
    "internal": 500,
    "inputs": 422,
    "usage": 422,
}
_OF_CONNECTOR = 502
"""A product that fails is no failure of ours, and none of whoever asked."""


class FailureBody(BaseModel):
    """What went wrong."""

    code: str = Field(description="Names the kind of failure, and never changes.")
    message: str
    problems: list[dict[str, Any]] = Field(default_factory=list)


class FailureDocument(BaseModel):
    """The answer to every request that failed."""

    error: FailureBody


_MEANINGS: Mapping[int, str] = {
    400: "The request can't be read",
    401: "No token, or one that opens nothing",
    403: "The token's roles do not permit this",
    404: "There is no such thing",
    409: "It does not fit how things are now, or a rule refuses it",
    413: "The request is too large",
    422: "The request does not have the form that is described here",
    502: "A product failed, or could not be reached",
    503: "The journal can't be written now, or nobody took the message in time",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": FailureDocument, "description": text} for status, text in _MEANINGS.items()
}
PLAIN_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FailureDocument"}}},
    }
    for status, text in _MEANINGS.items()
}
"""The same for routes that answer something else than JSON when all is well."""


def failure_response(
    failure: Failure, status: int | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for a failure."""
    code = status or _STATUS.get(failure.code, _OF_CONNECTOR)
    more = {"Retry-After": "5"} if code == 503 else {}
    more |= {"WWW-Authenticate": "Bearer"} if code == 401 else {}
    return JSONResponse(_document(failure), code, headers={**more, **(headers or {})})


def answer_failures(api: FastAPI) -> None:
    """Let every exception of the application become an answer of the one form."""
    api.add_exception_handler(Exception, _unexpected)
    api.add_exception_handler(HTTPException, _of_http)
    api.add_exception_handler(RequestValidationError, _of_validation)
    for kind in _expected():
        api.add_exception_handler(kind, _expected_failure)


_OF_SERVICE = (Denied, NotKnown, KeyReused, ReplyPending, NoTriggers, UnknownTrigger, UnknownOffer, OfferRefused)


def _expected() -> list[type[Exception]]:
    from hikeshi.app import errors
    from hikeshi.app.undo_plan import HoldRefused, UnknownHold
    from hikeshi.connector.errors import ConnectorError
    from hikeshi.connector.registry import ConnectorNotUsable
    from hikeshi.core.codec import UnknownEvent
    from hikeshi.journal import JournalError
    from hikeshi.playbook.inputs import WrongInputs
    from hikeshi.playbook.library import NotLoadable
    from hikeshi.project import ProjectError
    from hikeshi.runtime.errors import RunHalted
    from hikeshi.secrets import SecretUnavailable

    of_app = [getattr(errors, name) for name in errors.__all__]
    of_rest = [HoldRefused, UnknownHold, ConnectorError, ConnectorNotUsable, UnknownEvent, JournalError, WrongInputs]
    more = [NotLoadable, UnknownPlaybook, ProjectError, RunHalted, SecretUnavailable]
    return [*of_app, *of_rest, *more, *_OF_SERVICE]


def expected_response(exc: Exception) -> tuple[int, Any] | None:
    """Return the status and the body for an exception, or None if nobody expected it."""
    failure = _failure(exc)
    return None if failure is None else (_STATUS.get(failure.code, _OF_CONNECTOR), _document(failure))


def _document(failure: Failure) -> dict[str, Any]:
    """Return a failure without the folders of the server; a file's name says enough to who may not read it."""
    document = failure.to_json()
    for problem in document["error"]["problems"]:
        if "file" in problem:
            problem["file"] = problem["file"].rpartition("/")[2]
    return document


def _failure(exc: Exception) -> Failure | None:
    match exc:
        case Denied():
            return Failure("not_allowed", str(exc))
        case NotKnown():
            return Failure("unknown_token", str(exc))
        case KeyReused():
            return Failure("key_reused", str(exc))
        case ReplyPending():
            return Failure("under_way", str(exc))
        case UnknownPlaybook():
            return Failure("unknown_playbook", exc.message)
        case UnknownTrigger() | NoTriggers():
            return Failure("unknown_trigger", str(exc))
        case UnknownOffer():
            return Failure("unknown_offer", str(exc))
        case OfferRefused():
            return Failure("refused", str(exc))
    return failure_of(exc)


async def _expected_failure(request: Request, exc: Exception) -> JSONResponse:
    failure = _failure(exc)
    return await _unexpected(request, exc) if failure is None else failure_response(failure)


async def _of_http(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    codes = {401: "unauthorized", 403: "not_allowed", 404: "not_found", 405: "wrong_method", 413: "too_large"}
    failure = Failure(codes.get(exc.status_code, "usage"), str(exc.detail))
    headers = {**(exc.headers or {}), **({"Allow": _allowed(request)} if exc.status_code == 405 else {})}
    return failure_response(failure, exc.status_code, headers)


def _allowed(request: Request) -> str:
    """Return every method of a path. The router knows only those of the first route that it finds."""
    found = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted({method for route in found for method in getattr(route, "methods", None) or ()}))


async def _of_validation(_: Request, exc: Exception) -> JSONResponse:
    """Say where a request is wrong. What was given is not repeated: it may hold anything."""
    assert isinstance(exc, RequestValidationError)
    problems = [{"where": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in exc.errors()]
    return failure_response(Failure("usage", "the request does not have the form that is described", problems), 422)


async def _unexpected(request: Request, exc: Exception) -> JSONResponse:
    _log.error("request_failed", path=request.url.path, kind=type(exc).__name__)
    text = f"{type(exc).__name__}: an error that nobody expected; the service's log says where it comes from"
    return failure_response(Failure("internal", text))
