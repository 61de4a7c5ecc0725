"""Microsoft Sentinel: log searches in its Log Analytics workspace, and its incidents.

Sources: https://learn.microsoft.com/azure/azure-monitor/logs/api/ (request and response format, timeouts, limits);
Azure/azure-rest-api-specs: operationalinsights data-plane 2022-10-27, securityinsights 2024-03-01.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from hikeshi.capabilities import Alert, Indicator, LogEntry, Severity, Siem, supports
from hikeshi.connector import Connector, ConnectorSettings, Invalid, Pace, Response, Route, understood
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.microsoft import kql
from hikeshi_connectors.microsoft.odata import collection
from hikeshi_connectors.microsoft.sign_in import SIGN_IN_ROUTE, AppSettings, app_tokens
from hikeshi_connectors.sentinel.answers import check_answer
from hikeshi_connectors.sentinel.incident import alert_of, recent
from hikeshi_connectors.sentinel.log_entry import entries_in

__all__ = ["Sentinel"]

_API_VERSION = "2024-03-01"
_PAGE = "1000"
_SERVER_WAIT_MOST_S = 600
_ROWS_MOST = 500_000
_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_INCIDENTS = (
    "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.OperationalInsights/workspaces/{}"
    "/providers/Microsoft.SecurityInsights/incidents"
)
TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
# A result of an aggregation has no time; sorting by a column that is not there would be an error.
_NEWEST_FIRST = "order by column_ifexists('TimeGenerated', datetime(null)) desc"


class Sentinel(Connector, Siem, product="sentinel"):
    """One Sentinel workspace."""

    class Settings(AppSettings):
        base_url: str = "https://api.loganalytics.azure.com/v1"
        scope: str = "https://api.loganalytics.io/.default"
        management_url: str = "https://management.azure.com"
        management_scope: str = "https://management.azure.com/.default"
        workspace_id: str = Field(pattern=_UUID)
        subscription_id: str = Field(pattern=_UUID)
        resource_group: str = Field(pattern=r"^[A-Za-z0-9_().-]{0,89}[A-Za-z0-9_()-]$")
        workspace: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]$")
        search_tables: tuple[TableName, ...] = ()

    settings: Settings
    read_routes = (
        SIGN_IN_ROUTE,
        Route("POST", "/workspaces/*/query"),
        Route("GET", _INCIDENTS.replace("{}", "*"), base="management"),
    )
    # Documented: 200 queries in 30 seconds, and five at a time; more wait in a queue that ends in refusals.
    pace = Pace(requests=180, per_s=30.0, at_once=5)
    least_privileges: ClassVar[tuple[str, ...]] = ("Microsoft Sentinel Reader",)

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        """Return the addresses of Log Analytics (""), Resource Manager ("management") and the tokens ("login")."""
        assert isinstance(settings, cls.Settings)
        return {"": settings.base_url, "management": settings.management_url, "login": settings.login_url}

    def set_up(self) -> None:
        self._logs = app_tokens(self, self.settings, self.settings.scope)
        self._management = app_tokens(self, self.settings, self.settings.management_scope)
        self.http.sign = self._authorization
        self.http.forget_credentials = self._forget

    async def _authorization(self, request: SeenRequest) -> Mapping[str, str]:
        """Return the token for the service that a request goes to: each takes its own only."""
        to_management = "/providers/Microsoft.SecurityInsights/" in urlsplit(request.url).path
        return await (self._management if to_management else self._logs).headers()

    def _forget(self) -> None:
        self._logs.forget()
        self._management.forget()

    def check(self, response: Response) -> None:
        check_answer(response)

    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search in KQL. The newest `limit` entries are given; a query that ends in `render` cannot be searched."""
        asked = query.strip().rstrip(";").rstrip()
        if not asked:
            raise Invalid(f"{self.name}: the query is empty")
        if not 1 <= limit <= _ROWS_MOST:
            raise Invalid(f"{self.name}: limit is {limit}; it goes from 1 to {_ROWS_MOST}")
        # On a line of its own: the query may end in a comment.
        body = {"query": f"{asked}\n| {_NEWEST_FIRST}\n| take {limit}", "timespan": f"PT{max(1, int(since_s))}S"}
        wait_s = min(int(self.settings.timeout_s) or 1, _SERVER_WAIT_MOST_S)
        path = f"/workspaces/{self.settings.workspace_id}/query"
        answer = await self.http.post(path, json=body, headers={"Prefer": f"wait={wait_s}"})
        return entries_in(answer, self.name)

    @supports(kinds={"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Find entries of any table, or of `search_tables`, that have an indicator as whole words in any column."""
        if "*" in indicator.value:
            raise Invalid(f"{self.name}: {indicator.value[:80]!r} holds a *, which stands for anything in a search")
        tables = self.settings.search_tables
        within = f"in ({', '.join(tables)}) " if tables else ""
        return await self.search_logs(f"search {within}{kql.text(indicator.value)}", since_s, limit)

    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the incidents created in the last `since_s` seconds, newest first. Sentinel has none above high."""
        asked = recent(since_s, severity)
        if asked is None:
            return []
        settings = self.settings
        path = _INCIDENTS.format(settings.subscription_id, settings.resource_group, settings.workspace)
        params: dict[str, Any] = {
            "api-version": _API_VERSION,
            "$filter": asked,
            "$orderby": "properties/createdTimeUtc desc",
            "$top": _PAGE,
        }
        found = await collection(self.http, path, params, base="management")
        with understood(f"{self.name}: incidents"):
            alerts = [alert_of(incident, self.name) for incident in found]
        return sorted(alerts, key=lambda alert: alert.at, reverse=True)
