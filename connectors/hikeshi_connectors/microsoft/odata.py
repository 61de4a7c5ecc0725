"""OData: literals that stay literals, and collections in full.

Source: OData 4.01 URL conventions, 5.1.1; https://learn.microsoft.com/graph/paging
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hikeshi.connector import Invalid, Response, all_pages, json_object

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["any_of", "collection", "quoted"]

_Place = tuple[str, int]  # a link, or "" and how many objects to skip


def quoted(text: str) -> str:
    """Return a text as a literal of a filter."""
    return "'" + text.replace("'", "''") + "'"


def any_of(field: str, texts: list[str]) -> str:
    """Return a filter for objects whose `field` is one of the texts."""
    return " or ".join(f"{field} eq {quoted(text)}" for text in texts)


async def collection(
    http: HttpClient,
    path: str,
    params: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    page_size: int | None = None,
    own_host: bool = True,
    base: str = "",
) -> list[dict[str, Any]]:
    """Return every object of a collection.

    Links to a next page are followed. With `page_size`, a full page without a link is followed by `$skip`, for
    services that give no links. Without `own_host` only the query of a link is used, for services that name another
    of their hosts in links. Raises Invalid for what is no collection and for pages without an end.
    """

    async def fetch(place: _Place | None) -> tuple[list[dict[str, Any]], _Place | None]:
        link, skipped = place or ("", 0)
        if link:
            answer = await http.get(link, base=base, headers=headers)
        else:
            more = {"$skip": str(skipped)} if skipped else {}
            answer = await http.get(path, base=base, params={**params, **more}, headers=headers)
        items, following = _page(answer)
        if following is not None:
            return items, (following if own_host else f"{path}?{urlsplit(following).query}", 0)
        if page_size is not None and not link and len(items) >= page_size:
            return items, ("", skipped + len(items))
        return items, None

    return await all_pages(fetch, path)


def _page(answer: Response) -> tuple[list[dict[str, Any]], str | None]:
    body = json_object(answer)
    items, link = body.get("value"), body.get("@odata.nextLink") or body.get("nextLink")
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise Invalid(f"{answer.where}: the answer is not a list of objects")
    if link is not None and not isinstance(link, str):
        raise Invalid(f"{answer.where}: the link to the next page is none")
    return items, link
