"""The blocklist: hashes that agents keep from running.

An entry holds for one operating system, so a hash is blocked when there is an entry for each of those that the
settings name. SentinelOne takes one entry a request and has no expiry. Entries made here are recognised by how their
description begins: taking a block back deletes those and leaves what was there before. A block of which only a part
could be made is taken back at once, and one of which a part stands all the same is neither there nor not there: it
cannot be read. Source of paths and bodies: https://github.com/Sentinel-One/ai-siem,
mgmt-console-api/references/tags/Exclusions_and_Blocklist.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hikeshi.capabilities import Block, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    OutcomeUnknown,
    PartialFailure,
    lots,
    sent_in_lots,
)
from hikeshi_connectors.sentinelone.answers import entries
from hikeshi_connectors.sentinelone.named import API, deletion_body

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["BLOCKLIST_PATH", "KINDS", "Blocklist"]

BLOCKLIST_PATH: Final = f"{API}/restrictions"
KINDS: Final = frozenset({"sha1", "sha256"})
_FORMS = {"sha1": re.compile(r"[0-9a-f]{40}"), "sha256": re.compile(r"[0-9a-f]{64}")}
_FIELDS = {"sha1": "value", "sha256": "sha256Value"}
_OURS: Final = "Hikeshi: "
_DESCRIPTION_MOST: Final = 250  # characters
_ASKED_AT_ONCE: Final = 50  # hashes in one URL, which stays below 4 kB
_DELETED_AT_ONCE: Final = 500

Record = Mapping[str, Any]
Failures = dict[str, ConnectorError]


class Blocklist:
    """The blocklist of one scope: the whole tenant, or one account of it."""

    def __init__(self, http: HttpClient, connector: str, account_id: str | None, systems: Sequence[str]) -> None:
        self._http = http
        self._connector = connector
        self._scope: dict[str, Any] = {"tenant": True} if account_id is None else {"accountIds": [account_id]}
        self._asked = {"tenant": "true"} if account_id is None else {"tenant": "false", "accountIds": account_id}
        self._systems = tuple(dict.fromkeys(systems))

    async def blocks(self, hashes: Sequence[Indicator]) -> list[Block]:
        """Return for each hash whether it is blocked on every operating system, in the same order.

        Raises Conflict for a hash of which a part of the entries made here stands.
        """
        known = await self._known(hashes)
        for each in hashes:
            self._refuse_part(each, known.get(each.value.lower(), ()))
        return [
            Block(
                connector=self._connector,
                kind=each.kind,
                value=each.value,
                blocked=not self._missing(known.get(each.value.lower(), ())),
            )
            for each in hashes
        ]

    async def block(self, hashes: Sequence[Indicator], reason: str) -> None:
        """Add the entries that are missing. Raises PartialFailure, naming the hashes that are blocked already."""
        known = await self._known(hashes)
        asked = {each.value: each for each in hashes}

        async def send(lot: list[str], last: bool) -> None:  # noqa: ARG001 - no answer is looked at
            indicator = asked[lot[0]]
            await self._block(indicator, known.get(indicator.value.lower(), []), reason)

        _, failures = await sent_in_lots(list(asked), 1, send)
        if failures:
            raise PartialFailure(failures)

    async def unblock(self, hashes: Sequence[Indicator]) -> None:
        """Delete the entries of these hashes. Raises PartialFailure for those that have none."""
        known = await self._known(hashes)
        failures: Failures = {}
        value_of: dict[str, str] = {}
        for each in hashes:
            standing = known.get(each.value.lower(), [])
            ours = [record for record in standing if _is_ours(record)]
            value_of |= {str(record.get("id")): each.value for record in ours or standing}
            if not standing:
                failures[each.value] = Conflict("SentinelOne has no entry that blocks it")

        async def send(lot: list[str], last: bool) -> None:  # noqa: ARG001 - no answer is looked at
            await self._http.delete(BLOCKLIST_PATH, json=deletion_body(lot))

        _, undeleted = await sent_in_lots(list(value_of), _DELETED_AT_ONCE, send)
        failures |= {value_of[one]: error for one, error in undeleted.items()}
        _raise_any(failures, hashes)

    async def _block(self, indicator: Indicator, there: Sequence[Record], reason: str) -> None:
        """Add the entries of one hash that are missing: all of them or, as far as that can be had, none."""
        missing = self._missing(there)
        if not missing:
            raise Conflict("SentinelOne blocks it already")
        quicker: Conflict | None = None
        added = 0
        for system in missing:
            try:
                await self._add(indicator, system, reason)
                added += 1
            except Conflict as error:
                quicker = error  # somebody blocks it there meanwhile; the others are still missing
            except ConnectorError as error:
                half = added > 0 or (error.applied is Applied.MAYBE and len(missing) > 1)
                if half and await self._take_back(indicator, there, error) < added:
                    error.applied = Applied.MAYBE  # something of it stands, or will be listed only later
                raise
        if quicker is not None:
            raise quicker

    async def _add(self, indicator: Indicator, system: str, reason: str) -> None:
        data = {
            "type": "black_hash",
            "osType": system,
            _FIELDS[indicator.kind]: indicator.value.lower(),
            "description": f"{_OURS}{reason}"[:_DESCRIPTION_MOST],
        }
        await self._http.post(BLOCKLIST_PATH, json={"data": data, "filter": self._scope})

    async def _take_back(self, indicator: Indicator, before: Sequence[Record], cause: ConnectorError) -> int:
        """Delete what was just added for a hash, if a part is all that stands, and return how many entries that were.

        Raises OutcomeUnknown if it could not be done.
        """
        try:
            now = (await self._known([indicator])).get(indicator.value.lower(), [])
            earlier = {record.get("id") for record in before}
            added = [str(record.get("id")) for record in now if _is_ours(record) and record.get("id") not in earlier]
            if not added or not self._missing(now):
                return 0
            await self._http.delete(BLOCKLIST_PATH, json=deletion_body(added))
        except ConnectorError as error:
            told = f"{cause.message}; on some operating systems it may be blocked, and that was not taken back"
            raise OutcomeUnknown(f"{told}: {error.message}", retry_after_s=cause.retry_after_s) from cause
        return len(added)

    def _refuse_part(self, indicator: Indicator, records: Sequence[Record]) -> None:
        missing, ours = self._missing(records), [record for record in records if _is_ours(record)]
        if missing and ours:
            there = ", ".join(dict.fromkeys(str(record.get("osType")) for record in ours))
            raise Conflict(
                f"{self._connector}: Hikeshi's entries for {indicator.value} stand for {there}, and there are none for "
                f"{', '.join(missing)}: delete them in the console, or add what is missing"
            )

    def _missing(self, records: Sequence[Record]) -> list[str]:
        there = {record.get("osType") for record in records}
        return [system for system in self._systems if system not in there]

    async def _known(self, hashes: Sequence[Indicator]) -> dict[str, list[Record]]:
        """Read the entries for these hashes and operating systems, by value."""
        wanted = {_checked(each) for each in hashes}
        known: dict[str, list[Record]] = {}
        for some in lots(sorted(wanted), _ASKED_AT_ONCE):
            params = {**self._asked, "type": "black_hash", "value__contains": ",".join(some)}
            for record in await entries(self._http, BLOCKLIST_PATH, params):
                values = {str(record.get(field) or "").lower() for field in _FIELDS.values()} & wanted
                if record.get("type") == "black_hash" and record.get("osType") in self._systems:
                    for value in values:
                        known.setdefault(value, []).append(record)
        return known


def _is_ours(record: Record) -> bool:
    return str(record.get("description") or "").startswith(_OURS)


def _checked(indicator: Indicator) -> str:
    value = indicator.value.lower()
    form = _FORMS.get(indicator.kind)
    if form is None or not form.fullmatch(value):
        raise Invalid(f"{indicator.value[:80]!r} is no SHA-1 or SHA-256")
    return value


def _raise_any(failures: Failures, hashes: Sequence[Indicator]) -> None:
    if failures and len({each.value for each in hashes}) == 1:
        raise next(iter(failures.values()))
    if failures:
        raise PartialFailure(failures)
