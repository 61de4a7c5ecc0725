"""The secret address of a workflow: checked, and put into a request in the moment in which it leaves.

The rule: what plans, records and errors show is the request before this; nothing behind this is ever shown.
"""

from __future__ import annotations

import httpx

from hikeshi.connector import Unauthorized

__all__ = ["ADDRESS_HEADER", "AddressTransport", "whole_address"]

ADDRESS_HEADER = "x-hikeshi-address"
"""Carries the address from where credentials are resolved to here. It does not leave the process."""


def whole_address(given: str, base_url: str, what: str) -> str:
    """Return an address as it is sent to: given as a whole, or from its path on.

    Raises Unauthorized, which does not quote it, for one that is elsewhere than at `base_url`.
    """
    base = base_url.rstrip("/")
    address, below = _written(base + given if given.startswith("/") else given), _written(f"{base}/")
    if not address or not below:
        raise Unauthorized(f"{what} is none; copy it again from the workflow")
    if "#" in address or not address.startswith(below):
        raise Unauthorized(f"{what} is not at {base}; copy it again, or correct base_url")
    return address


def _written(text: str) -> str:
    """Return an address as httpx writes it, or "" if it is none."""
    try:
        return str(httpx.URL(text)) if text.isascii() and text.isprintable() and " " not in text else ""
    except httpx.InvalidURL:
        return ""


class AddressTransport(httpx.AsyncBaseTransport):
    """Sends a request to the address in its header."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        address = request.headers.get(ADDRESS_HEADER)
        if address is None:
            return await self._inner.handle_async_request(request)
        kept = [pair for pair in request.headers.raw if pair[0].lower() not in (ADDRESS_HEADER.encode(), b"host")]
        there = httpx.Request(
            request.method, address, headers=kept, content=request.content, extensions=request.extensions
        )
        return await self._inner.handle_async_request(there)

    async def aclose(self) -> None:
        await self._inner.aclose()
