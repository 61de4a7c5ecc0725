"""ServiceNow, by its Table API.

Source: https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import Field

from hikeshi.capabilities import Asset, Assets, Severity, Ticket, Ticketing
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Pace,
    Response,
    Route,
    Secret,
    Unsupported,
    cut,
    understood,
)
from hikeshi_connectors.servicenow.answers import check_answer, row_in, rows_of
from hikeshi_connectors.servicenow.computers import (
    COMPUTER_FIELDS,
    INSTALLATION_FIELDS,
    computer,
    running,
    value_of,
)
from hikeshi_connectors.servicenow.encoded_query import any_equals, equals, is_searchable

__all__ = ["ServiceNow"]

_TABLES: Final = "/api/now/table"
_COMPUTERS: Final = f"{_TABLES}/cmdb_ci_computer"
_INSTALLATIONS: Final = f"{_TABLES}/cmdb_sam_sw_install"
_TICKET: Final = {
    "sysparm_display_value": "true",
    "sysparm_exclude_reference_link": "true",
    "sysparm_fields": "sys_id,number,short_description,state,correlation_id",
}
_NUMBER: Final = re.compile(r"[A-Za-z]{1,40}[0-9]{1,20}")
_SYS_ID: Final = re.compile(r"[0-9a-f]{32}")
# (impact, urgency), from which ServiceNow's usual rules make the priorities 1, 2, 3 and 4.
_GRADES: Final[Mapping[Severity, tuple[str, str]]] = {
    "critical": ("1", "1"),
    "high": ("1", "2"),
    "medium": ("2", "2"),
    "low": ("3", "2"),
}
_TITLE_MOST, _DESCRIPTION_MOST, _NOTE_MOST = 160, 4000, 32_000


class ServiceNow(Connector, Ticketing, Assets, product="servicenow"):
    """Incidents and the CMDB of one instance."""

    class Settings(ConnectorSettings):
        username: str
        password: Secret
        # The table of new tickets; it has to extend task.
        table: str = Field(default="incident", pattern=r"^[a-z][a-z0-9_]*$")
        # Further fields of new tickets, such as assignment_group; references by sys_id.
        fields: dict[str, str] = Field(default_factory=dict)

    read_routes = (Route("GET", f"{_TABLES}/*"),)
    # It names the step of the run that opens the ticket.
    volatile = ("correlation_id",)
    # A node serves four integrations at once; the others wait in a queue of fifty, then come refusals.
    pace = Pace(at_once=4)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {"find_tickets": {"number": "INC0000000"}}
    least_privileges = (
        "an integration user with web service access only",
        "the role sn_incident_write, or others with create, read and write of the table and of its work_notes",
        "for assets: read of cmdb_ci_computer (cmdb_read) and of cmdb_sam_sw_install (sam_user)",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        """Open an incident, or give the one that the same step of the same run has opened before.

        Source: POST /now/table/{tableName}; `correlation_id` is where ServiceNow keeps the keys of other systems.
        """
        marker = self._marker()
        opened = await self._tickets("correlation_id", marker) if self.key else []
        if opened:
            return opened[0]
        impact, urgency = _GRADES[severity]
        body = {
            "short_description": cut(" ".join(title.split()) or "(no title)", _TITLE_MOST),
            "description": cut(description, _DESCRIPTION_MOST),
            "impact": impact,
            "urgency": urgency,
            **self.settings.fields,
            "correlation_id": marker,
            "correlation_display": "Hikeshi",
        }
        answer = await self.http.post(self._table, params=_TICKET, json=body, last=True)
        row = row_in(answer)
        with understood(answer.where):
            return self._ticket(row)

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        """Add a work note, which the caller of an incident does not see; sent again it is there twice.

        Source: PATCH /now/table/{tableName}/{sys_id}.
        """
        path = f"{self._table}/{quote(ticket.id, safe='')}"
        answer = await self.http.patch(path, params=_TICKET, json={"work_notes": cut(text, _NOTE_MOST)}, last=True)
        row = row_in(answer)
        with understood(answer.where):
            return self._ticket(row)

    async def find_tickets(self, number: str) -> list[Ticket]:
        """Find the incidents of this number, such as INC0010023. Source: GET /now/table/{tableName}."""
        return await self._tickets("number", number) if _NUMBER.fullmatch(number) else []

    async def find_assets(self, name: str) -> list[Asset]:
        """Find computers, servers among them, by name, full name, first address or sys_id."""
        if not is_searchable(name):
            return []
        fields = ("name", "fqdn", *(("ip_address",) if _is_address(name) else ()))
        fields = (*fields, "sys_id") if _SYS_ID.fullmatch(name) else fields
        rows = await self._all(_COMPUTERS, any_equals(fields, name), COMPUTER_FIELDS)
        with understood(f"{self.name}: {_COMPUTERS}"):
            return [
                computer(self.name, row)
                for row in rows
                if name.casefold() in [value_of(row, field).casefold() for field in fields]
            ]

    async def search_assets(
        self, software: str, versions: list[str] | None = None, exposed: bool | None = None
    ) -> list[Asset]:
        """Find what runs a software, by the display name of its installations. Their operating system is not read.

        Raises Unsupported for `exposed`, which the CMDB does not say. Source: the table cmdb_sam_sw_install of Software
        Asset Management.
        """
        if exposed is not None:
            raise Unsupported(f"{self.name}: the CMDB does not say what is exposed to the internet; leave it out")
        if not is_searchable(software):
            return []
        rows = await self._all(_INSTALLATIONS, equals("display_name", software), INSTALLATION_FIELDS)
        with understood(f"{self.name}: {_INSTALLATIONS}"):
            found = [row for row in rows if _runs(row, software, versions)]
            return running(self.name, found)

    def check(self, response: Response) -> None:
        check_answer(response)

    @property
    def _table(self) -> str:
        return f"{_TABLES}/{self.settings.table}"

    async def _all(self, path: str, query: str, fields: str) -> list[dict[str, Any]]:
        params = {"sysparm_query": query, "sysparm_display_value": "all", "sysparm_fields": fields}
        return await rows_of(self.http, path, {**params, "sysparm_exclude_reference_link": "true"})

    async def _tickets(self, field: str, value: str) -> list[Ticket]:
        rows = await rows_of(self.http, self._table, {**_TICKET, "sysparm_query": equals(field, value)})
        with understood(f"{self.name}: {self._table}"):
            return [self._ticket(row) for row in rows if row[field].casefold() == value.casefold()]

    def _ticket(self, row: Mapping[str, Any]) -> Ticket:
        return Ticket(
            connector=self.name,
            id=row["sys_id"],
            name=row["number"],
            title=row["short_description"],
            status=row["state"] or None,
            url=f"{self.settings.base_url.rstrip('/')}/{self.settings.table}.do?sys_id={quote(row['sys_id'], safe='')}",
        )

    def _marker(self) -> str:
        return f"hikeshi-{self.own_id()}"

    async def _authorization(self) -> Mapping[str, str]:
        given = self.settings
        return {**self.basic_authorization(given.username, given.password), "accept": "application/json"}


def _runs(row: Mapping[str, Any], software: str, versions: list[str] | None) -> bool:
    _ = row["display_name"], row["installed_on"]
    same = value_of(row, "display_name").casefold() == software.casefold()
    wanted = None if versions is None else {version.casefold() for version in versions}
    return (
        same
        and bool(value_of(row, "installed_on"))
        and (wanted is None or value_of(row, "version").casefold() in wanted)
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
