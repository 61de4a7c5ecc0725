"""Falcon's answers: an envelope whose `errors` count, whatever the HTTP status says.

The rule: an answer is a success only if its status says so, its body is JSON, and it lists no error. Sources: status
codes and shapes in CrowdStrike/gofalcon (falcon/client/**_responses.go, falcon/models/msa_api_error.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Response,
    Unauthorized,
    Unavailable,
    epoch_or_delay_s,
    error_of_status,
    objects_under,
    retry_after_s,
    understood,
)

__all__ = ["TOKEN_PATH", "Refused", "judge", "next_after", "resources"]

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path
_INDICATORS_PATH = "/iocs/entities/indicators/v1"
_BY_CODE: dict[int, type[ConnectorError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


class Refused(Invalid):
    """Falcon refused a list of indicators, or some of its entries; `reasons` maps those it names to what it said."""

    def __init__(self, message: str, reasons: Mapping[str, str]) -> None:
        super().__init__(message, applied=Applied.MAYBE)
        self.reasons = dict(reasons)


def judge(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; return for a success."""
    if response.status >= 400:
        raise _of_status(response)
    body = response.json()
    if not isinstance(body, dict):
        raise Invalid(f"{response.where}: the answer is not a JSON object", applied=Applied.MAYBE)
    errors = _errors(body)
    if errors:
        raise _of_errors(response, body, errors)


def resources(response: Response) -> list[dict[str, Any]]:
    """Return the `resources` of an answer; Falcon may write null for none. Raises Invalid if they are not there."""
    return objects_under(response, "resources")


def next_after(response: Response, name: str = "after") -> str | None:
    """Return the token of the next page, or None on the last one."""
    with understood(response.where):
        token = ((response.json().get("meta") or {}).get("pagination") or {}).get(name)
    return str(token) if token else None


def _delay_s(headers: Mapping[str, str]) -> float | None:
    """Return the delay that Falcon asks for. Source: parseRetryAfter in CrowdStrike/gofalcon, falcon/api_client.go."""
    delay_s = epoch_or_delay_s(headers, "x-ratelimit-retryafter")
    return retry_after_s(headers) if delay_s is None else delay_s


def _of_status(response: Response) -> ConnectorError:
    body = _object(response)
    errors = _errors(body)
    told = _told(errors) or response.text.strip()[:200]
    path = urlsplit(response.url).path
    if response.status == 429:
        return RateLimited(f"{response.where}: {told}", retry_after_s=_delay_s(response.headers))
    if path.endswith(TOKEN_PATH) and response.status in (400, 401, 403):
        return Unauthorized(f"{response.where}: {told}; check client_id, client_secret, member_cid and region")
    if response.status == 400 and _changes_indicators(response):
        return Refused(f"{response.where}: {told}", _reasons(body, errors))
    if response.status == 404 and not (errors and _names_a_device(response)):
        # Nothing there: a wrong address, not an absent host.
        return Invalid(f"{response.where}: {told}; check base_url and region")
    return error_of_status(response, told)


def _of_errors(response: Response, body: Mapping[str, Any], errors: list[dict[str, Any]]) -> ConnectorError:
    message = f"{response.where}, but with errors: {_told(errors)}"
    if _changes_indicators(response):
        return Refused(message, _reasons(body, errors))
    code = next((error["code"] for error in errors if isinstance(error.get("code"), int)), 0)
    if code >= 500:
        return Unavailable(message, applied=Applied.MAYBE)
    if code == 404 and not _names_a_device(response):
        return Invalid(message)
    applied = Applied.MAYBE if body.get("resources") else Applied.NO
    return _BY_CODE.get(code, Invalid)(message, applied=applied)


def _names_a_device(response: Response) -> bool:
    return "/devices/entities/" in urlsplit(response.url).path


def _changes_indicators(response: Response) -> bool:
    return response.method in ("POST", "DELETE") and urlsplit(response.url).path.endswith(_INDICATORS_PATH)


def _reasons(body: Mapping[str, Any], errors: list[dict[str, Any]]) -> dict[str, str]:
    """Find what Falcon said of single entries: by value in `resources`, by ID in `errors`."""
    rows = body.get("resources") or []
    said = {
        str(row["value"]): str(row["message"])
        for row in rows
        if isinstance(row, dict) and row.get("value") and row.get("message")
    }
    return said | {str(error["id"]): _told([error]) for error in errors if error.get("id")}


def _object(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except Invalid:
        return {}
    return body if isinstance(body, dict) else {}


def _errors(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    errors = body.get("errors")
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def _told(errors: list[dict[str, Any]], most: int = 3) -> str:
    shown = [f"{error.get('code', '?')} {error.get('message', '')}".strip() for error in errors[:most]]
    return "; ".join([*shown, f"and {len(errors) - most} more"] if len(errors) > most else shown)
