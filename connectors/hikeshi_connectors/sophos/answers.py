"""Sophos Central's answers: what its errors mean, and lists that come in pages by key or by number.

Sources: https://github.com/sophos/sophos-central-apis-postman at b421160;
https://community.sophos.com/developer/sophos-central-api/f/recommended-reads/120746 (error bodies).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    Response,
    Unauthorized,
    all_pages,
    error_of_status,
    json_object,
    objects_under,
    understood,
)

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["TOKEN_PATH", "judge", "moment", "pages_by_key", "pages_by_number"]

TOKEN_PATH: Final = "/api/v2/oauth2/token"  # noqa: S105 - a path
# Only an answer about one thing can say that it does not exist.
_ONE_THING = re.compile(r"/(endpoints/[^/]+|endpoints/isolation|blocked-items/[^/]+)$")
_TOLD_MOST: Final = 200


def judge(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; return for a success.

    Sophos reports some failures of queries with status 200 and an `error`, and a deletion that did not take place with
    `deleted: false`.
    """
    if response.status >= 400:
        raise _of_status(response)
    body = json_object(response)
    if _is_token(response) and body.get("errorCode") not in (None, "success"):
        raise Unauthorized(f"{response.where}: {_told(body)}; check client_id and client_secret")
    if body.get("error"):
        raise Invalid(f"{response.where}, but with an error: {_told(body)}", applied=Applied.MAYBE)
    if body.get("deleted") is False:
        raise Conflict(f"{response.where}: Sophos did not delete it; it is gone already, or not to be deleted here")
    if response.method in ("POST", "DELETE") and not body:
        raise Invalid(f"{response.where}: the answer is empty", applied=Applied.MAYBE)


async def pages_by_key(http: HttpClient, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a list whose pages name the key of the next one."""

    async def page(key: str | None) -> tuple[list[dict[str, Any]], str | None]:
        asked = {**params, **({} if key is None else {"pageFromKey": key})}
        answer = await http.get(path, params=asked)
        found = objects_under(answer, "items")
        with understood(answer.where):
            following = json_object(answer)["pages"].get("nextKey")
        return found, None if not following else str(following)

    return await all_pages(page, path)


async def pages_by_number(http: HttpClient, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a list whose pages are numbered from 1, and which says how many there are."""

    async def page(number: int | None) -> tuple[list[dict[str, Any]], int | None]:
        current = 1 if number is None else number
        answer = await http.get(path, params={**params, "page": current, "pageTotal": "true"})
        found = objects_under(answer, "items")
        with understood(answer.where):
            total = int(json_object(answer)["pages"]["total"])
        return found, current + 1 if current < total else None

    return await all_pages(page, path)


def moment(text: object) -> datetime:
    """Return a moment that Sophos wrote. It is UTC, which not every one says. Raises ValueError for another form."""
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _of_status(response: Response) -> ConnectorError:
    body = _object(response)
    told = _told(body) or response.text.strip()[:_TOLD_MOST]
    if _is_token(response) and response.status in (400, 401, 403):
        return Unauthorized(f"{response.where}: {told}; check client_id and client_secret")
    if response.status == 404 and not (body.get("error") and _ONE_THING.search(urlsplit(response.url).path)):
        return Invalid(f"{response.where}: {told}; check region and base_url")
    return error_of_status(response, told)


def _is_token(response: Response) -> bool:
    return urlsplit(response.url).path.endswith(TOKEN_PATH)


def _object(response: Response) -> dict[str, Any]:
    try:
        return json_object(response)
    except Invalid:
        return {}


def _told(body: Mapping[str, Any]) -> str:
    shown = [str(body[name]) for name in ("error", "errorCode", "message") if body.get(name)]
    if body.get("requestId"):
        shown.append(f"(request {body['requestId']})")
    return " ".join(shown)[: 2 * _TOLD_MOST]
