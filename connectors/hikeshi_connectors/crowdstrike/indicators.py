"""Indicators (IOCs): what Falcon keeps from running, by hash.

The rule: indicators are deleted by ID. A deletion that names a `filter` ignores its IDs and may take everything, so
none is ever sent. Falcon keeps one indicator for each value; one that stands there already is somebody's decision, and
is neither overwritten nor counted as ours. Source: indicator_delete_v1_parameters.go in CrowdStrike/gofalcon.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.capabilities import Block, Indicator
from hikeshi.connector import (
    Conflict,
    ConnectorError,
    Invalid,
    OutcomeUnknown,
    PartialFailure,
    all_pages,
    lots,
    sent_in_lots,
    understood,
)
from hikeshi_connectors.crowdstrike.answer import Refused, next_after, resources
from hikeshi_connectors.crowdstrike.filter import any_of

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["ENTITIES_PATH", "SEARCH_PATH", "Indicators"]

ENTITIES_PATH = "/iocs/entities/indicators/v1"
SEARCH_PATH = "/iocs/combined/indicator/v1"
PLATFORMS = ("windows", "mac", "linux")
_PREVENTS = frozenset({"prevent", "prevent_no_ui"})
_ASKED_AT_ONCE = 50  # hashes or IDs in one URL, which stays below 4 kB
_SENT_AT_ONCE = 200
_PAGE = 500
_COMMENT_MOST = 400  # characters, since it is part of the URL

Record = Mapping[str, Any]
Known = dict[str, list[Record]]
Lot = list[str]
Failures = dict[str, ConnectorError]


class Indicators:
    """The hashes that one Falcon instance blocks."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def blocks(self, hashes: Sequence[Indicator]) -> list[Block]:
        """Return for each hash whether an indicator keeps it from running on every host, in the same order."""
        known = await self._known(hashes)
        with understood(f"{self._connector}: indicators"):
            return [self._block(each, known.get(each.value.lower(), [])) for each in hashes]

    async def block(self, hashes: Sequence[Indicator], reason: str, expires_in_s: int | None) -> None:
        """Add an indicator for each hash that has none. Raises PartialFailure, naming the hashes that have one."""
        known = await self._known(hashes)
        asked = {each.value: each for each in hashes}
        fresh = [value for value in asked if value.lower() not in known]
        failures = {value: _standing(known[value.lower()]) for value in asked if value not in fresh}
        expiry = None if expires_in_s is None else _until(expires_in_s)

        async def send(lot: Lot) -> None:
            body = {"comment": reason, "indicators": [_new(asked[value], reason, expiry) for value in lot]}
            await self._http.post(ENTITIES_PATH, json=body)

        async def why_not(lot: Lot, refused: Refused) -> Failures:
            now = await self._known([asked[value] for value in lot])
            return dict(_not_added(lot, refused, now))

        _raise_any({**failures, **await _in_lots(fresh, _SENT_AT_ONCE, send, why_not)})

    async def unblock(self, hashes: Sequence[Indicator], reason: str) -> None:
        """Delete every indicator that blocks one of these hashes. Raises PartialFailure for those without one."""
        known = await self._known(hashes)
        failures: Failures = {}
        value_of: dict[str, str] = {}
        for each in hashes:
            blocking = [record for record in known.get(each.value.lower(), ()) if _blocks(record)]
            with understood(f"{self._connector}: indicators"):
                value_of |= {str(record["id"]): each.value for record in blocking if not record.get("from_parent")}
            if not blocking:
                failures[each.value] = Conflict("Falcon has no indicator that blocks it")
            elif any(record.get("from_parent") for record in blocking):
                failures[each.value] = Conflict("the parent CID's indicator blocks it, and is deleted there")

        async def send(lot: Lot) -> None:
            await self._http.delete(ENTITIES_PATH, params={"ids": lot, "comment": reason[:_COMMENT_MOST]})

        async def why_not(lot: Lot, refused: Refused) -> Failures:
            left = await self._known([each for each in hashes if each.value in {value_of[one] for one in lot}])
            standing = {str(record.get("id")) for records in left.values() for record in records}
            return {one: Invalid(refused.reasons.get(one, refused.message)) for one in lot if one in standing}

        left = await _in_lots(list(value_of), _ASKED_AT_ONCE, send, why_not)
        _raise_any({**failures, **{value_of[one]: error for one, error in left.items()}})

    async def _known(self, hashes: Sequence[Indicator]) -> Known:
        """Read the live indicators for these hashes, by value."""
        kinds = {each.value.lower(): each.kind for each in hashes}
        known: Known = {}
        for some in lots(list(kinds), _ASKED_AT_ONCE):
            for record in await self._search(any_of("value", some)):
                value = str(record.get("value", "")).lower()
                gone = record.get("deleted") or record.get("expired")
                if not gone and kinds.get(value) == record.get("type"):
                    known.setdefault(value, []).append(record)
        return known

    async def _search(self, asked: str) -> list[Record]:
        async def page(after: str | None) -> tuple[Sequence[Record], str | None]:
            more = {"after": after} if after else {}
            answer = await self._http.get(SEARCH_PATH, params={"filter": asked, "limit": _PAGE, **more})
            found: Sequence[Record] = resources(answer)
            return found, next_after(answer) if found else None  # Falcon gives a token with an empty page, too

        return await all_pages(page, f"{self._connector}: indicators")

    def _block(self, asked: Indicator, records: Sequence[Record]) -> Block:
        blocking = [record for record in records if _blocks(record)]
        ends = [_expiry(record) for record in blocking]
        last = None if None in ends else max((end for end in ends if end), default=None)
        return Block(
            connector=self._connector, kind=asked.kind, value=asked.value, blocked=bool(blocking), expires_at=last
        )


async def _in_lots(
    names: Sequence[str],
    most: int,
    send: Callable[[Lot], Awaitable[None]],
    why_not: Callable[[Lot, Refused], Awaitable[Failures]],
) -> Failures:
    """Send names in lots, and return what became of those that were not accepted: Falcon may refuse some of a lot."""

    async def explained(lot: Lot, last: bool) -> Failures:  # noqa: ARG001 - no answer is looked at
        try:
            await send(lot)
        except Refused as refused:
            return await _explained(lot, refused, why_not)
        return {}

    answers, failures = await sent_in_lots(names, most, explained)
    for _, found in answers:
        failures |= found
    return failures


async def _explained(lot: Lot, refused: Refused, why_not: Callable[[Lot, Refused], Awaitable[Failures]]) -> Failures:
    try:
        return await why_not(lot, refused)
    except ConnectorError as error:
        unclear = OutcomeUnknown(f"{refused.message}; what was accepted cannot be read: {error.message}")
        return dict.fromkeys(lot, unclear)


def _not_added(lot: Lot, refused: Refused, now: Known) -> Iterator[tuple[str, ConnectorError]]:
    """Tell the names that were refused from those accepted beside them, by what stands there now."""
    for value in lot:
        said = refused.reasons.get(value.lower())
        standing = now.get(value.lower())
        if not standing:
            yield value, Invalid(said or f"refused together with the other entries: {refused.message}")
        elif said or not refused.reasons:
            yield value, _standing(standing)


def _raise_any(failures: Failures) -> None:
    if failures:
        raise PartialFailure(failures)


def _standing(records: Sequence[Record]) -> ConnectorError:
    told = ", ".join(
        f"{record.get('action')} {'on every host' if record.get('applied_globally') else 'for some host groups'}"
        f"{', until ' + str(record['expiration']) if record.get('expiration') else ''} (ID {record.get('id')})"
        for record in records
    )
    return Conflict(f"Falcon has an indicator for this value already: {told}; decide there whether it stays")


def _blocks(record: Record) -> bool:
    return record.get("action") in _PREVENTS and bool(record.get("applied_globally"))


def _new(indicator: Indicator, reason: str, expiry: str | None) -> dict[str, Any]:
    entry = {
        "type": indicator.kind,
        "value": indicator.value.lower(),
        "action": "prevent",
        "severity": "high",
        "platforms": PLATFORMS,
        "applied_globally": True,
        "description": reason,
        "source": "hikeshi",
    }
    return entry if expiry is None else {**entry, "expiration": expiry}


def _until(expires_in_s: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=expires_in_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expiry(record: Record) -> datetime | None:
    text = record.get("expiration")
    return datetime.fromisoformat(str(text)) if text else None
