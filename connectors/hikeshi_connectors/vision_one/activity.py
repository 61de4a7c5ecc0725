"""Activity search: what sensors recorded on endpoints.

The rule: what is searched for is checked to be an address, a domain or a hash before it enters a query, and every
record is compared here as well. Sources: pytmv1 0.11.0 (search/endpointActivities, `field:"value"` in TMV1-Query);
Trend's list of fields of endpoint activity data.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.capabilities import Activity
from hikeshi.connector import Invalid, understood
from hikeshi_connectors.vision_one.answers import collection
from hikeshi_connectors.vision_one.moment import moment

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["ACTIVITIES_PATH", "ActivitySearch"]

ACTIVITIES_PATH: Final = "/search/endpointActivities"
_PAGE: Final = 500
_ADDRESS_FIELDS: Final[tuple[str, ...]] = ("dst", "objectIp", "objectIps", "src")
_DOMAIN_FIELDS: Final = ("hostName", "objectHostName")
_HASH_FIELDS: Final = ("objectFileHashSha256", "processFileHashSha256", "parentFileHashSha256", "srcFileHashSha256")
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")

Record = Mapping[str, Any]


class ActivitySearch:
    """Searches in the endpoint activity of one Vision One instance."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def connections(self, address: str, since_s: int) -> list[Activity]:
        """Return each endpoint that talked to an address or domain, with the last time, newest first."""
        wanted = address.strip().lower().rstrip(".")
        fields = _ADDRESS_FIELDS
        try:
            wanted = str(ipaddress.ip_address(wanted))
        except ValueError:
            if not _DOMAIN.fullmatch(wanted):
                raise Invalid(f"{address[:80]!r} is neither an IP address nor a domain name") from None
            fields = _DOMAIN_FIELDS
        return await self._found("connection", wanted, fields, since_s)

    async def files(self, sha256: str, since_s: int) -> list[Activity]:
        """Return each endpoint where a file or process with this hash was seen, with the last time, newest first."""
        wanted = sha256.strip().lower()
        if not _SHA256.fullmatch(wanted):
            raise Invalid(f"{sha256[:80]!r} is not a SHA-256: 64 hexadecimal digits")
        return await self._found("file", wanted, _HASH_FIELDS, since_s)

    async def _found(
        self, kind: Literal["connection", "file"], wanted: str, fields: Sequence[str], since_s: int
    ) -> list[Activity]:
        query = " or ".join(f'{field}:"{wanted}"' for field in fields)
        params = {"startDateTime": moment(since_s), "endDateTime": moment(), "top": _PAGE, "mode": "default"}
        records = await collection(self._http, ACTIVITIES_PATH, params, {"TMV1-Query": query})
        with understood(f"{self._connector}: endpoint activities"):
            hits = [each for each in records if _matches(each, wanted, fields)]
            return [self._activity(each, kind, wanted) for each in _newest_of_each(hits)]

    def _activity(self, record: Record, kind: Literal["connection", "file"], value: str) -> Activity:
        guid = str(record["endpointGuid"])
        port = record.get("dpt") or record.get("objectPort")
        where = f"port {port}" if port else None
        detail = where if kind == "connection" else record.get("objectFilePath") or record.get("processFilePath")
        return Activity(
            connector=self._connector,
            at=_at(record),
            kind=kind,
            host_id=guid,
            host_name=str(record.get("endpointHostName") or guid),
            value=value,
            detail=detail or None,
        )


def _matches(record: Record, wanted: str, fields: Sequence[str]) -> bool:
    """Say whether a field holds what was searched for; an endpoint's own address as a source is no hit."""
    for field in fields:
        own = record.get("endpointIp") or () if field == "src" else ()
        values = record.get(field)
        for value in values if isinstance(values, list) else [values]:
            if str(value or "").lower().rstrip(".") == wanted and value not in own:
                return True
    return False


def _newest_of_each(records: Iterable[Record]) -> list[Record]:
    newest: dict[str, Record] = {}
    for record in sorted(records, key=_at, reverse=True):
        newest.setdefault(str(record["endpointGuid"]), record)
    return list(newest.values())


def _at(record: Record) -> datetime:
    return datetime.fromtimestamp(int(record["eventTime"]) / 1000, UTC)
