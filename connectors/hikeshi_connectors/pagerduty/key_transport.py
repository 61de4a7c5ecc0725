"""Puts the routing key where PagerDuty wants it, in the moment in which a request leaves.

The rule: what plans, records and errors show is the request before this; nothing behind this is ever shown.
"""

from __future__ import annotations

import json

import httpx

__all__ = ["KEY_HEADER", "KeyTransport"]

KEY_HEADER = "x-hikeshi-routing-key"
"""Carries the key from where credentials are resolved to here. It does not leave the process."""


class KeyTransport(httpx.AsyncBaseTransport):
    """Moves the key from its header into the body."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get(KEY_HEADER)
        if key is None:
            return await self._inner.handle_async_request(request)
        body = {**json.loads(request.content), "routing_key": key}
        kept = [pair for pair in request.headers.raw if pair[0].lower() not in (KEY_HEADER.encode(), b"content-length")]
        content = json.dumps(body, separators=(",", ":")).encode()
        keyed = httpx.Request(request.method, request.url, headers=kept, content=content, extensions=request.extensions)
        return await self._inner.handle_async_request(keyed)

    async def aclose(self) -> None:
        await self._inner.aclose()
