"""Long-running queries over the events of the estate: started, asked for in steps, dropped when nobody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hikeshi.testing.estate import Estate
from hikeshi_connectors.sentinelone.simulated.power_query import QueryError, run_query
from hikeshi_connectors.sentinelone.simulated.records import agent_uuid

__all__ = ["Searches"]

DROPPED_AFTER_S = 30.0
STEPS = 2


@dataclass(slots=True)
class _Search:
    tag: str
    done_at: datetime
    asked_at: datetime
    data: dict[str, Any]


class Searches:
    """The queries that a console works on."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._searches: dict[str, _Search] = {}
        self._number = 0

    def start(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """Start a query, and return its ID and the tag that leads to it. Raises QueryError."""
        if body.get("queryType") != "PQ":
            raise QueryError("Query type must be specified")
        if body.get("accountIds") and body.get("tenant") is not False:
            raise QueryError("tenant=false should be used when querying accountIds")
        since, until = (datetime.fromisoformat(str(body.get(name))) for name in ("startTime", "endTime"))
        query = body["pq"]
        if query.get("resultType") != "TABLE":
            raise QueryError(f"Unexpected value '{query.get('resultType')}'")
        # Without a scope it is asked in one that is nearly empty, as the vendor warns.
        scoped = body.get("tenant") is True or body.get("accountIds")
        events = list(_events(self._estate, since, until)) if scoped else []
        columns, rows, matching = run_query(str(query["query"]), events)
        self._number += 1
        job, tag, now = f"query-{self._number}", f"shard-{self._number % 4}", self._estate.now()
        data = {
            "columns": [{"name": name, "cellType": "STRING", "decimalPlaces": 0} for name in columns],
            "values": rows,
            "matchCount": matching,
            "omittedEvents": 0,
            "partialResultsDueToTimeLimit": False,
            "discardedArrayItems": 0,
            "warnings": [],
        }
        self._searches[job] = _Search(tag, now + timedelta(seconds=min(self._estate.settle_s, 0.05)), now, data)
        return job, tag

    def look(self, job: str, tag: str | None) -> dict[str, Any] | None:
        """Return how far a query is, or None if there is none of this name behind this tag."""
        search, now = self._searches.get(job), self._estate.now()
        if search is None or search.tag != tag or (now - search.asked_at).total_seconds() > DROPPED_AFTER_S:
            return None
        search.asked_at = now
        done = now >= search.done_at
        return {
            "id": job,
            "stepsCompleted": STEPS if done else 1,
            "stepsTotal": STEPS,
            "cpuUsage": 1,
            "data": search.data if done else None,
        }

    def clear(self) -> None:
        self._searches.clear()


def _events(estate: Estate, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    # The caller's clock says until when; the estate's may be ahead of it.
    until = max(until, estate.now())
    for connection in estate.connections:
        if since <= connection.at <= until:
            base = _base(estate, connection.host_id, connection.at)
            yield {
                **base,
                "event.type": "IP Connect",
                "event.category": "ip",
                "event.network.direction": "OUTGOING",
                "src.ip.address": connection.source_ip,
                "dst.ip.address": connection.address,
                "dst.port.number": connection.port,
            }
            if connection.domain:
                dns = {"event.type": "DNS Resolved", "event.category": "dns", "src.process.name": connection.app}
                yield {**base, **dns, "event.dns.request": connection.domain}
    for sighting in estate.sightings:
        if since <= sighting.at <= until:
            file = {"event.type": "File Creation", "event.category": "file", "tgt.file.path": sighting.path}
            yield {**_base(estate, sighting.host_id, sighting.at), **file, "tgt.file.sha256": sighting.sha256}
    for logon in estate.logons:
        if since <= logon.at <= until:
            user = estate.users.get(logon.user_id)
            yield {
                **_base(estate, logon.host_id, logon.at),
                "event.type": "Login",
                "event.category": "logins",
                "event.login.loginIsSuccessful": True,
                "event.login.type": "INTERACTIVE",
                "event.login.userName": user.sam if user else logon.user_id,
            }


def _base(estate: Estate, host_id: str, at: datetime) -> dict[str, Any]:
    host = estate.hosts.get(host_id)
    return {
        "dataSource.name": "SentinelOne",
        "dataSource.category": "security",
        "agent.uuid": agent_uuid(host_id),
        "endpoint.name": host.name if host else None,
        "timestamp": int(at.timestamp() * 1_000_000) * 1000,
    }
