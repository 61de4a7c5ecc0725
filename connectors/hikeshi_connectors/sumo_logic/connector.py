"""Sumo Logic: searches by its search jobs, and insights of its Cloud SIEM.

Sources: https://www.sumologic.com/help/docs/api/search-job, https://api.sumologic.com/docs/sec/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from pydantic import Field

from hikeshi.capabilities import Alert, Indicator, LogEntry, Severity, Siem, supports
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    Pace,
    Response,
    Route,
    Secret,
    all_pages,
    json_object,
    understood,
)
from hikeshi_connectors.sumo_logic.answers import check_answer
from hikeshi_connectors.sumo_logic.insight import INSIGHTS, alert_of, at_least
from hikeshi_connectors.sumo_logic.log_entry import entry_of
from hikeshi_connectors.sumo_logic.query import mention_of, refuse_changes
from hikeshi_connectors.sumo_logic.search_job import JOBS, SearchJobs

__all__ = ["SumoLogic"]

_ROWS_MOST: Final = 100_000
_INSIGHTS_PAGE: Final = 50


class SumoLogic(Connector, Siem, product="sumo_logic"):
    """One account of Sumo Logic. Everything here only reads."""

    class Settings(ConnectorSettings):
        access_id: str = Field(pattern=r"^[A-Za-z0-9]{1,100}$")
        access_key: Secret
        # What search_logs_for looks at, as in `_sourceCategory=prod/*`; everything if empty.
        scope: str = Field(default="", pattern=r"^[^|\[\]()\x00-\x1f]*$")
        search_within_s: float = Field(default=120.0, gt=0, le=3600)

    settings: Settings
    read_routes = (
        Route("POST", JOBS),
        Route("GET", f"{JOBS}/*"),
        Route("GET", f"{JOBS}/*/messages"),
        Route("GET", f"{JOBS}/*/records"),
        Route("GET", INSIGHTS),
    )
    # Documented: four requests a second for a user, ten at a time for a key.
    pace = Pace(requests=3, per_s=1.0, at_once=5)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {
        "search_logs": {"query": "hikeshi", "since_s": 60, "limit": 1},
        "search_logs_for": {"since_s": 60, "limit": 1},
    }
    least_privileges: ClassVar[tuple[str, ...]] = (
        "the capability 'Run Log Search' and a role whose search filter shows the logs",
        "Cloud SIEM: 'View Insights'",
        "not 'Manage Lookup Tables', which is more than this needs",
    )

    def set_up(self) -> None:
        self._searches = SearchJobs(self.name, self.http, self.redactor, self.settings.search_within_s)
        self.http.authorize = self._authorization

    async def _authorization(self) -> Mapping[str, str]:
        return self.basic_authorization(self.settings.access_id, self.settings.access_key)

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- searching

    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search in Sumo Logic's query language; an aggregation gives its records. A query that writes is refused."""
        if not query.strip():
            raise Invalid(f"{self.name}: the query is empty")
        if not 1 <= limit <= _ROWS_MOST:
            raise Invalid(f"{self.name}: limit is {limit}; it goes from 1 to {_ROWS_MOST}")
        refuse_changes(query, self.name)
        rows = await self._searches.rows(query, since_s, limit)
        with understood(f"{self.name}: results"):
            return [entry_of(row, self.name) for row in rows]

    @supports(kinds={"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Find messages of `scope` with an indicator in their text."""
        return await self.search_logs(mention_of(indicator.value, self.settings.scope), since_s, limit)

    # --- detections

    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the insights that were created in the last `since_s` seconds, newest first."""
        since = datetime.now(UTC) - timedelta(seconds=since_s)
        asked = f"created:>{(since - timedelta(seconds=1)).strftime('%Y-%m-%dT%H:%M:%S+00:00')}"

        async def page(mark: int | None) -> tuple[Sequence[Alert], int | None]:
            params = {"q": asked, "offset": mark or 0, "limit": _INSIGHTS_PAGE}
            answer = json_object(await self.http.get(INSIGHTS, params=params))
            with understood(f"{self.name}: {INSIGHTS}"):
                data: Mapping[str, Any] = answer["data"]
                found = [alert_of(each, self.name) for each in data["objects"]]
                more = bool(data["hasNextPage"])
            if more and not found:
                raise Invalid(f"{self.name}: {mark or 0} insights came, and no more, although there are")
            return found, (mark or 0) + len(found) if more else None

        found = await all_pages(page, f"{self.name}: {INSIGHTS}")
        # One that is created meanwhile moves the others on, so that one can come twice.
        kept = {alert.id: alert for alert in found if alert.at >= since and at_least(alert, severity)}
        return sorted(kept.values(), key=lambda alert: alert.at, reverse=True)
