"""Event search: queries over what the sensors recorded (Next-Gen SIEM, in CrowdStrike Query Language).

The rule: what is searched for is an argument of the query, never part of its text. A search that may be incomplete is
an error. Sources: start_search_v1 in CrowdStrike/gofalcon; ngsiem_search in CrowdStrike/ansible_collection_falcon
(`?name` arguments); https://library.humio.com/logscale-api/api-search-query-poll.html (done, pollAfter, hasMoreEvents).
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hikeshi.capabilities import Activity
from hikeshi.connector import Applied, Invalid, Timeout, Unavailable, understood
from hikeshi_connectors.crowdstrike.filter import age

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["EventSearch"]

# One row for each host, the latest first. Both limits are raised: by default rows beyond the first ones are dropped.
_BY_HOST = (
    " | groupBy([aid], function=[max(@timestamp, as=last_at), count(as=times), selectLast([ComputerName{more}])]"
    ", limit=max) | sort(last_at, order=desc, limit=max)"
)
_TO_IPV4 = "in(#event_simpleName, values=[NetworkConnectIP4, NetworkReceiveAcceptIP4]) | RemoteAddressIP4=?sought"
_TO_IPV6 = "in(#event_simpleName, values=[NetworkConnectIP6, NetworkReceiveAcceptIP6]) | RemoteAddressIP6=?sought"
_TO_DOMAIN = "#event_simpleName=DnsRequest | lower(DomainName, as=asked_name) | asked_name=?sought"
_WITH_HASH = "SHA256HashData=?sought"
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POLL_S = 5.0  # where the answer does not say
_POLL_MOST_S = 25.0  # a job that nobody asks about for 30 seconds is dropped


class EventSearch:
    """Searches in one repository of one Falcon instance."""

    def __init__(self, http: HttpClient, connector: str, repository: str, timeout_s: float) -> None:
        self._http = http
        self._connector = connector
        self._jobs = f"/humio/api/v1/repositories/{repository}/queryjobs"
        self._timeout_s = timeout_s

    async def connections(self, address: str, since_s: int) -> list[Activity]:
        """Return each host that talked to an address, or asked for a domain, at the last time it did."""
        query, sought = _by_address(address)
        rows = await self._rows(query + _BY_HOST.format(more=", RemotePort"), sought, since_s)
        with understood(f"{self._connector}: event search"):
            return [self._activity(row, "connection", sought, row.get("RemotePort")) for row in rows]

    async def files(self, sha256: str, since_s: int) -> list[Activity]:
        """Return each host where a sensor saw a file with this hash, at the last time it did."""
        sought = sha256.strip().lower()
        if not _SHA256.fullmatch(sought):
            raise Invalid(f"{sha256!r} is not a SHA-256: 64 hexadecimal digits")
        rows = await self._rows(_WITH_HASH + _BY_HOST.format(more=", ImageFileName, TargetFileName"), sought, since_s)
        with understood(f"{self._connector}: event search"):
            return [self._activity(row, "file", sought, _path(row)) for row in rows]

    async def _rows(self, query: str, sought: str, since_s: int) -> list[dict[str, Any]]:
        body = {"queryString": query, "arguments": {"sought": sought}, "start": age(since_s), "isLive": False}
        started = (await self._http.post(self._jobs, json=body)).json()
        if not isinstance(started.get("id"), str):
            raise Invalid(f"{self._connector}: the event search was not started; the answer names no job")
        result = await self._result(started["id"])
        with understood(f"{self._connector}: event search"):
            _refuse_incomplete(result)
            return list(result.get("events") or ())

    async def _result(self, job: str) -> dict[str, Any]:
        """Ask for the result until the search is done, as often as Falcon says. Raises Timeout, Unavailable."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._timeout_s
        while True:
            result: dict[str, Any] = (await self._http.get(f"{self._jobs}/{job}")).json()
            if result.get("cancelled"):
                raise Unavailable(f"{self._connector}: the event search was cancelled")
            if result.get("done"):
                return result
            pause_s = _pause_s(result)
            if clock() + pause_s > until:
                raise Timeout(
                    f"{self._connector}: the event search was not done after {self._timeout_s:g} s; "
                    "search a shorter time or raise search_timeout_s",
                    applied=Applied.NO,
                )
            await asyncio.sleep(pause_s)

    def _activity(
        self, row: Mapping[str, Any], kind: Literal["connection", "file"], value: str, what: str | None
    ) -> Activity:
        aid = str(row["aid"])
        where = f"port {what}" if what and kind == "connection" else what
        times = f"{row.get('times', 1)} times"
        return Activity(
            connector=self._connector,
            at=datetime.fromtimestamp(int(row["last_at"]) / 1000, UTC),
            kind=kind,
            host_id=aid,
            host_name=str(row.get("ComputerName") or aid),
            value=value,
            detail=f"{where}, {times}" if where else times,
        )


def _by_address(address: str) -> tuple[str, str]:
    wanted = address.strip().lower().rstrip(".")
    try:
        ip = ipaddress.ip_address(wanted)
    except ValueError:
        if not _DOMAIN.fullmatch(wanted):
            raise Invalid(f"{address!r} is neither an IP address nor a domain name") from None
        return _TO_DOMAIN, wanted
    return (_TO_IPV4 if ip.version == 4 else _TO_IPV6), str(ip)


def _path(row: Mapping[str, Any]) -> str | None:
    return row.get("ImageFileName") or row.get("TargetFileName")


def _pause_s(result: Mapping[str, Any]) -> float:
    asked_ms = (result.get("metaData") or {}).get("pollAfter")
    return min(max(asked_ms / 1000, 0.01), _POLL_MOST_S) if isinstance(asked_ms, (int, float)) else _POLL_S


def _refuse_incomplete(result: Mapping[str, Any]) -> None:
    """Raise Invalid for a result that lacks rows or carries a warning: it would pass for the whole."""
    more = ((result.get("metaData") or {}).get("extraData") or {}).get("hasMoreEvents")
    warnings = [str(each.get("message")) for each in result.get("warnings") or () if isinstance(each, dict)]
    if str(more).lower() == "true":
        warnings.append("there are more rows than it returned")
    if warnings:
        raise Invalid(f"the event search may be incomplete; search a shorter time: {'; '.join(warnings[:3])}")
