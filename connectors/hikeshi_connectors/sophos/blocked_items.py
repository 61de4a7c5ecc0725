"""Blocked items: SHA-256 hashes that endpoints keep from running.

Sophos has one item for each hash, takes one a request, and cannot be asked for a single hash: the list is read whole.
Sources: SophosManager.py in https://github.com/chronicle/content-hub (409 for a hash that is blocked already);
https://github.com/jason-costello/sophoscentral (pages, deletion by ID).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from hikeshi.capabilities import Block, Indicator
from hikeshi.connector import Conflict, Invalid, NotFound, PartialFailure, sent_in_lots, understood
from hikeshi_connectors.sophos.answers import pages_by_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hikeshi.connector.http import HttpClient

__all__ = ["BLOCKED_PATH", "BlockedItems"]

BLOCKED_PATH: Final = "/endpoint/v1/settings/blocked-items"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ITEM_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_PAGE: Final = 100
_COMMENT_MOST: Final = 250  # characters


class BlockedItems:
    """The blocked items of one Sophos tenant."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def blocks(self, hashes: Sequence[Indicator]) -> list[Block]:
        """Return for each hash whether it is blocked, in the same order."""
        known = await self._known(hashes)
        return [
            Block(
                connector=self._connector, kind=each.kind, value=each.value, blocked=bool(known.get(each.value.lower()))
            )
            for each in hashes
        ]

    async def block(self, hashes: Sequence[Indicator], reason: str) -> None:
        """Add an item for each hash. Raises PartialFailure, naming those that are blocked already."""
        known = await self._known(hashes)
        comment = (reason or "Hikeshi")[:_COMMENT_MOST]

        async def add(value: str) -> None:
            if known.get(value.lower()):
                raise Conflict("Sophos blocks it already")
            item = {"type": "sha256", "properties": {"sha256": value.lower()}, "comment": comment}
            await self._http.post(BLOCKED_PATH, json=item)

        await _one_by_one([each.value for each in hashes], add)

    async def unblock(self, hashes: Sequence[Indicator]) -> None:
        """Delete the items of these hashes. Raises PartialFailure for those that have none."""
        known = await self._known(hashes)

        async def remove(value: str) -> None:
            ids = known.get(value.lower(), [])
            if not ids:
                raise Conflict("Sophos has no item that blocks it")
            for one in ids:
                await self._delete(one)

        await _one_by_one([each.value for each in hashes], remove)

    async def _delete(self, item_id: str) -> None:
        try:
            await self._http.delete(f"{BLOCKED_PATH}/{item_id}")
        except NotFound as error:
            raise Conflict(f"{error.message}; somebody else deleted it") from None

    async def _known(self, hashes: Sequence[Indicator]) -> dict[str, list[str]]:
        """Read the IDs of the items for these hashes, by value."""
        wanted = {_checked(each) for each in hashes}
        items = await pages_by_number(self._http, BLOCKED_PATH, {"pageSize": _PAGE})
        known: dict[str, list[str]] = {}
        with understood(f"{self._connector}: blocked items"):
            for item in items:
                value = _value_of(item)
                if value in wanted:
                    known.setdefault(value, []).append(_id_of(item))
        return {value: list(dict.fromkeys(ids)) for value, ids in known.items()}


async def _one_by_one(values: Sequence[str], send: Callable[[str], Awaitable[None]]) -> None:
    """Send each value. Raises PartialFailure, naming what was not accepted, or what went wrong if nothing was."""

    async def one(lot: list[str], last: bool) -> None:  # noqa: ARG001 - no answer is looked at
        await send(lot[0])

    _, failures = await sent_in_lots(list(dict.fromkeys(values)), 1, one)
    if failures:
        raise PartialFailure(failures)


def _checked(indicator: Indicator) -> str:
    value = indicator.value.lower()
    if indicator.kind != "sha256" or not _SHA256.fullmatch(value):
        raise Invalid(f"{indicator.value[:80]!r} is no SHA-256")
    return value


def _value_of(item: dict[str, Any]) -> str | None:
    if item.get("type") != "sha256":
        return None
    return str((item.get("properties") or {}).get("sha256") or "").lower()


def _id_of(item: dict[str, Any]) -> str:
    found = str(item["id"])
    if not _ITEM_ID.fullmatch(found):
        raise ValueError("an item's ID is part of a path")
    return found
