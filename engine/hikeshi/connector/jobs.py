"""Long jobs: a product has accepted something and says later how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from hikeshi.connector.errors import Applied, Timeout

__all__ = ["finished"]

T = TypeVar("T")

_FIRST_WAIT_S: Final = 0.2


async def finished(
    look: Callable[[], Awaitable[T | None]], *, what: str, within_s: float, every_s: float = 2.0, changes: bool = False
) -> T:
    """Return what a job came to. `look` asks the product once and gives None while it goes on.

    The first looks come quickly, later ones every `every_s` seconds. Raises Timeout after `within_s`; what `changes`
    something may still take effect then. `look` raises for a job that failed.
    """
    loop = asyncio.get_running_loop()
    until, wait_s = loop.time() + within_s, min(_FIRST_WAIT_S, every_s)
    while (result := await look()) is None:
        if loop.time() + wait_s > until:
            applied = Applied.MAYBE if changes else Applied.NO
            raise Timeout(f"{what}: not finished after {within_s:g} s", applied=applied)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, every_s)
    return result
