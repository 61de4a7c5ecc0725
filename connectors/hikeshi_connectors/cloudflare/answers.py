"""Cloudflare's envelope: `success` decides, whatever the HTTP status says.

Sources: the envelope in Cloudflare's OpenAPI file; https://developers.cloudflare.com/fundamentals/api/reference/limits/.
The codes are documented nowhere in one place: those here were seen in public bug reports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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
    error_of_status,
    json_object,
    retry_after_s,
)

__all__ = ["check_answer"]

_CODES: Final[dict[int, type[ConnectorError]]] = {
    1000: Unauthorized,  # the token is not valid
    6003: Unauthorized,  # invalid request headers: what is sent as a token has not the form of one
    9103: Unauthorized,
    9109: Unauthorized,  # invalid access token
    7003: NotFound,  # no route: an ID in the path is of nothing
    10009: Conflict,  # a duplicate of an existing access rule
}
# One code for a wrong token and for one that lacks a permission: the status tells them apart, more or less.
_EITHER: Final = 10000
_PERMISSIONS: Final = (
    "grant the API token what the connector's README lists, or make a new one: a wrong token looks the same"
)
_WINDOW: Final = re.compile(r'"[^"]*"\s*;[^,]*')


def check_answer(response: Response) -> None:
    """Raise the error that an answer stands for; pass one that Cloudflare calls a success."""
    if response.status == 429:
        raise RateLimited(_told(response, _errors(response)), retry_after_s=_wait_s(response.headers))
    if response.status == 408 or response.status >= 500:
        raise error_of_status(response, _words(_errors(response)))
    if response.status < 400:
        body = json_object(response)
        if body.get("success") is True:
            return
        if "success" not in body:
            raise Invalid(f"{response.where}: the answer is not Cloudflare's", applied=Applied.MAYBE)
        raise _error(response, _errors(response), Applied.MAYBE)
    raise _error(response, _errors(response), Applied.NO)


def _error(response: Response, errors: list[dict[str, Any]], applied: Applied) -> ConnectorError:
    message = _told(response, errors)
    for error in errors:
        code = error.get("code")
        if code == _EITHER and response.status != 401:
            return Forbidden(f"{message}; {_PERMISSIONS}")
        if isinstance(code, int) and code in _CODES:
            return _CODES[code](message)
    if response.status == 401:
        return Unauthorized(f"{message}; check api_token in hikeshi.yaml")
    if response.status == 403:
        return Forbidden(f"{message}; {_PERMISSIONS}")
    if response.status == 404 and not errors:
        # It says that this is not Cloudflare's API, not that something is absent there.
        return Invalid(f"{response.where}, and not as Cloudflare does; check base_url")
    if response.status in (404, 409):
        return error_of_status(response, _words(errors))
    return Invalid(message, applied=applied)


def _errors(response: Response) -> list[dict[str, Any]]:
    try:
        found = json_object(response).get("errors")
    except Invalid:
        return []  # a web page of the edge
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _told(response: Response, errors: list[dict[str, Any]]) -> str:
    words = _words(errors)
    return response.where + (f": {words}" if words else "")


def _words(errors: list[dict[str, Any]]) -> str:
    told = (f"{error.get('message', 'no message')} (code {error.get('code')})" for error in errors[:3])
    return "; ".join(" ".join(text.split())[:300] for text in told)


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the delay asked for: `retry-after`, or the longest `t` of a window in `ratelimit` that is used up."""
    asked_s = retry_after_s(headers)
    if asked_s is not None:
        return asked_s
    waits: list[float] = []
    for window in _WINDOW.findall(headers.get("ratelimit", "")):
        fields = dict(part.strip().partition("=")[::2] for part in window.split(";")[1:])
        if fields.get("r") == "0" and fields.get("t", "").isdecimal():
            waits.append(float(fields["t"]))
    return max(waits, default=None)
