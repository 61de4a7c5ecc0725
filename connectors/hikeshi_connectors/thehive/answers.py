"""Answers of TheHive: errors with a type and a message, and pages of a query.

Sources: https://docs.strangebee.com/thehive/api-docs/; thehive4py 2.1.0, TheHive's own client (errors, queries);
https://github.com/TheHive-Project/TheHive/issues/2054 (lists of what succeeded and what failed).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    Response,
    all_pages,
    error_of_status,
    json_list,
)

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["QUERY", "check_answer", "query_all"]

QUERY: Final = "/api/v1/query"
_PAGE: Final = 100
_SHOWN_MOST: Final = 300
_EXISTS: Final = ("CreateError", "ConflictError")


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; one that lists a failure is no success."""
    if response.status >= 400:
        raise _error_of(response)
    body = response.json()
    if not isinstance(body, (dict, list)):
        raise Invalid(f"{response.where}: the answer is neither an object nor a list", applied=Applied.MAYBE)
    failures = body.get("failure") if isinstance(body, dict) else None
    if isinstance(failures, list) and failures:
        raise _refused(response, failures[0] if isinstance(failures[0], dict) else {})


async def query_all(http: HttpClient, name: str, *steps: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every object that a query gives, oldest first. `name` is only for TheHive's own log."""
    order = {"_name": "sort", "_fields": [{"_createdAt": "asc"}]}

    async def page(start: int | None) -> tuple[list[dict[str, Any]], int | None]:
        at = start or 0
        query = [*steps, order, {"_name": "page", "from": at, "to": at + _PAGE}]
        answer = await http.post(QUERY, params={"name": name}, json={"query": query})
        found = json_list(answer)
        if not all(isinstance(each, dict) for each in found):
            raise Invalid(f"{answer.where}: the answer is not a list of objects")
        return found, at + _PAGE if len(found) >= _PAGE else None

    return await all_pages(page, f"{http.name}: the query {name}")


def _error_of(response: Response) -> ConnectorError:
    try:
        body: Any = response.json()
    except Invalid:
        body = None
    said = body if isinstance(body, dict) else {}
    if response.status == 400:
        return _refused(response, said)
    return error_of_status(response, _words(said))


def _refused(response: Response, said: Mapping[str, Any]) -> ConnectorError:
    text = f"{response.where}: {_words(said)}"
    # There is one type for all that could not be made; the words tell what is there already.
    exists = said.get("type") in _EXISTS and "already exist" in str(said.get("message", ""))
    return Conflict(text) if exists else Invalid(text)


def _words(said: Mapping[str, Any]) -> str:
    return ": ".join(str(said[key]) for key in ("type", "message") if said.get(key))[:_SHOWN_MOST]
