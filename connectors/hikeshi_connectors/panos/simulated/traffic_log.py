"""The traffic log: queries are jobs, and their results are fetched when they are done."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from hikeshi.testing.estate import Connection, Estate
from hikeshi_connectors.panos.simulated.envelope import Refusal, child, success

__all__ = ["TrafficLog"]

_MOST_LOGS = 5_000
_USUAL_LOGS = 20
_TIME = "%Y/%m/%d %H:%M:%S"
_CLAUSE = re.compile(
    r"\((?:addr in (?P<net>[0-9a-f.:/]+)|receive_time (?P<bound>geq|leq) '(?P<at>[0-9/]{10} [0-9:]{8})')\)(?: and |$)"
)
_Found = list[tuple[int, Connection]]


class TrafficLog:
    """The estate's connections as a firewall in one time zone has logged them."""

    def __init__(self, estate: Estate, timezone: str) -> None:
        self._estate = estate
        self._zone = ZoneInfo(timezone)
        self._jobs: dict[str, _Found] = {}
        self._looked_at: set[str] = set()
        self._last_job = 0

    def request(self, form: Mapping[str, str]) -> ET.Element:
        """Answer a request of the type log: begin a query, or give the result of one."""
        if form.get("action") == "get":
            return self._result(form.get("job-id", ""))
        if form.get("log-type") != "traffic":
            raise Refusal("this log-type is not simulated", "400", 400)
        nlogs, skip = int(form.get("nlogs", _USUAL_LOGS)), int(form.get("skip", 0))
        if not 0 < nlogs <= _MOST_LOGS:
            raise Refusal(f"nlogs must be 1 to {_MOST_LOGS}", "400", 400)
        matching = self._matching(form.get("query", ""))
        if form.get("dir", "backward") == "backward":
            matching.reverse()
        self._last_job += 1
        self._jobs[str(self._last_job)] = matching[skip : skip + nlogs]
        result = ET.Element("result")
        child(child(result, "msg"), "line", f"query job enqueued with jobid {self._last_job}")
        child(result, "job", str(self._last_job))
        return success(result, "19")

    def _result(self, number: str) -> ET.Element:
        """A job is at work when it is looked at first, then done; and gone when its result was given."""
        if number not in self._jobs:
            raise Refusal(f"job {number} not found", "7")
        done = number in self._looked_at
        result = ET.Element("result")
        job = child(result, "job")
        child(job, "status", "FIN" if done else "ACT")
        child(job, "id", number)
        if not done:
            self._looked_at.add(number)
            return success(result)
        found = self._jobs.pop(number)
        logs = child(child(result, "log"), "logs", count=str(len(found)), progress="100")
        for position, connection in found:
            self._show(child(logs, "entry", logid=str(7_000_000_000 + position)), connection)
        return success(result)

    def _show(self, entry: ET.Element, connection: Connection) -> None:
        local = connection.at.astimezone(self._zone)
        at = local.strftime(_TIME)
        for name, text in {
            "receive_time": at,
            "type": "TRAFFIC",
            "subtype": "end" if connection.action == "allow" else "deny",
            "time_generated": at,
            "high_res_timestamp": local.isoformat(timespec="milliseconds"),
            "src": connection.source_ip,
            "dst": connection.address,
            "app": connection.app,
            "dport": str(connection.port),
            "proto": "tcp",
            "action": connection.action,
            "bytes_sent": str(connection.bytes_out),
            "bytes_received": str(connection.bytes_in),
        }.items():
            child(entry, name, text)

    def _matching(self, query: str) -> _Found:
        clauses = list(_clauses(query))
        networks = [ipaddress.ip_network(match["net"]) for match in clauses if match["net"]]
        after = [self._time(match["at"]) for match in clauses if match["bound"] == "geq"]
        before = [self._time(match["at"]) for match in clauses if match["bound"] == "leq"]
        return [
            (position, each)
            for position, each in enumerate(self._estate.connections)
            if all(_touches(each, network) for network in networks)
            and all(each.at.replace(microsecond=0) >= bound for bound in after)
            and all(each.at.replace(microsecond=0) <= bound for bound in before)
        ]

    def _time(self, text: str) -> datetime:
        return datetime.strptime(text, _TIME).replace(tzinfo=self._zone)


def _clauses(query: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(query):
        match = _CLAUSE.match(query, position)
        if match is None:
            raise Refusal("Invalid query", "17")
        yield match
        position = match.end()


def _touches(connection: Connection, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address) in (connection.source_ip, connection.address)
    return any(ipaddress.ip_address(each) in network for each in (connection.source_ip, connection.address))
