"""Answers of a homeserver: what they mean. Every one is a JSON object; failures have `errcode`.

Source: https://spec.matrix.org/v1.15/client-server-api/#standard-error-response and section "Rate limiting".
"""

from __future__ import annotations

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
    retry_after_s,
)

__all__ = ["check_answer", "errcode_of", "object_in", "text_in"]

_ADVICE = {
    "M_UNKNOWN_TOKEN": "log the bot in again, and put the new access token where hikeshi.yaml refers to",
    "M_FORBIDDEN": "invite the bot into the room, and let it send messages there",
    "M_TOO_LARGE": "the message is larger than the homeserver takes",
}
_ERRORS: dict[str, type[ConnectorError]] = {
    "M_UNKNOWN_TOKEN": Unauthorized,
    "M_MISSING_TOKEN": Unauthorized,
    "M_ROOM_IN_USE": Conflict,
    "M_TOO_LARGE": Invalid,
}


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other."""
    if response.status < 400:
        object_in(response)
        return
    code = errcode_of(response)
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    if response.status == 429 or code == "M_LIMIT_EXCEEDED":
        raise RateLimited(f"{response.where}: {code}", retry_after_s=_hint_s(response))
    if code in _ERRORS:
        raise _ERRORS[code](f"{response.where}: {code}{advice}", applied=Applied.NO)
    raise error_of_status(response, code + advice)


def errcode_of(response: Response) -> str:
    """Return the code of a failure, or "" if it is none of a homeserver's."""
    try:
        body = response.json()
    except Invalid:
        return ""
    code = body.get("errcode") if isinstance(body, dict) else None
    return code[:100] if isinstance(code, str) else ""


def object_in(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises Invalid if it is something else."""
    body = response.json()
    if not isinstance(body, dict):
        raise Invalid(f"{response.where}: the answer is no JSON object", applied=Applied.MAYBE)
    return body


def text_in(response: Response, name: str) -> str:
    """Return a text that an answer must have. Raises Invalid without it."""
    value = object_in(response).get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"{response.where}: the answer has no {name!r}", applied=Applied.MAYBE)
    return value


def _hint_s(response: Response) -> float | None:
    """Return the delay that is asked for: a header since version 1.10, before that in the body."""
    in_header = retry_after_s(response.headers)
    if in_header is not None:
        return in_header
    try:
        after_ms = object_in(response).get("retry_after_ms")
    except Invalid:
        return None
    is_number = isinstance(after_ms, int | float) and not isinstance(after_ms, bool)
    return max(0.0, float(after_ms) / 1000) if is_number else None  # type: ignore[arg-type]
