"""The simulator's event search: the queries the connector makes, over the estate's traffic and sightings.

Like at Falcon, a query that is not understood is no error: it matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["QueryJobs"]

DROPPED_AFTER_S = 30.0
ROWS_BY_DEFAULT = 1500
GROUPS_BY_DEFAULT = 20_000
_AGE = re.compile(r"(\d+)(d|h|m|s)")
_SIZES = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SOUGHT = re.compile(r"(?P<field>RemoteAddressIP4|RemoteAddressIP6|asked_name|SHA256HashData)=\?(?P<name>[a-z]+)")


@dataclass(slots=True)
class _Job:
    done_at: datetime
    asked_at: datetime
    result: dict[str, Any]


class QueryJobs:
    """Searches under way. A job is done after `settle_s` and dropped when nobody asks about it."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._jobs: dict[str, _Job] = {}
        self._numbers = count(1)

    def start(self, body: Mapping[str, Any]) -> str:
        """Start a search and return its ID. Raises ValueError, with a message for the caller, for a wrong request."""
        query, arguments = body.get("queryString"), body.get("arguments") or {}
        if not isinstance(query, str) or not query:
            raise ValueError("queryString is required")
        if not isinstance(arguments, dict) or not all(isinstance(value, str) for value in arguments.values()):
            raise ValueError("arguments must be a simple dictionary of string values")
        now = self._estate.now()
        since = now - timedelta(seconds=_age_s(str(body.get("start", "1d"))))
        rows = _grouped(query, list(_events(self._estate, query, arguments, since)))
        events, more = _limited(query, rows)
        meta = {"eventCount": len(events), "isAggregate": "groupBy" in query, "pollAfter": 20}
        result = {"events": events, "metaData": {**meta, "extraData": {"hasMoreEvents": str(more).lower()}}}
        job = f"P{next(self._numbers)}-simulated"
        self._jobs[job] = _Job(now + timedelta(seconds=min(self._estate.settle_s, 0.05)), now, result)
        return job

    def poll(self, job_id: str) -> dict[str, Any] | None:
        """Return the state of a search, or None if there is no such job."""
        job = self._jobs.get(job_id)
        now = self._estate.now()
        if job is None or (now - job.asked_at).total_seconds() > DROPPED_AFTER_S:
            self._jobs.pop(job_id, None)
            return None
        job.asked_at = now
        done = now >= job.done_at
        partial = {**job.result, "events": []}
        return {**(job.result if done else partial), "done": done, "cancelled": False, "warnings": []}

    def clear(self) -> None:
        self._jobs.clear()


def _age_s(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"cannot understand the start {text!r}")
    return int(match[1]) * _SIZES[match[2]]


def _events(estate: Estate, query: str, arguments: Mapping[str, str], since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the events that match: found by what the query compares its argument with."""
    sought = _SOUGHT.search(query)
    if sought is None or sought["name"] not in arguments:
        return
    value = arguments[sought["name"]]
    if sought["field"] == "SHA256HashData":
        for sighting in estate.sightings:
            if sighting.sha256 == value and sighting.at >= since:
                yield {**_base(estate, sighting.host_id, sighting.at), "ImageFileName": sighting.path}
        return
    for connection in estate.connections:
        name = (connection.domain or "").lower() if sought["field"] == "asked_name" else connection.address
        if name == value and connection.at >= since:
            yield {**_base(estate, connection.host_id, connection.at), "RemotePort": str(connection.port)}


def _base(estate: Estate, host_id: str, at: datetime) -> dict[str, Any]:
    host = estate.hosts.get(host_id)
    return {"aid": host_id, "ComputerName": host.name if host else "", "@timestamp": int(at.timestamp() * 1000)}


def _grouped(query: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if "groupBy([aid]" not in query:
        return events
    groups: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event["@timestamp"]):
        times = groups.get(event["aid"], {}).get("times", 0) + 1
        shown = {name: value for name, value in event.items() if name != "@timestamp"}
        groups[event["aid"]] = {**shown, "last_at": event["@timestamp"], "times": times}
    rows = sorted(groups.values(), key=lambda row: row["last_at"], reverse=True)
    # As in LogScale, every field of a row is text.
    return [{name: str(value) for name, value in row.items()} for row in rows]


def _limited(query: str, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    most = len(rows)
    if not re.search(r"groupBy\(.*limit=max\) \|", query):
        most = min(most, GROUPS_BY_DEFAULT)
    if not re.search(r"sort\([^)]*limit=max\)", query):
        most = min(most, ROWS_BY_DEFAULT if "groupBy" in query else 200)
    return rows[:most], most < len(rows)
