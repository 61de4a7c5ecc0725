"""Answers of Vision One: errors by code, and lists in which each entry has a status of its own.

Sources: https://automation.trendmicro.com/xdr/Guides/Troubleshooting (codes), /API-Request-Limits (429, 413, 504);
pytmv1 0.11.0, Trend's own client (207, Operation-Location).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
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
    all_pages,
    error_of_status,
    json_list,
    json_object,
    objects_under,
    retry_after_s,
    understood,
)

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["check_answer", "collection", "entries_of", "error_in", "task_in"]

_WINDOW_S: Final = 60.0  # in which requests are counted; no header says how much of it is left
_SHOWN_MOST: Final = 300
_KINDS: Final[Mapping[int, type[ConnectorError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. Only a change can have been applied.

    A 207 passes: what became of its entries is read with `entries_of`.
    """
    error = _error_of(response) if response.status >= 400 else _foreign(response)
    if error is None:
        return
    if response.method == "GET":
        error.applied = Applied.NO
    raise error


def entries_of(response: Response, count: int) -> list[dict[str, Any]]:
    """Return what became of each of the `count` entries that were sent, in their order.

    Raises Invalid if there are more or fewer: then nobody knows which is which.
    """
    entries = json_list(response)
    if len(entries) != count or not all(isinstance(each, dict) and _is_status(each) for each in entries):
        text = f"{response.where}: the answer does not say what became of each of {count} entries"
        raise Invalid(text, applied=Applied.MAYBE)
    return entries


def error_in(entry: Mapping[str, Any], where: str) -> ConnectorError | None:
    """Return the error that an entry's own status stands for, or None for one that was accepted."""
    status = int(entry["status"])
    if status < 400:
        return None
    body = entry.get("body")
    message = f"{where} answered {status}: {_told(body if isinstance(body, dict) else {})}"
    if status >= 500:
        return Unavailable(message, applied=Applied.MAYBE)
    return _KINDS.get(status, Invalid)(message)


def task_in(entry: Mapping[str, Any]) -> str | None:
    """Return the ID of the task that an entry became, or None if it became none."""
    for header in entry.get("headers") or ():
        if str(header.get("name", "")).lower() == "operation-location":
            return urlsplit(str(header.get("value", ""))).path.rpartition("/")[2] or None
    return None


async def collection(
    http: HttpClient, path: str, params: Mapping[str, Any], headers: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the entries of every page. The header with the query has to come with each of them.

    Raises Invalid for a search that the product says it has not finished.
    """

    async def fetch(link: str | None) -> tuple[Sequence[dict[str, Any]], str | None]:
        if link is None:
            answer = await http.get(path, params=params, headers=headers)
        else:
            answer = await http.get(f"{path}?{urlsplit(link).query}", headers=headers)
        items, body = objects_under(answer, "items"), json_object(answer)
        following = body.get("nextLink") or None
        with understood(answer.where):
            if following is None and int(body.get("progressRate", 100)) < 100:
                raise Invalid(f"{answer.where}: the search is not complete; search a shorter time")
            return items, None if following is None else str(following)

    return await all_pages(fetch, path)


def _is_status(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("status"), int)


def _error_of(response: Response) -> ConnectorError:
    body = _object(response)
    told = _told(body)
    message = f"{response.where}: {told}"
    error = body.get("error")
    if response.status == 429:
        hint_s = retry_after_s(response.headers)
        return RateLimited(message, retry_after_s=_WINDOW_S if hint_s is None else hint_s)
    if response.status == 404 and not (isinstance(error, dict) and error.get("code") == "NotFound"):
        return Invalid(f"{message}; this is not Vision One's way of saying that something is missing: check the region")
    if response.status == 403:
        return Forbidden(f"{message}; the role of the API key lacks a permission")
    return error_of_status(response, told)


def _foreign(response: Response) -> ConnectorError | None:
    if not response.content or "json" in response.headers.get("content-type", ""):
        return None
    kind = response.headers.get("content-type", "no content type")
    return Invalid(f"{response.where}: the answer is not Vision One's ({kind})", applied=Applied.MAYBE)


def _object(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _told(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    said = error if isinstance(error, dict) else {}
    parts = (str(said[key]) for key in ("code", "message") if said.get(key))
    return " ".join(": ".join(parts).split())[:_SHOWN_MOST] or "no explanation"
