"""Data Lake: SQL over what the endpoints uploaded (XDR Query API).

The rule: what is searched for has a form in which it can only be a value (an address, a domain name, a hash) before it
becomes part of a query. Sources: https://developer.sophos.com/getting-started-with-xdr-query; xdr_ioc_hunter.sql in the
vendor's package sophos-central-api-connector 0.1.6 (columns of xdr_data).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.capabilities import Activity
from hikeshi.connector import Applied, Invalid, Timeout, Unavailable, finished, json_object, understood
from hikeshi_connectors.sophos.answers import moment, pages_by_key

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["RUNS_PATH", "DataLake"]

RUNS_PATH: Final = "/xdr-query/v1/queries/runs"
_BY_ENDPOINT: Final = (
    "SELECT endpoint_id, MAX(meta_hostname) AS host_name, MAX(ingestion_timestamp) AS last_at, COUNT(*) AS times,"
    " MAX({what}) AS what FROM xdr_data WHERE {test} GROUP BY endpoint_id ORDER BY last_at DESC"
)
_TO_ADDRESS: Final = "destination_ip = '{sought}' OR remote_address = '{sought}'"
_TO_DOMAIN: Final = "LOWER(domain) = '{sought}'"
_WITH_HASH: Final = "LOWER(sha256) = '{sought}'"
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_PAGE: Final = 1000
_LOOK_EVERY_S: Final = 5.0

Row = Mapping[str, Any]


class DataLake:
    """Searches in the Data Lake of one Sophos tenant."""

    def __init__(self, http: HttpClient, connector: str, timeout_s: float) -> None:
        self._http = http
        self._connector = connector
        self._timeout_s = timeout_s

    async def connections(self, address: str, since_s: int) -> list[Activity]:
        """Return each host that talked to an address, or to a domain, at the last time Sophos heard of it."""
        wanted = address.strip().lower().rstrip(".")
        if _is_address(wanted):
            sought, test = str(ipaddress.ip_address(wanted)), _TO_ADDRESS
        elif _DOMAIN.fullmatch(wanted):
            sought, test = wanted, _TO_DOMAIN
        else:
            raise Invalid(f"{address[:80]!r} is neither an IP address nor a domain name")
        return await self._activities(test, "name", sought, "connection", since_s)

    async def files(self, sha256: str, since_s: int) -> list[Activity]:
        """Return each host that reported a file with this hash, at the last time Sophos heard of it."""
        sought = sha256.strip().lower()
        if not _SHA256.fullmatch(sought):
            raise Invalid(f"{sha256[:80]!r} is not a SHA-256: 64 hexadecimal digits")
        return await self._activities(_WITH_HASH, "path", sought, "file", since_s)

    async def _activities(
        self, test: str, what: str, sought: str, kind: Literal["connection", "file"], since_s: int
    ) -> list[Activity]:
        query = _BY_ENDPOINT.format(test=test.format(sought=sought), what=what)
        rows = await self._rows(query, since_s)
        with understood(f"{self._connector}: Data Lake"):
            return [
                Activity(
                    connector=self._connector,
                    at=moment(row["last_at"]),
                    kind=kind,
                    host_id=str(row["endpoint_id"]),
                    host_name=str(row.get("host_name") or row["endpoint_id"]),
                    value=sought,
                    detail=_detail(row),
                )
                for row in rows
            ]

    async def _rows(self, query: str, since_s: int) -> list[dict[str, Any]]:
        if since_s <= 0:
            raise Invalid(f"an age is a positive number of seconds, not {since_s}")
        now = datetime.now(UTC)
        body = {
            "adHocQuery": {"template": query},
            "from": _written(now - timedelta(seconds=since_s)),
            "to": _written(now),
        }
        run = json_object(await self._http.post(RUNS_PATH, json=body)).get("id")
        if not isinstance(run, str) or not _RUN_ID.fullmatch(run):
            raise Invalid(f"{self._connector}: the query was not started; the answer names no run")
        await self._ended(run)
        results = f"{RUNS_PATH}/{run}/results"
        return await pages_by_key(self._http, results, {"pageSize": _PAGE})

    async def _ended(self, run: str) -> None:
        what = f"{self._connector}: the Data Lake query (search a shorter time, or raise search_timeout_s)"

        async def look() -> bool | None:
            answer = await self._http.get(f"{RUNS_PATH}/{run}")
            with understood(answer.where):
                body = json_object(answer)
                status, result = str(body["status"]), str(body["result"])
            if status != "finished":
                return None
            if result == "succeeded":
                return True
            if result == "timedOut":
                raise Timeout(f"{what} timed out at Sophos", applied=Applied.NO)
            if result == "canceled":
                raise Unavailable(f"{what} was canceled", applied=Applied.NO)
            raise Invalid(f"{what} ended with the result {result!r}")

        await finished(look, what=what, within_s=self._timeout_s, every_s=_LOOK_EVERY_S)


def _is_address(text: str) -> bool:
    """Say whether a text is an address. One with a zone is not: what stands behind its % can be anything."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def _detail(row: Row) -> str:
    times = f"{int(row['times'])} times"
    return f"{row['what']}, {times}" if row.get("what") else times
