"""Answers of GitHub's REST API: what they mean.

Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api ("Exceeding the rate limit") and
.../troubleshooting-the-rest-api: a limit that is reached answers 403 or 429, a missing privilege often 404.
"""

from __future__ import annotations

from typing import Any, Final

from hikeshi.connector import (
    Applied,
    Invalid,
    NotFound,
    RateLimited,
    Response,
    error_of_status,
    retry_after_s,
    until_epoch_s,
)

__all__ = ["check_answer"]

_SHOWN_MOST: Final = 300
_AGAIN_AFTER_S: Final = 60.0  # where a refusal names no time
_SECONDARY: Final = "secondary rate limit"


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for."""
    if response.status in (403, 429) and _is_limited(response):
        raise RateLimited(f"{response.where}: {_said(response)}", retry_after_s=_hint_s(response))
    if response.status == 410 and response.method == "GET":
        raise NotFound(f"{response.where}: {_said(response)}")
    if response.status >= 400:
        raise error_of_status(response, _said(response))
    if not isinstance(response.json(), (dict, list)):
        raise Invalid(f"{response.where}: the answer is neither an object nor a list", applied=Applied.MAYBE)


def _is_limited(response: Response) -> bool:
    """Tell a limit from a missing privilege; for the second kind of limit only words do."""
    return (
        response.status == 429
        or "retry-after" in response.headers
        or response.headers.get("x-ratelimit-remaining") == "0"
        or _SECONDARY in _said(response).lower()
    )


def _hint_s(response: Response) -> float:
    after_s = retry_after_s(response.headers)
    if after_s is None and response.headers.get("x-ratelimit-remaining") == "0":
        after_s = until_epoch_s(response.headers, "x-ratelimit-reset")
    return _AGAIN_AFTER_S if after_s is None else after_s


def _said(response: Response) -> str:
    """Return GitHub's own words: the message, then what is wrong with single fields."""
    try:
        body: Any = response.json()
    except Invalid:
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    texts = [str(body.get("message", "")), *(map(_problem, errors) if isinstance(errors, list) else ())]
    return "; ".join(text for text in texts if text)[:_SHOWN_MOST]


def _problem(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[key]) for key in ("field", "code", "message") if error.get(key))
