"""Answers of ServiceNow's Table API: what they mean, and pages of rows.

Sources: the pages "Inbound REST API rate limiting" and "Table API" of https://www.servicenow.com/docs/, and
https://support.servicenow.com/kb?id=kb_article_view&sysparm_article=KB1297438 (a cancelled transaction may answer 200).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from hikeshi.connector import (
    Applied,
    Invalid,
    RateLimited,
    Response,
    Unavailable,
    all_pages,
    error_of_status,
    json_object,
    next_link,
    objects_under,
    retry_after_s,
    until_epoch_s,
)

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["check_answer", "row_in", "rows_of"]

_SHOWN_MOST: Final = 300
_PAGE: Final = 100
_CANCELLED: Final = "Transaction cancelled"


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; a 200 with an error in it is a failure half-way through."""
    if response.status == 429:
        after_s = retry_after_s(response.headers)
        hint_s = until_epoch_s(response.headers, "x-ratelimit-reset") if after_s is None else after_s
        raise RateLimited(f"{response.where}: {_said(response) or 'too many requests'}", retry_after_s=hint_s)
    if response.status >= 400:
        raise error_of_status(response, _said(response))
    applied = Applied.NO if response.method == "GET" else Applied.MAYBE
    if _CANCELLED in response.text[-2000:]:
        raise Unavailable(f"{response.where}: the instance cancelled the transaction half-way", applied=applied)
    body = response.json()
    if not isinstance(body, dict):
        raise Invalid(f"{response.where}: the answer is not a JSON object", applied=applied)
    if body.get("error") or body.get("status") == "failure":
        raise Unavailable(f"{response.where}: {_said(response)}", applied=applied)


def row_in(response: Response) -> dict[str, Any]:
    """Return the one row that an answer holds. Raises Invalid if it holds none."""
    row = json_object(response).get("result")
    if not isinstance(row, dict):
        raise Invalid(f"{response.where}: the answer has no row under 'result'", applied=Applied.MAYBE)
    return row


async def rows_of(http: HttpClient, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return every row of a query. A page can be short because of access rules, so the answer says if one follows."""
    query = {**params, "sysparm_query": f"{params['sysparm_query']}^ORDERBYsys_id", "sysparm_limit": str(_PAGE)}

    async def page(offset: int | None) -> tuple[list[dict[str, Any]], int | None]:
        at = offset or 0
        answer = await http.get(path, params={**query, "sysparm_offset": str(at)})
        total = answer.headers.get("x-total-count", "")
        more = next_link(answer.headers) is not None or (total.isdigit() and int(total) > at + _PAGE)
        return objects_under(answer, "result"), at + _PAGE if more else None

    return await all_pages(page, f"{http.name}: {path}")


def _said(response: Response) -> str:
    try:
        body: Any = response.json()
    except Invalid:
        return ""
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        return error[:_SHOWN_MOST]
    if not isinstance(error, dict):
        return ""
    texts = [str(error[key]) for key in ("message", "detail") if error.get(key)]
    return ": ".join(texts)[:_SHOWN_MOST]
