"""Elasticsearch and OpenSearch: searches of their indices, and the alerts of their detection rules.

Sources: https://www.elastic.co/docs/api/doc/elasticsearch (open-point-in-time, search), https://docs.opensearch.org.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from hikeshi.capabilities import Alert, Indicator, LogEntry, Severity, Siem, supports
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    Response,
    Route,
    Secret,
    Unsupported,
    all_pages,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.elastic.answers import check_answer
from hikeshi_connectors.elastic.detection import (
    ALERT_FIELDS,
    alert_of_hit,
    alert_of_security_analytics,
    at_least,
    severe_enough,
)
from hikeshi_connectors.elastic.log_entry import entry_of
from hikeshi_connectors.elastic.point_in_time import Flavor, PointInTimeSearch

__all__ = ["Elastic"]

_HITS_MOST: Final = 100_000
_DETECTIONS_MOST: Final = 10_000
_ALERTS: Final = "/_plugins/_security_analytics/alerts"
_ALERTS_PAGE: Final = 500
# A name, a pattern, or either of a remote cluster; nothing that a path or a list could take for more.
IndexName = Annotated[str, Field(pattern=r"^\.?[a-z0-9*][a-z0-9._*:-]{0,253}$")]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9@_*][A-Za-z0-9@_.*-]{0,254}$")]
TypeName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")]


class Elastic(Connector, Siem, product="elastic"):
    """One cluster of Elasticsearch or OpenSearch. Everything here only reads."""

    class Settings(ConnectorSettings):
        flavor: Flavor = "elasticsearch"
        api_key: Secret | None = None
        username: str | None = None
        password: Secret | None = None
        indices: tuple[IndexName, ...] = Field(default=("logs-*",), min_length=1)
        search_fields: tuple[FieldName, ...] = ()
        time_field: str = Field(default="@timestamp", pattern=r"^[A-Za-z0-9@_][A-Za-z0-9@_.-]{0,254}$")
        alerts_index: IndexName = ".alerts-security.alerts-default"
        detector_types: tuple[TypeName, ...] = ()

        @model_validator(mode="after")
        def _one_way_to_sign_in(self) -> Self:
            basic = (self.username, self.password)
            if (self.api_key is None) == (basic == (None, None)) or (self.api_key is None and None in basic):
                raise ValueError("either 'api_key', or 'username' and 'password'")
            if self.api_key is not None and self.flavor == "opensearch":
                raise ValueError("OpenSearch takes 'username' and 'password', not 'api_key'")
            return self

    settings: Settings
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {
        "search_logs": {"query": "hikeshi", "since_s": 60, "limit": 1},
        "search_logs_for": {"since_s": 60, "limit": 1},
    }
    least_privileges: ClassVar[tuple[str, ...]] = (
        "Elasticsearch: 'read' on the indices to be searched and on the alerts index",
        "OpenSearch: 'read' and 'indices:data/read/point_in_time/create' on them, and security_analytics_read_access",
    )

    @classmethod
    def routes_of(cls, settings: ConnectorSettings) -> tuple[Route, ...]:
        """Return the read routes: a search is asked for by POST, and so is the point in time that it looks at."""
        assert isinstance(settings, cls.Settings)
        if settings.flavor == "elasticsearch":
            return (Route("POST", "/*/_pit"), Route("POST", "/_search"))
        own = (Route("POST", "/*/_search/point_in_time"), Route("POST", "/_search"))
        return (*own, Route("GET", _ALERTS)) if settings.detector_types else own

    def set_up(self) -> None:
        settings = self.settings
        self._logs = PointInTimeSearch(self.name, self.http, settings.flavor, settings.time_field)
        self._alerts = PointInTimeSearch(self.name, self.http, settings.flavor, "@timestamp")
        self.http.authorize = self._authorization

    async def _authorization(self) -> Mapping[str, str]:
        if self.settings.api_key is not None:
            return {"authorization": f"ApiKey {self.reveal(self.settings.api_key)}"}
        assert self.settings.password is not None
        return self.basic_authorization(self.settings.username, self.settings.password)

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- searching

    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search in the query string syntax (Lucene's), as in `host.name:pc-7 AND event.action:deny`."""
        if not query.strip():
            raise Invalid(f"{self.name}: the query is empty")
        return await self._entries({"query_string": {"query": query}}, since_s, limit)

    @supports(kinds={"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Find documents that have an indicator as a phrase in any field; no syntax is looked for in it."""
        value = indicator.value
        if not value.strip() or not value.isprintable():
            raise Invalid(f"{self.name}: {value[:80]!r} cannot be searched for: it is empty or has control characters")
        # Lenient, for a name is not an error where a field takes only numbers.
        phrase: dict[str, Any] = {"query": value, "type": "phrase", "lenient": True}
        if self.settings.search_fields:
            phrase["fields"] = list(self.settings.search_fields)
        return await self._entries({"multi_match": phrase}, since_s, limit)

    async def _entries(self, wanted: Mapping[str, Any], since_s: int, limit: int) -> list[LogEntry]:
        if not 1 <= limit <= _HITS_MOST:
            raise Invalid(f"{self.name}: limit is {limit}; it goes from 1 to {_HITS_MOST}")
        hits = await self._logs.hits(self.settings.indices, [wanted], since_s, limit)
        with understood(f"{self.name}: hits"):
            return [entry_of(hit, self.name, self.settings.time_field) for hit in hits]

    # --- detections

    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the alerts of detection rules, newest first; of OpenSearch, those of `detector_types`."""
        if self.settings.flavor == "opensearch":
            return await self._of_security_analytics(since_s, severity)
        hits = await self._alerts.hits(
            [self.settings.alerts_index],
            severe_enough(severity),
            since_s,
            _DETECTIONS_MOST,
            _source=False,
            fields=list(ALERT_FIELDS),
        )
        if len(hits) >= _DETECTIONS_MOST:
            raise Invalid(f"{self.name}: {_DETECTIONS_MOST} alerts or more; ask for a shorter time")
        with understood(f"{self.name}: alerts"):
            return [alert_of_hit(hit, self.name) for hit in hits]

    async def _of_security_analytics(self, since_s: int, severity: Severity | None) -> list[Alert]:
        if not self.settings.detector_types:
            raise Unsupported(f"{self.name}: name the types of detectors to be listed as detector_types")
        since = datetime.now(UTC) - timedelta(seconds=since_s)
        found: dict[str, Alert] = {}
        for kind in dict.fromkeys(self.settings.detector_types):
            # An alert that is raised meanwhile moves the others on, so that one can come twice.
            found.update({alert.id: alert for alert in await self._of_type(kind)})
        kept = [alert for alert in found.values() if alert.at >= since and at_least(alert, severity)]
        return sorted(kept, key=lambda alert: alert.at, reverse=True)

    async def _of_type(self, kind: str) -> list[Alert]:
        params = {"detectorType": kind, "size": _ALERTS_PAGE, "sortString": "start_time", "sortOrder": "desc"}

        async def page(mark: int | None) -> tuple[Sequence[dict[str, Any]], int | None]:
            answer = await self.http.get(_ALERTS, params={**params, "startIndex": mark or 0})
            alerts = objects_under(answer, "alerts")
            end = (mark or 0) + len(alerts)
            with understood(f"{self.name}: {_ALERTS}"):
                total = int(json_object(answer)["total_alerts"])
            if not alerts and end < total:
                raise Invalid(f"{self.name}: {end} of {total} alerts of {kind} came, and no more")
            return alerts, end if end < total else None

        alerts = await all_pages(page, f"{self.name}: {_ALERTS}")
        with understood(f"{self.name}: {_ALERTS}"):
            return [alert_of_security_analytics(each, self.name) for each in alerts]
