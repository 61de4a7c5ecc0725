"""Event search: PowerQueries over what the agents recorded (Singularity Data Lake, long-running queries).

The rule: what is searched for has a form in which it can only be a value (an address, a domain name, a hash, an agent's
UUID) before it becomes part of a query. A search that may be incomplete is an error. Sources:
https://github.com/Sentinel-One/ai-siem, mgmt-console-api/references/lrq-api.md and powerquery/references; the fields
that tell of incomplete results: SDLTableResultData in https://github.com/Sentinel-One/purple-mcp.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.capabilities import Activity, Host, HostUser
from hikeshi.connector import Invalid, finished, json_object, understood
from hikeshi_connectors.sentinelone.agents import Agents, uuid_of
from hikeshi_connectors.sentinelone.named import QUERIES_PATH

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["EventSearch"]

_EDR: Final = "dataSource.name='SentinelOne' dataSource.category='security'"
_ROWS_MOST: Final = 100_000
# One row for each agent, the latest first. Without a limit ten rows would come.
_BY_AGENT: Final = (
    " | group last_at=max(timestamp), times=count(), host_name=any(endpoint.name), what=any({what})"
    f" by uuid=agent.uuid | sort -last_at | limit {_ROWS_MOST}"
)
_TO_ADDRESS: Final = (
    "event.type='IP Connect' ((event.network.direction='OUTGOING' dst.ip.address='{sought}')"
    " or (event.network.direction='INCOMING' src.ip.address='{sought}'))"
)
# The vendor's own queries know this field by two names; one that is not there matches nothing.
_TO_DOMAIN: Final = "(event.dns.request in:anycase ('{sought}') or dns.request in:anycase ('{sought}'))"
_WITH_HASH: Final = (
    "(tgt.file.sha256='{sought}' or src.process.image.sha256='{sought}'"
    " or tgt.process.image.sha256='{sought}' or module.sha256='{sought}')"
)
_SIGN_INS: Final = (
    "event.category='logins' event.login.loginIsSuccessful=true agent.uuid='{uuid}'"
    " !(event.login.type in ('SERVICE', 'BATCH'))"
    f" | group last_at=max(timestamp) by name=event.login.userName | sort -last_at | limit {_ROWS_MOST}"
)
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORWARD_TAG: Final = "x-dataset-query-forward-tag"
_LOOK_EVERY_S: Final = 2.0  # a query that nobody asks about for 30 seconds is dropped

Row = Mapping[str, Any]


class EventSearch:
    """Searches in the data lake of one SentinelOne instance."""

    def __init__(
        self, http: HttpClient, connector: str, agents: Agents, account_id: str | None, timeout_s: float
    ) -> None:
        self._http = http
        self._connector = connector
        self._agents = agents
        self._scope = {"tenant": True} if account_id is None else {"tenant": False, "accountIds": [account_id]}
        self._timeout_s = timeout_s

    async def connections(self, address: str, since_s: int) -> list[Activity]:
        """Return each host that talked to an address, or asked for a domain, at the last time it did."""
        query, sought = _by_address(address)
        what = "dst.port.number" if query is _TO_ADDRESS else "src.process.name"
        rows = await self._rows(query.format(sought=sought) + _BY_AGENT.format(what=what), since_s)
        return await self._activities(rows, "connection", sought, "port " if query is _TO_ADDRESS else "")

    async def files(self, sha256: str, since_s: int) -> list[Activity]:
        """Return each host where an agent saw a file with this hash, at the last time it did."""
        sought = sha256.strip().lower()
        if not _SHA256.fullmatch(sought):
            raise Invalid(f"{sha256[:80]!r} is not a SHA-256: 64 hexadecimal digits")
        rows = await self._rows(_WITH_HASH.format(sought=sought) + _BY_AGENT.format(what="tgt.file.path"), since_s)
        return await self._activities(rows, "file", sought, "")

    async def users_of(self, host: Host, since_s: int) -> list[HostUser]:
        """Return each account that signed in to a host, at the last time it did, newest first."""
        uuid = uuid_of(await self._agents.record(host))
        rows = await self._rows(_SIGN_INS.format(uuid=uuid), since_s)
        with understood(f"{self._connector}: event search"):
            return [
                HostUser(
                    connector=self._connector, host_id=host.id, name=str(row["name"]), last_at=_moment(row["last_at"])
                )
                for row in rows
                if row["name"]
            ]

    async def _activities(
        self, rows: list[dict[str, Any]], kind: Literal["connection", "file"], value: str, before: str
    ) -> list[Activity]:
        with understood(f"{self._connector}: event search"):
            uuids = [str(row["uuid"]) for row in rows]
            ids = await self._agents.ids_of(uuids) if uuids else {}
            return [
                Activity(
                    connector=self._connector,
                    at=_moment(row["last_at"]),
                    kind=kind,
                    # Events carry the UUID. That of an agent which is not known any more has to do as it is.
                    host_id=ids.get(uuid, uuid),
                    host_name=str(row["host_name"] or uuid),
                    value=value,
                    detail=_detail(row, before),
                )
                for uuid, row in zip(uuids, rows, strict=True)
            ]

    async def _rows(self, query: str, since_s: int) -> list[dict[str, Any]]:
        if since_s <= 0:
            raise Invalid(f"an age is a positive number of seconds, not {since_s}")
        now = datetime.now(UTC)
        body = {
            "queryType": "PQ",
            **self._scope,
            "startTime": _written(now - timedelta(seconds=since_s)),
            "endTime": _written(now),
            "queryPriority": "HIGH",
            "pq": {"query": f"{_EDR} {query}", "resultType": "TABLE"},
        }
        started = await self._http.post(QUERIES_PATH, json=body)
        job, tag = json_object(started).get("id"), started.headers.get(_FORWARD_TAG)
        if not isinstance(job, str) or not re.fullmatch(r"[\w.:=-]+", job) or not tag:
            raise Invalid(f"{self._connector}: the event search was not started; the answer names no query")
        result = await self._result(job, tag)
        with understood(f"{self._connector}: event search"):
            return _table(result)

    async def _result(self, job: str, tag: str) -> dict[str, Any]:
        seen = 0

        async def look() -> dict[str, Any] | None:
            nonlocal seen
            answer = await self._http.get(
                f"{QUERIES_PATH}/{job}", params={"lastStepSeen": seen}, headers={_FORWARD_TAG: tag}
            )
            with understood(answer.where):
                body = json_object(answer)
                seen, total = int(body["stepsCompleted"]), int(body["stepsTotal"])
            return body if seen >= total > 0 else None

        what = f"{self._connector}: the event search (search a shorter time, or raise search_timeout_s)"
        return await finished(look, what=what, within_s=self._timeout_s, every_s=_LOOK_EVERY_S)


def _by_address(address: str) -> tuple[str, str]:
    wanted = address.strip().lower().rstrip(".")
    if _DOMAIN.fullmatch(wanted) and not _is_address(wanted):
        return _TO_DOMAIN, wanted
    if not _is_address(wanted):
        raise Invalid(f"{address[:80]!r} is neither an IP address nor a domain name")
    return _TO_ADDRESS, str(ipaddress.ip_address(wanted))


def _is_address(text: str) -> bool:
    """Say whether a text is an address. One with a zone is not: what stands behind its % can be anything."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _table(result: Row) -> list[dict[str, Any]]:
    """Return the rows of a result. Raises Invalid for one that lacks rows: it would pass for the whole."""
    data = result["data"]
    told = [
        f"{name}={part[name]}"
        for part in (result, data)
        for name in ("partialResultsDueToTimeLimit", "omittedEvents", "discardedArrayItems", "truncatedAtLimit")
        if part.get(name)
    ]
    told += [str(each) for part in (result, data) for each in part.get("warnings") or ()]
    columns = [str(each["name"] if isinstance(each, dict) else each) for each in data["columns"]]
    values = data["values"]
    if len(values) >= _ROWS_MOST:
        told.append(f"it has {_ROWS_MOST} rows, the most that is asked for")
    if told:
        raise Invalid(f"the event search may be incomplete; search a shorter time: {'; '.join(told[:3])}")
    return [dict(zip(columns, row, strict=True)) for row in values]


def _moment(value: Any) -> datetime:
    """Return a time of an event: nanoseconds since 1970, which the console may also write as a date."""
    if isinstance(value, str) and not value.isdigit():
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(int(value) // 1000 / 1_000_000, UTC)


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def _detail(row: Row, before: str) -> str:
    times = f"{int(row['times'])} times"
    return f"{before}{_plain(row['what'])}, {times}" if row["what"] else times


def _plain(what: Any) -> str:
    return str(int(what)) if isinstance(what, float) else str(what)
