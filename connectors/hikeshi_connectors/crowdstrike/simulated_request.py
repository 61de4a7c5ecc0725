"""What the simulator takes from requests: bodies, IDs, and the tokens that name pages."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["json_object", "page_limit", "page_start", "page_token", "wanted_ids"]


async def json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


async def wanted_ids(request: Request, *, most: int) -> list[str]:
    ids = (await json_object(request)).get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(one, str) for one in ids):
        raise HTTPException(400, "ids is required")
    if len(ids) > most:
        raise HTTPException(400, f"at most {most} ids")
    return ids


def page_limit(text: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise HTTPException(400, f"limit must be between 1 and {most}")
    return int(text)


def page_token(position: int, asked: str) -> str:
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return base64.urlsafe_b64encode(f"{position}:{digest}".encode()).decode()


def page_start(token: Any, asked: str) -> int:
    """Return where a page begins. A token is good for the same filter and order only."""
    if not token:
        return 0
    try:
        position, _, _ = base64.urlsafe_b64decode(str(token)).decode().partition(":")
        start = int(position)
    except ValueError:
        raise HTTPException(400, "invalid pagination token") from None
    if page_token(start, asked) != token:
        raise HTTPException(400, "the pagination token belongs to another filter")
    return start
