"""Advanced hunting: queries over what the sensors recorded and over the inventory of software.

The rule: what is searched for stands in a query as a quoted literal, never as part of it. A result that may be cut off
is an error. Sources: https://learn.microsoft.com/defender-endpoint/api/run-advanced-query-api (30 days, 100,000 rows);
the tables' columns: https://learn.microsoft.com/defender-xdr/advanced-hunting-schema-tables
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from hikeshi.capabilities import Activity, HostUser, Software
from hikeshi.connector import Invalid, objects_under, understood
from hikeshi_connectors.defender.answers import HUNTING_PATH
from hikeshi_connectors.microsoft.kql import ago, among, text

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["Hunting", "InventoryRow"]

_ROWS_MOST: Final = 100_000
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_LATEST = "summarize arg_max(Timestamp, DeviceName, {columns}), Times = count() by DeviceId"
_FILE_TABLES = "union DeviceFileEvents, DeviceProcessEvents, DeviceImageLoadEvents"
_INVENTORY = "DeviceTvmSoftwareInventory"
# Reports without a platform are heartbeats that say nothing else.
_FACING = (
    "DeviceInfo | where DeviceId in~ ({ids}) | where OSPlatform != ''"
    " | summarize arg_max(Timestamp, DeviceName, OSPlatform, IsInternetFacing) by DeviceId"
)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """What the inventory says of one machine: whether it faces the internet, and the programs that were asked for."""

    facing: bool | None
    software: tuple[Software, ...]


class Hunting:
    """Advanced hunting in one tenant."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def connections(self, address: str, since_s: int) -> list[Activity]:
        """Return each machine that talked to an address or domain, with the last time that it did, newest first."""
        wanted, condition, by = _by_address(address)
        query = f"DeviceNetworkEvents | where {ago(since_s)} | where {condition} | "
        rows = await self._rows(query + _LATEST.format(columns="RemotePort") + by)
        with understood(f"{self._connector}: advanced hunting"):
            hits = [row for row in rows if not by or _host_in(str(row["RemoteUrl"])) == wanted]
            return [self._activity(row, "connection", wanted, _port(row)) for row in _newest_of_each(hits)]

    async def files(self, sha256: str, sha1: str | None, since_s: int) -> list[Activity]:
        """Return each machine on which a file with one of these hashes was seen, newest first."""
        condition = f"SHA256 =~ {text(sha256)}" + (f" or SHA1 =~ {text(sha1)}" if sha1 else "")
        query = f"{_FILE_TABLES} | where {ago(since_s)} | where {condition} | "
        rows = await self._rows(query + _LATEST.format(columns="FolderPath, FileName"))
        with understood(f"{self._connector}: advanced hunting"):
            return [self._activity(row, "file", sha256, row.get("FolderPath")) for row in _newest_of_each(rows)]

    async def users(self, host_id: str, since_s: int) -> list[HostUser]:
        """Return each account that signed in to a machine, with its latest sign-in, newest first."""
        query = (
            f"DeviceLogonEvents | where {ago(since_s)} | where DeviceId =~ {text(host_id)}"
            " | where ActionType == 'LogonSuccess'"
            " | summarize LastAt = max(Timestamp) by AccountDomain, AccountName"
        )
        rows = await self._rows(query)
        with understood(f"{self._connector}: advanced hunting"):
            users = [
                HostUser(connector=self._connector, host_id=host_id, name=_account(row), last_at=row["LastAt"])
                for row in rows
                if row["AccountName"]
            ]
            return sorted(users, key=lambda user: str(user.last_at), reverse=True)

    async def machines_with(self, software: str, versions: list[str] | None) -> list[str]:
        """Return the IDs of the machines that run a program, in one of these versions if any are given."""
        query = f"{_INVENTORY} | where {among('SoftwareName', _spellings(software))}"
        if versions is not None:
            query += f" | where {among('SoftwareVersion', versions)}"
        rows = await self._rows(f"{query} | distinct DeviceId")
        with understood(f"{self._connector}: advanced hunting"):
            return [str(row["DeviceId"]) for row in rows]

    async def inventory(self, ids: Iterable[str]) -> dict[str, InventoryRow]:
        """Return what the inventory says of these machines, by ID; of those it does not know, nothing."""
        among_ids = ", ".join(text(each) for each in ids)
        facing = await self._rows(_FACING.format(ids=among_ids))
        programs = await self._rows(
            f"{_INVENTORY} | where DeviceId in~ ({among_ids}) | distinct DeviceId, SoftwareName, SoftwareVersion"
        )
        with understood(f"{self._connector}: advanced hunting"):
            found: dict[str, list[Software]] = {str(row["DeviceId"]): [] for row in (*facing, *programs)}
            for row in programs:
                program = Software(name=str(row["SoftwareName"]), version=row.get("SoftwareVersion") or None)
                found[str(row["DeviceId"])].append(program)
            faces = {str(row["DeviceId"]): _truth(row.get("IsInternetFacing")) for row in facing}
            return {one: InventoryRow(faces.get(one), tuple(sorted(found[one], key=str))) for one in found}

    async def _rows(self, query: str) -> list[Row]:
        answer = await self._http.post(HUNTING_PATH, json={"Query": query})
        rows = objects_under(answer, "Results")
        if len(rows) >= _ROWS_MOST:
            raise Invalid(f"{answer.where}: the result is cut off after {_ROWS_MOST} rows; search a shorter time")
        return list(rows)

    def _activity(self, row: Row, kind: Literal["connection", "file"], value: str, what: str | None) -> Activity:
        times = f"{row.get('Times', 1)} times"
        return Activity(
            connector=self._connector,
            at=row["Timestamp"],
            kind=kind,
            host_id=str(row["DeviceId"]),
            host_name=str(row.get("DeviceName") or row["DeviceId"]),
            value=value,
            detail=f"{what}, {times}" if what else times,
        )


def _by_address(address: str) -> tuple[str, str, str]:
    """Return what is looked for, the condition for it, and what else to group by.

    A URL or name may stand in RemoteUrl, so a domain is narrowed down there and compared here.
    """
    wanted = address.strip().lower().rstrip(".")
    try:
        ip = ipaddress.ip_address(wanted)
    except ValueError:
        if not _DOMAIN.fullmatch(wanted):
            raise Invalid(f"{address[:80]!r} is neither an IP address nor a domain name") from None
        return wanted, f"RemoteUrl contains {text(wanted)}", ", RemoteUrl"
    # Sensors write IPv4 addresses of dual sockets in their IPv6 form.
    forms = [str(ip), f"::ffff:{ip}"] if ip.version == 4 else [str(ip)]
    return str(ip), among("RemoteIP", forms), ""


def _host_in(url: str) -> str:
    try:
        return (urlsplit(url if "://" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _newest_of_each(rows: Iterable[Row]) -> list[Row]:
    newest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: str(row["Timestamp"]), reverse=True):
        newest.setdefault(str(row["DeviceId"]), row)
    return list(newest.values())


def _port(row: Row) -> str | None:
    return f"port {row['RemotePort']}" if row.get("RemotePort") else None


def _account(row: Row) -> str:
    domain = row.get("AccountDomain")
    return f"{domain}\\{row['AccountName']}" if domain else str(row["AccountName"])


def _spellings(software: str) -> list[str]:
    """Return the ways in which the inventory may write a name: it has underscores where people have spaces."""
    name = software.strip().lower()
    return list(dict.fromkeys((name, name.replace(" ", "_"))))


def _truth(value: Any) -> bool | None:
    """Return a yes or no. The older API gives booleans as numbers."""
    return None if value is None or value == "" else value in (True, 1, "1", "true", "True")
