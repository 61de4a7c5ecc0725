"""Suspicious objects: which hashes Vision One's products keep from running.

The rule: an object that stands already is somebody's decision. Adding it again would overwrite it, so it is looked for
first and left alone. Sources: pytmv1 0.11.0 (threatintel/suspiciousObjects); trendmicro/vision-one-mcp-server 720730a3
(its filter).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hikeshi.capabilities import Block, Indicator
from hikeshi.connector import (
    Conflict,
    ConnectorError,
    Invalid,
    NotFound,
    PartialFailure,
    Response,
    lots,
    sent_in_lots,
    understood,
)
from hikeshi_connectors.vision_one.answers import collection, entries_of, error_in

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["KINDS", "OBJECTS_PATH", "SuspiciousObjects"]

KINDS: Final = {"sha1": "fileSha1", "sha256": "fileSha256"}
OBJECTS_PATH: Final = "/threatintel/suspiciousObjects"
_ASKED_AT_ONCE: Final = 40  # hashes in one filter, which may have 4,000 characters
_SENT_AT_ONCE: Final = 500  # a body may have 1 MB
_PAGE: Final = 200
_DAY_S: Final = 86_400
_DAYS_MOST: Final = 365
_FOREVER: Final = -1
_DESCRIPTION_MOST: Final = 256

Record = Mapping[str, Any]
Known = dict[str, Record]
Failures = dict[str, ConnectorError]


class SuspiciousObjects:
    """The list of one Vision One instance, as far as it holds hashes."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def blocks(self, hashes: Sequence[Indicator]) -> list[Block]:
        """Return for each hash whether an object blocks it, in the same order."""
        known = await self._known(hashes)
        with understood(f"{self._connector}: suspicious objects"):
            return [self._block(each, known.get(each.value.lower())) for each in hashes]

    async def block(self, hashes: Sequence[Indicator], reason: str, expires_in_s: int | None) -> None:
        """Add an object for each hash that has none. Raises PartialFailure for those that have one.

        Raises Invalid for a time that is longer than Vision One can keep one; nothing is sent then.
        """
        days = _days_of(expires_in_s)
        known = await self._known(hashes)
        asked = {each.value.lower(): each for each in hashes}
        failures: Failures = {asked[value].value: _standing(known[value]) for value in asked if value in known}
        entries = {value: _new(asked[value], reason, days) for value in asked if value not in known}
        sent = await self._send(OBJECTS_PATH, entries)
        failures |= {asked[value].value: error for value, error in sent.items()}
        if failures:
            raise PartialFailure(failures)

    async def unblock(self, hashes: Sequence[Indicator]) -> None:
        """Delete the objects that block these hashes. Raises PartialFailure for hashes without one."""
        known = await self._known(hashes)
        failures: Failures = {}
        asked: dict[str, Indicator] = {}
        for each in hashes:
            record = known.get(each.value.lower())
            if record is not None and record.get("scanAction") == "block":
                asked[each.value.lower()] = each
            else:
                failures[each.value] = Conflict("Vision One has no suspicious object that blocks it")
        entries = {value: {KINDS[each.kind]: value} for value, each in asked.items()}
        for value, error in (await self._send(f"{OBJECTS_PATH}/delete", entries)).items():
            gone = isinstance(error, NotFound)
            failures[asked[value].value] = Conflict(f"{error.message}; it was gone already") if gone else error
        if failures:
            raise PartialFailure(failures)

    async def _send(self, path: str, entries: Mapping[str, Mapping[str, Any]]) -> Failures:
        """Send entries by value, and return what was refused. Raises what went wrong if nothing was accepted."""

        async def send(lot: list[str], last: bool) -> Response:
            return await self._http.post(path, json=[entries[value] for value in lot], last=last)

        answers, failures = await sent_in_lots(list(entries), _SENT_AT_ONCE, send)
        for lot, answer in answers:
            for value, entry in zip(lot, entries_of(answer, len(lot)), strict=True):
                refusal = error_in(entry, f"{self._connector}: {value}")
                if refusal is not None:
                    failures[value] = refusal
        return failures

    async def _known(self, hashes: Sequence[Indicator]) -> Known:
        """Read the objects for these hashes, by value. The list has at most one for each."""
        kinds = {each.value.lower(): KINDS[each.kind] for each in hashes}
        known: Known = {}
        for lot in lots(list(kinds), _ASKED_AT_ONCE):
            asked = " or ".join(f"{kinds[value]} eq '{value}'" for value in lot)
            for record in await collection(self._http, OBJECTS_PATH, {"top": _PAGE}, {"TMV1-Filter": asked}):
                kind = record.get("type")
                value = str(record.get(kind) if isinstance(kind, str) else "").lower()
                if kinds.get(value) == kind:
                    known[value] = record
        return known

    def _block(self, asked: Indicator, record: Record | None) -> Block:
        # An object that is on the list of exceptions as well is let through.
        blocked = record is not None and record.get("scanAction") == "block" and not record.get("inExceptionList")
        end = record.get("expiredDateTime") if record is not None and blocked else None
        return Block(
            connector=self._connector,
            kind=asked.kind,
            value=asked.value,
            blocked=blocked,
            expires_at=datetime.fromisoformat(str(end)) if end else None,
        )


def _standing(record: Record) -> ConnectorError:
    excepted = ", but is on the list of exceptions" if record.get("inExceptionList") else ""
    told = f"{record.get('scanAction')}, until {record.get('expiredDateTime') or 'it is deleted'}{excepted}"
    return Conflict(f"Vision One has a suspicious object for this hash already: {told}; decide there whether it stays")


def _days_of(expires_in_s: int | None) -> int:
    """Return the days to tell Vision One, which are never less than what was asked for."""
    if expires_in_s is None:
        return _FOREVER
    days = max(1, math.ceil(expires_in_s / _DAY_S))
    if days > _DAYS_MOST:
        raise Invalid(f"Vision One keeps a block for {_DAYS_MOST} days at most, not for {days}; nothing was sent")
    return days


def _new(indicator: Indicator, reason: str, days: int) -> dict[str, Any]:
    return {
        KINDS[indicator.kind]: indicator.value.lower(),
        "description": (reason or "blocked by Hikeshi")[:_DESCRIPTION_MOST],
        "scanAction": "block",
        "riskLevel": "high",
        "daysToExpiration": days,
    }
