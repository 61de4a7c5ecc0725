"""Answers of Graph and of its sign-in service: what they mean, and which error they stand for.

Graph's messages change and are translated, its codes do not; so nothing here reads a message.
Sources: https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    Response,
    Unauthorized,
    error_of_status,
)

__all__ = ["check_answer", "object_in"]

_MISSING_OBJECT = frozenset({"Request_ResourceNotFound", "ResourceNotFound", "Directory_ObjectNotFound"})
_SHOWN_MOST = 300


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. Only a change can have been applied."""
    error = _error_of(response) if response.status >= 400 else _false_success(response)
    if error is None:
        return
    if not _is_change(response):
        error.applied = Applied.NO
    raise error


def object_in(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises Invalid if it is something else."""
    body = response.json()
    if not isinstance(body, dict):
        raise Invalid(f"{response.where}: the answer is not a JSON object")
    return body


def _is_change(response: Response) -> bool:
    return response.method != "GET" and not urlsplit(response.url).path.endswith("/oauth2/v2.0/token")


def _error_of(response: Response) -> ConnectorError:
    envelope = _envelope(response)
    if isinstance(envelope, str):
        return _error_of_sign_in(response, envelope)
    code, detail = str(envelope.get("code") or ""), _detail(envelope)
    message = f"{response.where}: {detail}"
    if response.status == 403:
        hint = "; the app lacks a permission, or a directory role that may change administrators"
        return Forbidden(message + hint)
    if response.status == 404 and code not in _MISSING_OBJECT:
        # A proxy or a wrong address says 404 too, and that says nothing about the object.
        return Invalid(f"{message}; this is not Graph's way of saying that an object is missing: check base_url")
    if response.status == 400 and code == "Request_BadRequest" and response.url.endswith("/$ref"):
        # "Already a member", "no longer a member" and "cannot be changed here" share this code.
        return Conflict(message)
    return error_of_status(response, detail)


def _error_of_sign_in(response: Response, kind: str) -> ConnectorError:
    numbers = _body(response).get("error_codes")
    known = " ".join(f"AADSTS{number}" for number in numbers if isinstance(number, int)) if numbers else ""
    detail = f"{kind} {known}".strip()
    if response.status in (400, 401, 403):
        return Unauthorized(f"{response.where}: {detail}; check tenant_id, client_id, client_secret and scope")
    return error_of_status(response, detail)


def _false_success(response: Response) -> ConnectorError | None:
    """Find what looks like success and is none: somebody else's page, or `false` as the value of an action."""
    if response.content and "json" not in response.headers.get("content-type", ""):
        kind = response.headers.get("content-type", "no content type")
        return Invalid(f"{response.where}: the answer is not Graph's ({kind})", applied=Applied.MAYBE)
    if response.url.endswith("/revokeSignInSessions") and _body(response).get("value") is False:
        return Conflict(f"{response.where}: Graph says that the sessions were not ended")
    return None


def _body(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _envelope(response: Response) -> dict[str, Any] | str:
    error = _body(response).get("error")
    return error if isinstance(error, (dict, str)) else {}


def _detail(envelope: dict[str, Any]) -> str:
    said = ": ".join(str(envelope[key]) for key in ("code", "message") if envelope.get(key))
    inner = envelope.get("innerError")
    request = inner.get("request-id") if isinstance(inner, dict) else None
    text = " ".join(said.split())[:_SHOWN_MOST] or "no explanation"
    return f"{text} (request-id {request})" if request else text
