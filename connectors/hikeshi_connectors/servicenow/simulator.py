"""ServiceNow's Table API over an estate: incidents, the estate's hosts as computers, and installed software.

Sources: the pages "Table API" and "Inbound REST API rate limiting" of https://www.servicenow.com/docs/.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Host, Ticket
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.servicenow.simulated_table import Row, matching, shown

__all__ = ["ServiceNowSimulator"]

_STATES: Final = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed"}
_SYS_ID: Final = re.compile(r"[0-9a-f]{32}")
_PRIORITY: Final = {"11": "1", "12": "2", "21": "2", "22": "3", "13": "3", "31": "3", "23": "4", "32": "4", "33": "5"}
_TITLE_MOST, _LIMIT = 160, 10_000


class ServiceNowSimulator(Simulator):
    """An instance with the table incident, the estate's tickets whose `details` say `product: servicenow`.

    `product_state["servicenow"]["installations"]` lists installed software: `display_name`, `version`, `host_id`.
    """

    product = "servicenow"
    instance_name = "servicenow"
    demo_settings: ClassVar[Mapping[str, str]] = {"username": "hikeshi", "password": "simulated-servicenow-password"}
    rate_limit = (500, 3600.0)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/now/table/{table}", self._list, methods=["GET"]),
            Route("/api/now/table/incident", self._create, methods=["POST"]),
            Route("/api/now/table/incident/{sys_id}", self._update, methods=["PATCH"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        pair = f"{self.credentials['username']}:{self.credentials['password']}".encode()
        if request.headers.get("authorization") == f"Basic {base64.b64encode(pair).decode()}":
            return None
        return _no(401, "User Not Authenticated", "Required to provide Auth information")

    def error(self, status: int, detail: str) -> Response:
        return _no(status, detail, "")

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = _no(429, "Rate limit exceeded", "Rate limit exceeded for user hikeshi")
        answer.headers["Retry-After"] = str(max(1, round(retry_after_s)))
        answer.headers["X-RateLimit-Limit"] = "500"
        return answer

    def shows(self) -> dict[str, Any]:
        return {
            "incidents": [
                {
                    "number": ticket.details["number"],
                    "short_description": ticket.title,
                    "priority": ticket.severity,
                    "work_notes": len(ticket.details.get("work_notes", ())),
                }
                for ticket in self.incidents
            ]
        }

    @property
    def incidents(self) -> list[Ticket]:
        return [ticket for ticket in self.estate.tickets if ticket.details.get("product") == self.product]

    async def _list(self, request: Request) -> Response:
        query, table = request.query_params, request.path_params["table"]
        if table not in ("incident", "cmdb_ci_computer", "cmdb_sam_sw_install"):
            return _no(400, f"Invalid table {table}", "")
        found = matching(self._rows(table), query.get("sysparm_query", ""))
        start, most = int(query.get("sysparm_offset", "0")), int(query.get("sysparm_limit", str(_LIMIT)))
        fields, display = query.get("sysparm_fields", ""), query.get("sysparm_display_value", "false")
        rows = [shown(row, fields, display) for row in found[start : start + most]]
        headers = {"X-Total-Count": str(len(found))}
        if start + most < len(found):
            headers["Link"] = f'<{request.url.include_query_params(sysparm_offset=start + most)}>;rel="next"'
        return JSONResponse({"result": rows}, headers=headers)

    async def _create(self, request: Request) -> Response:
        given = {str(name): str(value) for name, value in (await request.json()).items()}
        number = f"INC{10_001 + len(self.incidents):07}"
        grade = given.get("impact", "3") + given.get("urgency", "3")
        ticket = Ticket(
            hashlib.md5(number.encode(), usedforsecurity=False).hexdigest(),
            self.estate.now(),
            given.get("short_description", "")[:_TITLE_MOST],
            given.get("description", ""),
            _PRIORITY.get(grade, "5"),
            "1",
            {"product": self.product, "number": number, "correlation_id": given.get("correlation_id", "")},
        )
        self.estate.tickets.append(ticket)
        location = {"Location": f"{request.url.replace(query='')}/{ticket.id}"}
        return JSONResponse({"result": self._shown(request, ticket)}, 201, location)

    async def _update(self, request: Request) -> Response:
        wanted = request.path_params["sys_id"]
        ticket = next((each for each in self.incidents if each.id == wanted), None)
        if ticket is None:
            return _no(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
        if note := (await request.json()).get("work_notes"):
            ticket.details.setdefault("work_notes", []).append(note)
        return JSONResponse({"result": self._shown(request, ticket)})

    def _shown(self, request: Request, ticket: Ticket) -> dict[str, Any]:
        query = request.query_params
        fields, display = query.get("sysparm_fields", ""), query.get("sysparm_display_value", "false")
        return shown(_incident(ticket), fields, display)

    def _rows(self, table: str) -> list[Row]:
        if table == "incident":
            return [_incident(ticket) for ticket in self.incidents]
        if table == "cmdb_ci_computer":
            return [_computer(host) for host in self.estate.hosts.values()]
        installations = self.estate.product_state.get(self.product, {}).get("installations", [])
        return [_installation(each, self.estate.hosts[each["host_id"]]) for each in installations]


def _incident(ticket: Ticket) -> Row:
    values = {
        "sys_id": ticket.id,
        "number": ticket.details["number"],
        "short_description": ticket.title,
        "correlation_id": ticket.details.get("correlation_id", ""),
    }
    return {name: (text, text) for name, text in values.items()} | {"state": (ticket.status, _STATES[ticket.status])}


def _computer(host: Host) -> Row:
    values = {
        "sys_id": _sys_id(host.id),
        "name": host.name,
        "fqdn": f"{host.name}.{host.domain}",
        "ip_address": host.ips[0] if host.ips else "",
        "os": f"{host.os} {host.os_version}",
    }
    people = {"location": host.site, "assigned_to": host.owner_email or "", "owned_by": ""}
    references = {name: (_sys_id(text) if text else "", text) for name, text in people.items()}
    return {name: (text, text) for name, text in values.items()} | references


def _installation(each: Mapping[str, str], host: Host) -> Row:
    # A reference to cmdb_ci: of the host it shows what every item has, so no 'os'.
    row = {f"installed_on.{name}": pair for name, pair in _computer(host).items() if name != "os"}
    sys_id = _sys_id(f"{each['display_name']}{each['version']}{host.id}")
    own = {"sys_id": sys_id, "display_name": each["display_name"], "version": each["version"]}
    return {name: (text, text) for name, text in own.items()} | row | {"installed_on": (_sys_id(host.id), host.name)}


def _sys_id(text: str) -> str:
    return text if _SYS_ID.fullmatch(text) else hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _no(status: int, message: str, detail: str) -> Response:
    return JSONResponse({"error": {"message": message, "detail": detail}, "status": "failure"}, status_code=status)
