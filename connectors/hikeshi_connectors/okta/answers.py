"""Answers of Okta: what they mean, and which error they stand for.

Codes decide, never texts: Okta's summaries change.
Source: https://developer.okta.com/docs/reference/error-codes/, https://developer.okta.com/docs/reference/rl-best-practices/
"""

from __future__ import annotations

import json
from typing import Any

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    RateLimited,
    Response,
    Unauthorized,
    error_of_status,
    until_epoch_s,
)

__all__ = ["TOKEN_PATH", "check_answer"]

TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path
_VALIDATION_FAILED = "E0000001"  # of a change of state: the account is not in a state for it
_NOT_FOUND = "E0000007"
_SHOWN_MOST = 300


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. Only a change can have been applied."""
    error = _error_of(response) if response.status >= 400 else _false_success(response)
    if error is None:
        return
    if response.method == "GET" or response.url.endswith(TOKEN_PATH):
        error.applied = Applied.NO
    raise error


def _error_of(response: Response) -> ConnectorError:
    body = _body(response)
    code, detail = str(body.get("errorCode") or ""), _detail(body)
    if response.url.endswith(TOKEN_PATH) and response.status in (400, 401, 403):
        hint = "check client_id, private_key, key_id and scopes"
        return Unauthorized(f"{response.where}: {body.get('error') or 'no explanation'}; {hint}")
    if response.status == 429:
        return RateLimited(f"{response.where}: {detail}", retry_after_s=_reset_s(response))
    if response.status == 404 and code != _NOT_FOUND:
        # A proxy or a wrong address says 404 too, and that says nothing about an account.
        return Invalid(
            f"{response.where}: {detail}; not Okta's way of saying that something is missing: check base_url"
        )
    if response.status == 400 and code == _VALIDATION_FAILED and "/lifecycle/" in response.url:
        return Conflict(f"{response.where}: {detail}; the account is not in a state for it, or already so")
    return error_of_status(response, detail)


def _false_success(response: Response) -> ConnectorError | None:
    """Find what looks like success and is none: somebody else's page."""
    kind = response.headers.get("content-type", "no content type")
    if response.content and "json" not in kind:
        return Invalid(f"{response.where}: the answer is not Okta's ({kind})", applied=Applied.MAYBE)
    return None


def _reset_s(response: Response) -> float | None:
    """Return the seconds until the limit ends; there may be a value for the org and one for the caller."""
    until_s = until_epoch_s(response.headers, "x-rate-limit-reset")
    return None if until_s is None else until_s + 1


def _body(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _detail(body: dict[str, Any]) -> str:
    causes = body.get("errorCauses")
    said = [str(body[key]) for key in ("errorCode", "errorSummary") if body.get(key)]
    if isinstance(causes, list):
        said += [str(each.get("errorSummary")) for each in causes[:3] if isinstance(each, dict)]
    text = " ".join(": ".join(said).split())[:_SHOWN_MOST] or "no explanation"
    return f"{text} (errorId {body['errorId']})" if body.get("errorId") else text
