"""Credentials of products, kept in one place: fetched when first needed, refreshed before they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from hikeshi.secrets import Redactor

__all__ = ["TokenCache"]

_EARLY_S = 60.0  # renew this long before the end, so that no request travels with a dying token


def _bearer(token: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {token}"}


class TokenCache:
    """Holds one bearer token.

    `fetch` returns the token and its life in seconds. Concurrent callers wait for one fetch. `shown` gives the headers
    that carry a token; without, it is `Authorization: Bearer`.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[str, float]]],
        redactor: Redactor,
        clock: Callable[[], float] = time.monotonic,
        shown: Callable[[str], Mapping[str, str]] = _bearer,
    ) -> None:
        self._fetch = fetch
        self._redactor = redactor
        self._clock = clock
        self._shown = shown
        self._token = ""
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that carry the token. Raises what `fetch` raises."""
        async with self._lock:
            if not self._token or self._clock() >= self._until:
                self._token, life_s = await self._fetch()
                self._redactor.add(self._token)
                self._until = self._clock() + max(life_s - _EARLY_S, life_s / 2)
            return self._shown(self._token)

    def forget(self) -> None:
        """Fetch anew next time: the product did not accept the token."""
        self._token = ""
