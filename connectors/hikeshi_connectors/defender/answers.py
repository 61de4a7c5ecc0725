"""Answers of Defender's API: which error each failure stands for.

Source: https://learn.microsoft.com/defender-endpoint/api/common-errors (codes; messages may change and are not read).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    Response,
    Unsupported,
    error_of_status,
)
from hikeshi_connectors.microsoft.answers import Said, error_of_sign_in, foreign_page, is_sign_in, said_in

__all__ = ["HUNTING_PATH", "check_answer"]

HUNTING_PATH = "/advancedqueries/run"
_MISSING = frozenset({"NotFound", "ResourceNotFound"})
_UNSUITED = frozenset({"OsPlatformNotSupported", "ClientVersionNotSupported"})
_WRONG = frozenset(
    {"ODataError", "InvalidInput", "InvalidRequestBody", "MissingRequiredParameter", "MaximumBatchSizeExceeded"}
)


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. Only a change can have been applied."""
    error = _error_of(response) if response.status >= 400 else foreign_page(response, "Defender's")
    if error is None:
        return
    if not _is_change(response):
        error.applied = Applied.NO
    raise error


def _is_change(response: Response) -> bool:
    return response.method != "GET" and not is_sign_in(response) and not response.url.endswith(HUNTING_PATH)


def _error_of(response: Response) -> ConnectorError:
    if is_sign_in(response):
        return error_of_sign_in(response)
    said = said_in(response)
    message = f"{response.where}: {said.text}"
    if response.status == 400:
        return _of_bad_request(response, said)
    if response.status == 403:
        return Forbidden(f"{message}; the app lacks a permission, or a feature is switched off for the tenant")
    if response.status == 404 and said.code not in _MISSING:
        # A proxy or a wrong address says 404 too, and that says nothing about the object.
        return Invalid(f"{message}; this is not Defender's way of saying that something is missing: check base_url")
    if response.status == 404 and response.url.endswith("/BatchDelete"):
        return Conflict(f"{message}; an indicator was gone already")
    return error_of_status(response, said.text)


def _of_bad_request(response: Response, said: Said) -> ConnectorError:
    message = f"{response.where}: {said.text}"
    if said.code in _UNSUITED:
        return Unsupported(message)
    acts = urlsplit(response.url).path.endswith(("/isolate", "/unisolate", "/cancel"))
    if acts and said.code and said.code not in _WRONG:
        # "Already in progress" and "already finished" have codes that are not documented.
        return Conflict(message)
    return Invalid(message)
