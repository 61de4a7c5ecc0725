"""SentinelOne's answers: an envelope of `data`, `pagination` and `errors`, and what its error codes mean.

Sources: https://github.com/Sentinel-One/ai-siem, mgmt-console-api/references (common_params.md, tags/*.md); the code
4000030 for what is there already: SentinelOneV2Manager.py in https://github.com/chronicle/content-hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    Response,
    all_pages,
    error_of_status,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.sentinelone.named import QUERIES_PATH

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["entries", "judge"]

_PAGE: Final = 1000
_ALREADY_EXISTS: Final = 4000030
_TOLD_MOST: Final = 200


def judge(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; return for a success.

    A change that affected nothing is a Conflict: it is so already, or the token does not reach that agent.
    """
    if response.status >= 400:
        raise _of_status(response)
    body = json_object(response)
    if QUERIES_PATH in urlsplit(response.url).path:
        return
    if errors := _errors(body):
        kind = Conflict if _exists(errors) else Invalid
        raise kind(f"{response.where}, but with errors: {_told(errors)}", applied=Applied.MAYBE)
    if "data" not in body:
        raise Invalid(f"{response.where}: the answer has no 'data'", applied=Applied.MAYBE)
    data = body["data"]
    if response.method != "GET" and isinstance(data, dict) and data.get("affected") == 0:
        raise Conflict(f"{response.where}: nothing was affected; it is so already, or the API token does not reach it")


async def entries(http: HttpClient, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a list, of all its pages."""

    async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
        asked = {**params, "limit": _PAGE, **({} if cursor is None else {"cursor": cursor})}
        answer = await http.get(path, params=asked)
        found = objects_under(answer, "data")
        with understood(answer.where):
            following = json_object(answer)["pagination"]["nextCursor"]
        return found, None if not following else str(following)

    return await all_pages(page, path)


def _of_status(response: Response) -> ConnectorError:
    errors = _errors(_object(response))
    told = _told(errors) or response.text.strip()[:_TOLD_MOST]
    if response.status == 400 and _exists(errors):
        return Conflict(f"{response.where}: {told}")
    if response.status == 401:
        told = f"{told}; check api_token: it may have ended or been revoked"
    if response.status == 404:
        # Lists answer with an empty list for what they don't know, so the address is wrong.
        return Invalid(f"{response.where}: {told}; check base_url")
    return error_of_status(response, told)


def _object(response: Response) -> dict[str, Any]:
    try:
        return json_object(response)
    except Invalid:
        return {}


def _errors(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    errors = body.get("errors")
    return [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []


def _exists(errors: list[dict[str, Any]]) -> bool:
    return any(
        each.get("code") == _ALREADY_EXISTS or "already exists" in str(each.get("detail")).lower() for each in errors
    )


def _told(errors: list[dict[str, Any]], most: int = 3) -> str:
    shown = [
        " ".join(str(each[name]) for name in ("code", "title", "detail") if each.get(name)) for each in errors[:most]
    ]
    return "; ".join([*shown, f"and {len(errors) - most} more"] if len(errors) > most else shown)
