"""The blocklist: hashes that agents keep from running.

An entry holds for one operating system, so a hash is blocked when there is an entry for each of those that the
settings name. SentinelOne takes one entry a request and has no expiry. Entries made here are recognised by how their
description begins: taking a block back deletes those and leaves what was there before. Source of paths and bodies:
https://github.com/Sentinel-One/ai-siem, mgmt-console-api/references/tags/Exclusions_and_Blocklist.md.
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
    PartialFailure,
    Unavailable,
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
        """Return for each hash whether it is blocked on every operating system, in the same order."""
        known = await self._known(hashes)
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
        failures: Failures = {}
        accepted = 0
        for number, each in enumerate(hashes):
            missing = self._missing(known.get(each.value.lower(), ()))
            if not missing:
                failures[each.value] = Conflict("SentinelOne blocks it already")
            try:
                for done, system in enumerate(missing):
                    await self._add(each, system, reason, begun=done > 0)
                    accepted += 1
            except (Conflict, Invalid) as error:
                failures[each.value] = error  # about this hash alone; the others go on
            except ConnectorError as error:
                if accepted == 0:
                    raise
                unsent = Unavailable(f"not sent, because the request before it failed: {error.message}")
                failures |= {later.value: unsent for later in hashes[number + 1 :]} | {each.value: error}
                break
        _raise_any(failures, hashes)

    async def unblock(self, hashes: Sequence[Indicator]) -> None:
        """Delete the entries of these hashes. Raises PartialFailure for those that have none."""
        known = await self._known(hashes)
        failures: Failures = {}
        value_of: dict[str, str] = {}
        for each in hashes:
            standing = known.get(each.value.lower(), [])
            ours = [record for record in standing if str(record.get("description") or "").startswith(_OURS)]
            value_of |= {str(record.get("id")): each.value for record in ours or standing}
            if not standing:
                failures[each.value] = Conflict("SentinelOne has no entry that blocks it")

        async def send(lot: list[str], last: bool) -> None:  # noqa: ARG001 - no answer is looked at
            await self._http.delete(BLOCKLIST_PATH, json=deletion_body(lot))

        _, undeleted = await sent_in_lots(list(value_of), _DELETED_AT_ONCE, send)
        failures |= {value_of[one]: error for one, error in undeleted.items()}
        _raise_any(failures, hashes)

    async def _add(self, indicator: Indicator, system: str, reason: str, *, begun: bool) -> None:
        data = {
            "type": "black_hash",
            "osType": system,
            _FIELDS[indicator.kind]: indicator.value.lower(),
            "description": f"{_OURS}{reason}"[:_DESCRIPTION_MOST],
        }
        try:
            await self._http.post(BLOCKLIST_PATH, json={"data": data, "filter": self._scope})
        except ConnectorError as error:
            if begun:
                error.applied = Applied.MAYBE  # on another operating system it is blocked
            raise

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
