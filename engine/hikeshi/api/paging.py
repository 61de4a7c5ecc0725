"""Lists in pages: a cursor is the key of the last thing that was shown, so that what comes in between moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query

__all__ = ["Cursor", "Limit", "cursor_of", "key_of", "page_of"]

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(
        alias="after",
        max_length=600,
        pattern="^([0-9a-f]{2})+$",
        description="The 'next' of the page before; the beginning if left out.",
    ),
]


def cursor_of(key: str) -> str:
    """Return the cursor that stands for a key: it needs no escaping anywhere."""
    return key.encode().hex()


def key_of(cursor: str | None) -> str | None:
    """Return the key that a cursor stands for, or None without one. One that nobody gave out stands for some key."""
    return None if cursor is None else bytes.fromhex(cursor).decode(errors="replace")


def page_of(items: Iterable[T], key: Callable[[T], str], limit: int, cursor: str | None) -> dict[str, Any]:
    """Return one page of things that are sorted by their key."""
    after = key_of(cursor)
    left = [each for each in sorted(items, key=key) if after is None or key(each) > after]
    shown = left[:limit]
    return {"items": shown, "next": cursor_of(key(shown[-1])) if len(left) > limit else None}
