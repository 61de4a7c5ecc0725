"""Reading a signed message that somebody posts: refused by its headers where they say enough, and never read too far.

Every door for signed messages reads through this file, so that none of them forgets a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hikeshi.triggers.verify import Refused, Verifier

__all__ = ["body_of", "content_type_of", "headers_of", "refusal"]


def headers_of(request: Request) -> dict[str, list[str]]:
    """Return every header by its name in small letters, with all its values."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers.raw:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def content_type_of(
    headers: Mapping[str, Sequence[str]], known: Sequence[str], verifier: Verifier, *, most_bytes: int
) -> str:
    """Return the type of the body, without its parameters. Raises Refused for what need not be read."""
    given = headers.get("content-type", [""])[0].partition(";")[0].strip().lower()
    if "content-encoding" in headers or given not in known:
        raise Refused(415, "content_type", f"the body has to be {' or '.join(known)}, and not compressed")
    length = headers.get("content-length", ["0"])[0]
    if not length.isdecimal() or int(length) > most_bytes:
        raise _too_large(most_bytes)
    if any(name not in headers for name in verifier.needs):
        raise Refused(401, "unsigned", "this message is not signed as it has to be")
    return given


async def body_of(request: Request, *, most_bytes: int, within_s: float) -> bytes:
    """Return the body. Raises Refused as soon as it is known to be too large, whatever was announced."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise _too_large(most_bytes)
                parts.append(part)
    except TimeoutError:
        raise Refused(408, "slow", f"the body did not come within {within_s:g} s") from None
    return b"".join(parts)


def refusal(status: int, code: str, message: str, headers: Mapping[str, str]) -> Response:
    """Return the answer to a message that is not taken."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=dict(headers))


def _too_large(most_bytes: int) -> Refused:
    return Refused(413, "too_large", f"the body has more than {most_bytes} bytes")
