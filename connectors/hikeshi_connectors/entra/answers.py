"""Answers of Graph: what they mean, and which error they stand for.

Graph's messages change and are translated, its codes do not; so nothing here reads a message.
Source: https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

from hikeshi.connector import Applied, Conflict, ConnectorError, Forbidden, Invalid, Response, error_of_status
from hikeshi_connectors.microsoft.answers import body_of, error_of_sign_in, foreign_page, is_sign_in, said_in

__all__ = ["check_answer"]

_MISSING_OBJECT = frozenset({"Request_ResourceNotFound", "ResourceNotFound", "Directory_ObjectNotFound"})


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. Only a change can have been applied."""
    error = _error_of(response) if response.status >= 400 else _false_success(response)
    if error is None:
        return
    if not _is_change(response):
        error.applied = Applied.NO
    raise error


def _is_change(response: Response) -> bool:
    return response.method != "GET" and not is_sign_in(response)


def _error_of(response: Response) -> ConnectorError:
    if isinstance(body_of(response).get("error"), str):
        return error_of_sign_in(response)
    said = said_in(response)
    message = f"{response.where}: {said.text}"
    if response.status == 403:
        hint = "; the app lacks a permission, or a directory role that may change administrators"
        return Forbidden(message + hint)
    if response.status == 404 and said.code not in _MISSING_OBJECT:
        # A proxy or a wrong address says 404 too, and that says nothing about the object.
        return Invalid(f"{message}; this is not Graph's way of saying that an object is missing: check base_url")
    if response.status == 400 and said.code == "Request_BadRequest" and response.url.endswith("/$ref"):
        # "Already a member", "no longer a member" and "cannot be changed here" share this code.
        return Conflict(message)
    return error_of_status(response, said.text)


def _false_success(response: Response) -> ConnectorError | None:
    """Find what looks like success and is none: somebody else's page, or `false` as the value of an action."""
    if (foreign := foreign_page(response, "Graph's")) is not None:
        return foreign
    if response.url.endswith("/revokeSignInSessions") and body_of(response).get("value") is False:
        return Conflict(f"{response.where}: Graph says that the sessions were not ended")
    return None
