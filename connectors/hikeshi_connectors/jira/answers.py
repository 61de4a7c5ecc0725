"""Answers of Jira Cloud: what they mean.

Sources: https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/ (status codes, error collections) and
.../rate-limiting/ (429 and 503 with Retry-After; X-RateLimit-Reset is a moment as ISO 8601).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.connector import Applied, Invalid, RateLimited, Response, Unauthorized, error_of_status, retry_after_s

__all__ = ["check_answer"]

_SHOWN_MOST: Final = 300
_LOGIN: Final = "x-seraph-loginreason"
_REFUSED: Final = ("AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED", "AUTHORISATION_FAILED")


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for.

    Jira serves a caller whose token it refuses as an anonymous one, with 200 and an empty list where nothing is public,
    and says so in a header only. Source: https://support.servicenow.com/kb?id=kb_article_view&sysparm_article=KB2942093.
    """
    if any(reason in response.headers.get(_LOGIN, "") for reason in _REFUSED):
        advice = "check 'email' and 'api_token' in hikeshi.yaml; API tokens end after a year at most"
        raise Unauthorized(f"{response.where}: Jira refuses the credentials ({advice})")
    if response.status == 429:
        raise RateLimited(f"{response.where}: {_reason(response)}", retry_after_s=_hint_s(response.headers))
    if response.status >= 400:
        raise error_of_status(response, _said(response))
    if not isinstance(response.json(), dict):
        raise Invalid(f"{response.where}: the answer is not a JSON object", applied=Applied.MAYBE)


def _reason(response: Response) -> str:
    reason = response.headers.get("ratelimit-reason", "").strip()
    return f"too many requests ({reason})" if reason else "too many requests"


def _hint_s(headers: Mapping[str, str]) -> float | None:
    after_s = retry_after_s(headers)
    return _until_s(headers.get("x-ratelimit-reset", "")) if after_s is None else after_s


def _until_s(moment: str) -> float | None:
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _said(response: Response) -> str:
    """Return Jira's own words: general messages, then those about single fields."""
    try:
        body: Any = response.json()
    except Invalid:
        return ""
    if not isinstance(body, dict):
        return ""
    general, fields = body.get("errorMessages"), body.get("errors")
    texts = [str(each) for each in general] if isinstance(general, list) else []
    texts += [f"{name}: {text}" for name, text in fields.items()] if isinstance(fields, dict) else []
    return "; ".join(texts)[:_SHOWN_MOST]
