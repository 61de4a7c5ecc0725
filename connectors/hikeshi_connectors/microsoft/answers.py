"""The envelopes in which Microsoft's services say no.

Messages change and are translated, codes do not; so nothing here reads a message.
Sources: https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/defender-endpoint/api/common-errors,
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hikeshi.connector import Applied, ConnectorError, Invalid, Response, Unauthorized, error_of_status

__all__ = ["Said", "body_of", "error_of_sign_in", "foreign_page", "is_sign_in", "said_in"]

_SHOWN_MOST = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What a service said of a failure: its code, "" where there is none, and a text for people."""

    code: str
    text: str


def said_in(response: Response) -> Said:
    """Return what an error envelope says; its text names the request, so that the vendor's support can find it."""
    error = body_of(response).get("error")
    envelope = error if isinstance(error, dict) else {}
    told = ": ".join(str(envelope[key]) for key in ("code", "message") if envelope.get(key))
    inner = envelope.get("innerError")
    request = inner.get("request-id") if isinstance(inner, dict) else envelope.get("target")
    text = " ".join(told.split())[:_SHOWN_MOST] or "no explanation"
    return Said(str(envelope.get("code") or ""), f"{text} (request-id {request})" if request else text)


def is_sign_in(response: Response) -> bool:
    """Say whether this answers a request for a token."""
    return urlsplit(response.url).path.endswith("/oauth2/v2.0/token")


def error_of_sign_in(response: Response) -> ConnectorError:
    """Return the error that a refused sign-in stands for."""
    body = body_of(response)
    numbers = body.get("error_codes")
    known = " ".join(f"AADSTS{number}" for number in numbers if isinstance(number, int)) if numbers else ""
    kind = body["error"] if isinstance(body.get("error"), str) else said_in(response).text
    detail = f"{kind} {known}".strip()
    if response.status in (400, 401, 403):
        return Unauthorized(f"{response.where}: {detail}; check tenant_id, client_id, client_secret and scope")
    return error_of_status(response, detail)


def foreign_page(response: Response, whose: str) -> Invalid | None:
    """Return an error if what looks like success is somebody else's page."""
    if not response.content or "json" in response.headers.get("content-type", ""):
        return None
    kind = response.headers.get("content-type", "no content type")
    return Invalid(f"{response.where}: the answer is not {whose} ({kind})", applied=Applied.MAYBE)


def body_of(response: Response) -> dict[str, Any]:
    """Return the JSON object of an answer, or an empty one if it holds something else."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
