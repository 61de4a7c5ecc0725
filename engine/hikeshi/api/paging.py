"""Lists in pages: a cursor is the key of the last thing that was shown, so that what comes in between moves nothing."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Query
from fastapi.exceptions import RequestValidationError

__all__ = ["Cursor", "Limit", "cursor_of", "key_of", "page_of"]

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(alias="after", max_length=600, description="The 'next' of the page before; the beginning if left out."),
]


def cursor_of(key: str) -> str:
    """Return the cursor that stands for a key."""
    return urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> str | None:
    """Return the key that a cursor stands for, or None without one. Raises RequestValidationError."""
    if cursor is None:
        return None
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        wrong = {
            "loc": ("query", "after"),
            "msg": "this is no cursor; take 'next' of a page as it is",
            "type": "cursor",
        }
        raise RequestValidationError([wrong]) from None


def page_of(items: Iterable[T], key: Callable[[T], str], limit: int, cursor: str | None) -> dict[str, Any]:
    """Return one page of things that are sorted by their key."""
    after = key_of(cursor)
    left = [each for each in sorted(items, key=key) if after is None or key(each) > after]
    shown = left[:limit]
    return {"items": shown, "next": cursor_of(key(shown[-1])) if len(left) > limit else None}
