"""Answers that come in pages: by link, cursor, offset or token, always to the last one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from hikeshi.connector.errors import Invalid

__all__ = ["all_pages", "next_link"]

T = TypeVar("T")
Mark = TypeVar("Mark", bound=Hashable)

_PAGES_MOST: Final = 10_000
# Source: RFC 8288, 3. The target stands in angle brackets; the relation type is one of several parameters.
_LINK: Final = re.compile(r"<([^>]*)>([^<]*)")
_REL_NEXT: Final = re.compile(r';\s*rel\s*=\s*"?(?:[^";]*\s)?next(?:\s[^";]*)?"?\s*(?:;|,|$)', re.IGNORECASE)


async def all_pages(
    fetch: Callable[[Mark | None], Awaitable[tuple[Sequence[T], Mark | None]]], what: str, *, remembered: bool = False
) -> list[T]:
    """Return the entries of every page.

    `fetch(mark)` gets one page, the first for None, and returns its entries and the mark of the next one: a link, a
    cursor, an offset. None ends it. Raises Invalid if a mark comes back a second time: such a list has no end. With
    `remembered` the product itself knows how far it is, and its mark may stay the same while there are entries.
    """
    found: list[T] = []
    seen: set[Mark] = set()
    mark: Mark | None = None
    pages = 0
    while True:
        entries, mark = await fetch(mark)
        found += entries
        if mark is None:
            return found
        pages += 1
        if (mark in seen and not (remembered and entries)) or pages >= _PAGES_MOST:
            raise Invalid(f"{what}: the pages do not end; the product named the same next page twice, or too many")
        seen.add(mark)


def next_link(headers: Mapping[str, str]) -> str | None:
    """Return the address of the next page in a `Link` header, or None."""
    for target, parameters in _LINK.findall(headers.get("link", "")):
        if _REL_NEXT.search(parameters):
            return str(target)
    return None
