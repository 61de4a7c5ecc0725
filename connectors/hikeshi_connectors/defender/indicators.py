"""Indicators: which hashes Defender keeps from running.

The rule: an indicator that stands already is somebody's decision. Sending one for its value would overwrite it, so it
is looked for first and left alone. Sources: https://learn.microsoft.com/defender-endpoint/api/ti-indicator and the
pages import-ti-indicators, get-ti-indicators-collection, batch-delete-ti-indicators beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.capabilities import Block, Indicator
from hikeshi.connector import (
    Conflict,
    ConnectorError,
    Invalid,
    PartialFailure,
    Response,
    lots,
    objects_under,
    sent_in_lots,
    understood,
)
from hikeshi_connectors.microsoft.odata import any_of, collection

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["KINDS", "Indicators"]

KINDS = {"md5": "FileMd5", "sha1": "FileSha1", "sha256": "FileSha256"}
_PATH = "/indicators"
_BLOCKING = frozenset({"Block", "BlockAndRemediate", "AlertAndBlock"})
_ASKED_AT_ONCE = 30  # hashes in one URL, which stays below 4 kB
_SENT_AT_ONCE = 500
_PAGE = 10_000
_TITLE_MOST = 100

Record = Mapping[str, Any]
Known = dict[str, list[Record]]
Failures = dict[str, ConnectorError]


class Indicators:
    """The hashes that one tenant blocks on every machine."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def blocks(self, hashes: Sequence[Indicator]) -> list[Block]:
        """Return for each hash whether an indicator blocks it on every machine, in the same order."""
        known = await self._known(hashes)
        with understood(f"{self._connector}: indicators"):
            return [self._block(each, known.get(each.value.lower(), [])) for each in hashes]

    async def block(self, hashes: Sequence[Indicator], reason: str, expires_in_s: int | None) -> None:
        """Add an indicator for each hash that has none. Raises PartialFailure for those that have one."""
        known = await self._known(hashes)
        asked = {each.value.lower(): each for each in hashes}
        failures: Failures = {asked[value].value: _standing(known[value]) for value in asked if value in known}
        expiry = None if expires_in_s is None else _until(expires_in_s)

        async def send(lot: Sequence[str], last: bool) -> Response:
            entries = [_new(asked[value], reason, expiry) for value in lot]
            return await self._http.post(f"{_PATH}/import", json={"Indicators": entries}, last=last)

        answers, unsent = await sent_in_lots([value for value in asked if value not in known], _SENT_AT_ONCE, send)
        failures |= {asked[value].value: error for value, error in unsent.items()}
        for _, answer in answers:
            failures |= {asked[value].value: error for value, error in _refused(answer) if value in asked}
        if failures:
            raise PartialFailure(failures)

    async def unblock(self, hashes: Sequence[Indicator]) -> None:
        """Delete every indicator that blocks one of these hashes. Raises PartialFailure for hashes without one."""
        known = await self._known(hashes)
        failures: Failures = {}
        value_of: dict[str, str] = {}
        with understood(f"{self._connector}: indicators"):
            for each in hashes:
                blocking = [record for record in known.get(each.value.lower(), ()) if _blocks(record)]
                value_of |= {str(record["id"]): each.value for record in blocking}
                if not blocking:
                    failures[each.value] = Conflict("Defender has no indicator that blocks it on every machine")

        async def send(lot: Sequence[str], last: bool) -> Response:
            return await self._http.post(f"{_PATH}/BatchDelete", json={"IndicatorIds": list(lot)}, last=last)

        _, unsent = await sent_in_lots(list(value_of), _SENT_AT_ONCE, send)
        failures |= {value_of[one]: error for one, error in unsent.items()}
        if failures:
            raise PartialFailure(failures)

    async def _known(self, hashes: Sequence[Indicator]) -> Known:
        """Read the active indicators for these hashes, by value."""
        kinds = {each.value.lower(): KINDS[each.kind] for each in hashes}
        known: Known = {}
        for lot in lots(list(kinds), _ASKED_AT_ONCE):
            params = {"$filter": any_of("indicatorValue", lot), "$top": str(_PAGE)}
            for record in await collection(self._http, _PATH, params, page_size=_PAGE, own_host=False):
                value = str(record.get("indicatorValue", "")).lower()
                if kinds.get(value) == record.get("indicatorType") and not _is_over(record):
                    known.setdefault(value, []).append(record)
        return known

    def _block(self, asked: Indicator, records: Sequence[Record]) -> Block:
        blocking = [record for record in records if _blocks(record)]
        ends = [_expiry(record) for record in blocking]
        last = None if None in ends else max((end for end in ends if end), default=None)
        return Block(
            connector=self._connector, kind=asked.kind, value=asked.value, blocked=bool(blocking), expires_at=last
        )


def _refused(answer: Response) -> Iterator[tuple[str, ConnectorError]]:
    """Yield the values that an import refused, each with what Defender said of it."""
    for result in objects_under(answer, "value"):
        if result.get("isFailed") is not False:
            why = result.get("failureReason") or "without a reason"
            yield str(result.get("indicator", "")).lower(), Invalid(f"Defender refused it: {why}")


def _standing(records: Sequence[Record]) -> ConnectorError:
    told = ", ".join(
        f"{record.get('action')} {'for some machine groups' if _groups(record) else 'on every machine'}"
        f"{', until ' + str(record['expirationTime']) if record.get('expirationTime') else ''} (ID {record.get('id')})"
        for record in records
    )
    return Conflict(f"Defender has an indicator for this value already: {told}; decide there whether it stays")


def _blocks(record: Record) -> bool:
    return record.get("action") in _BLOCKING and not _groups(record)


def _groups(record: Record) -> Sequence[str]:
    return [*(record.get("rbacGroupNames") or ()), *(record.get("rbacGroupIds") or ())]


def _new(indicator: Indicator, reason: str, expiry: str | None) -> dict[str, Any]:
    entry = {
        "indicatorValue": indicator.value.lower(),
        "indicatorType": KINDS[indicator.kind],
        "action": "Block",
        "title": f"Hikeshi: {reason}"[:_TITLE_MOST],
        "description": reason or "blocked by Hikeshi",
        "application": "hikeshi",
        "severity": "High",
        "generateAlert": True,
        "rbacGroupNames": [],
    }
    return entry if expiry is None else {**entry, "expirationTime": expiry}


def _until(expires_in_s: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=expires_in_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expiry(record: Record) -> datetime | None:
    text = record.get("expirationTime")
    return datetime.fromisoformat(str(text)) if text else None


def _is_over(record: Record) -> bool:
    """Say whether an indicator has ended, should the list still hold it."""
    with understood("indicators"):
        end = _expiry(record)
        return end is not None and end <= datetime.now(UTC)
