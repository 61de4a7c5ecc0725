"""Query runs over the estate's traffic and sightings: the one kind of SQL that the simulator understands.

A statement that has another form is accepted and fails when it runs, as a wrong one does at Sophos.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hikeshi.testing.estate import Estate
from hikeshi_connectors.sophos.simulated.records import endpoint_id, iso

__all__ = ["QueryRuns"]

_STATEMENT = re.compile(
    r"SELECT (?P<columns>.+?) FROM xdr_data WHERE (?P<tests>.+?)"
    r" GROUP BY (?P<key>\w+)(?: ORDER BY (?P<order>\w+)(?P<falling> DESC)?)?"
)
_COLUMN = re.compile(r"(?P<key>\w+)|(?P<function>MAX|MIN|COUNT)\((?P<field>\w+|\*)\) AS (?P<name>\w+)")
_TEST = re.compile(r"(?:LOWER\((?P<lower>\w+)\)|(?P<plain>\w+)) = '(?P<value>[^']*)'")
Row = dict[str, Any]


@dataclass(slots=True)
class _Run:
    done_at: datetime
    rows: list[Row] | None


class QueryRuns:
    """The runs that a Data Lake works on."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._runs: dict[str, _Run] = {}

    def start(self, template: str, since: datetime, until: datetime) -> str:
        """Start a run and return its ID."""
        now = self._estate.now()
        number = str(uuid.uuid5(uuid.NAMESPACE_OID, f"run-{len(self._runs)}"))
        # The caller's clock says until when; the estate's may be ahead of it.
        rows = _result(template, list(_events(self._estate, since, max(until, now))))
        self._runs[number] = _Run(now + timedelta(seconds=min(self._estate.settle_s, 0.05)), rows)
        return number

    def state(self, run_id: str) -> Row | None:
        """Return how far a run is, or None if there is none."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        if self._estate.now() < run.done_at:
            return {"id": run_id, "status": "started", "result": "notAvailable"}
        return {"id": run_id, "status": "finished", "result": "failed" if run.rows is None else "succeeded"}

    def rows(self, run_id: str) -> list[Row] | None:
        """Return what a run found, or None if there is no such run or it failed."""
        run = self._runs.get(run_id)
        return None if run is None else run.rows

    def clear(self) -> None:
        self._runs.clear()


def _events(estate: Estate, since: datetime, until: datetime) -> Iterator[Row]:
    for connection in estate.connections:
        if since <= connection.at <= until:
            base = _base(estate, connection.host_id, connection.at, "sophos_ips_windows")
            yield {**base, "destination_ip": connection.address, "name": connection.app}
            if connection.domain:
                yield {**base, "query_name": "sophos_urls_windows", "domain": connection.domain}
    for sighting in estate.sightings:
        if since <= sighting.at <= until:
            base = _base(estate, sighting.host_id, sighting.at, "running_processes_windows_sophos")
            yield {**base, "sha256": sighting.sha256, "path": sighting.path}


def _base(estate: Estate, host_id: str, at: datetime, query_name: str) -> Row:
    host = estate.hosts.get(host_id)
    return {
        "endpoint_id": endpoint_id(host_id),
        "meta_hostname": host.name if host else None,
        "ingestion_timestamp": iso(at),
        "query_name": query_name,
    }


def _result(template: str, events: list[Row]) -> list[Row] | None:
    statement = _STATEMENT.fullmatch(template.strip())
    if statement is None:
        return None
    columns = [_COLUMN.fullmatch(part.strip()) for part in statement["columns"].split(",")]
    tests = [_TEST.fullmatch(part.strip()) for part in statement["tests"].split(" OR ")]
    if not all(columns) or not all(tests):
        return None
    groups: dict[Any, list[Row]] = {}
    for event in events:
        if any(_holds(test, event) for test in tests if test):
            groups.setdefault(event[statement["key"]], []).append(event)
    rows = [_row(statement["key"], key, columns, members) for key, members in groups.items()]
    if statement["order"]:
        rows.sort(key=lambda row: str(row[statement["order"]]), reverse=bool(statement["falling"]))
    return rows


def _holds(test: re.Match[str], event: Mapping[str, Any]) -> bool:
    value = event.get(test["lower"] or test["plain"])
    if value is None:
        return False
    return (str(value).lower() if test["lower"] else str(value)) == test["value"]


def _row(key_name: str, key: Any, columns: list[re.Match[str] | None], members: list[Row]) -> Row:
    row: Row = {key_name: key}
    for column in columns:
        if column is not None and column["function"]:
            values = [member[column["field"]] for member in members if member.get(column["field"]) is not None]
            row[column["name"]] = (
                len(members)
                if column["function"] == "COUNT"
                else (max(values) if column["function"] == "MAX" else min(values))
                if values
                else None
            )
    return row
