"""AWS logs: what was written, and what AWS noticed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from hikeshi.capabilities import Alert, Indicator, LogEntry, Severity, Siem, supports
from hikeshi.connector import Invalid, Pace, Route, all_pages, finished, json_object, objects_under, understood
from hikeshi_connectors.aws.connector import AwsConnector
from hikeshi_connectors.aws.service import GUARDDUTY, LOGS, SECURITYHUB, STS
from hikeshi_connectors.aws.settings import AwsSettings
from hikeshi_connectors.aws_logs.detections import LABELS_FROM, LEVEL_FROM, of_guardduty, of_security_hub
from hikeshi_connectors.aws_logs.insights import ended_badly, entry_of, mention_of, newest_first

__all__ = ["AwsLogs"]

_RESULTS_MOST: Final = 100_000
_FINDINGS_AT_ONCE: Final = 50
_HUB_PAGE: Final = 100
_DETECTOR: Final = re.compile(r"[0-9A-Za-z-]{1,300}")


class AwsLogs(AwsConnector, Siem, product="aws_logs"):
    """Log groups and detections of one account in one region. Everything here only reads.

    Sources: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html,
    https://docs.aws.amazon.com/guardduty/latest/APIReference/API_ListFindings.html,
    https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindings.html.
    """

    class Settings(AwsSettings):
        log_groups: tuple[str, ...] = Field(default=(), max_length=50)
        detections: tuple[Literal["guardduty", "securityhub"], ...] = ("guardduty",)
        search_within_s: float = Field(default=120.0, gt=0, le=3600)

    settings: Settings
    services = (LOGS, GUARDDUTY, SECURITYHUB)
    pace = Pace(5, 1.0, at_once=5)
    read_routes = (
        *STS.reads("AssumeRole"),
        *LOGS.reads("StartQuery", "GetQueryResults"),
        Route("GET", "/detector", base=GUARDDUTY.name),
        Route("POST", "/detector/*/findings", base=GUARDDUTY.name),
        Route("POST", "/detector/*/findings/get", base=GUARDDUTY.name),
        Route("POST", "/findings", base=SECURITYHUB.name),
    )
    least_privileges: ClassVar[tuple[str, ...]] = (
        "logs:StartQuery, logs:GetQueryResults",
        "guardduty:ListDetectors, guardduty:ListFindings, guardduty:GetFindings",
        "securityhub:GetFindings",
    )

    # --- searching

    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search the log groups in Logs Insights' query language. A query that did not end well is an error."""
        if not query.strip():
            raise Invalid(f"{self.name}: an empty query")
        if not self.settings.log_groups:
            raise Invalid(f"{self.name}: no log groups to search; name them as log_groups in hikeshi.yaml")
        if not 1 <= limit <= _RESULTS_MOST:
            raise Invalid(f"{self.name}: Logs Insights gives 1 to {_RESULTS_MOST} results, not {limit}")
        now = int(time.time())
        groups = list(self.settings.log_groups)
        shared = any(each.startswith("arn:") for each in groups)
        body = {
            "logGroupIdentifiers" if shared else "logGroupNames": groups,
            "startTime": now - since_s,
            "endTime": now,
            "queryString": query,
            "limit": limit,
        }
        started = await self.aws.read_json(LOGS, "StartQuery", body)
        with understood(f"{self.name}: StartQuery"):
            search = str(started["queryId"])
        rows = await self._rows(search)
        return newest_first([entry_of(self.name, each) for each in rows])[:limit]

    @supports(kinds={"ipv4", "ipv6", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        return await self.search_logs(mention_of(indicator), since_s, limit)

    async def _rows(self, search: str) -> list[list[dict[str, Any]]]:
        """Return a search's results once it is complete, page by page."""
        what = f"{self.name}: the query {search}"

        async def look() -> dict[str, Any] | None:
            answer = await self.aws.read_json(LOGS, "GetQueryResults", {"queryId": search})
            with understood(what):
                status = str(answer["status"])
            if error := ended_badly(what, status):
                raise error
            return answer if status == "Complete" else None

        first = await finished(look, what=what, within_s=self.settings.search_within_s, every_s=1.0)

        async def page(mark: str | None) -> tuple[Sequence[list[dict[str, Any]]], str | None]:
            answer = first
            if mark is not None:
                answer = await self.aws.read_json(LOGS, "GetQueryResults", {"queryId": search, "nextToken": mark})
            with understood(what):
                return list(answer["results"]), answer.get("nextToken")

        return await all_pages(page, what)

    # --- detections

    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List what was noticed, or noticed again, in the last `since_s` seconds; archived findings are left out."""
        since = datetime.now(UTC) - timedelta(seconds=since_s)
        lists = {"guardduty": self._of_guardduty, "securityhub": self._of_security_hub}
        # One after the other: what fails in one leaves nothing running in the other.
        found = [
            alert for each in dict.fromkeys(self.settings.detections) for alert in await lists[each](since, severity)
        ]
        return sorted(found, key=lambda alert: alert.at, reverse=True)

    async def _of_guardduty(self, since: datetime, severity: Severity | None) -> list[Alert]:
        found: list[Alert] = []
        for detector in await self._detectors():
            ids = await self._finding_ids(detector, since, severity)
            for start in range(0, len(ids), _FINDINGS_AT_ONCE):
                body = {"findingIds": ids[start : start + _FINDINGS_AT_ONCE]}
                answer = await self.aws.rest(GUARDDUTY, "POST", f"/detector/{detector}/findings/get", json=body)
                found += [of_guardduty(self.name, each) for each in objects_under(answer, "findings")]
        return found

    async def _detectors(self) -> list[str]:
        async def page(mark: str | None) -> tuple[Sequence[str], str | None]:
            params = {"maxResults": _FINDINGS_AT_ONCE, **({"nextToken": mark} if mark else {})}
            answer = json_object(await self.aws.rest(GUARDDUTY, "GET", "/detector", params=params))
            with understood(f"{self.name}: ListDetectors"):
                return [_plain(each) for each in answer["detectorIds"]], answer.get("nextToken") or None

        return await all_pages(page, f"{self.name}: ListDetectors")

    async def _finding_ids(self, detector: str, since: datetime, severity: Severity | None) -> list[str]:
        criterion: dict[str, Any] = {
            "updatedAt": {"greaterThanOrEqual": int(since.timestamp() * 1000)},
            "service.archived": {"equals": ["false"]},
        }
        if severity:
            criterion["severity"] = {"greaterThanOrEqual": LEVEL_FROM[severity]}
        body = {
            "findingCriteria": {"criterion": criterion},
            "sortCriteria": {"attributeName": "updatedAt", "orderBy": "DESC"},
            "maxResults": _FINDINGS_AT_ONCE,
        }

        async def page(mark: str | None) -> tuple[Sequence[str], str | None]:
            asked = {**body, **({"nextToken": mark} if mark else {})}
            answer = json_object(await self.aws.rest(GUARDDUTY, "POST", f"/detector/{detector}/findings", json=asked))
            with understood(f"{self.name}: ListFindings"):
                return [str(each) for each in answer["findingIds"]], answer.get("nextToken") or None

        return await all_pages(page, f"{self.name}: ListFindings")

    async def _of_security_hub(self, since: datetime, severity: Severity | None) -> list[Alert]:
        now = datetime.now(UTC)
        filters: dict[str, Any] = {
            "UpdatedAt": [{"Start": _as_hub_writes(since), "End": _as_hub_writes(now)}],
            "RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}],
        }
        if severity:
            filters["SeverityLabel"] = [{"Value": each, "Comparison": "EQUALS"} for each in LABELS_FROM[severity]]
        if "guardduty" in self.settings.detections:  # which are there already
            filters["ProductName"] = [{"Value": "GuardDuty", "Comparison": "NOT_EQUALS"}]
        body = {
            "Filters": filters,
            "SortCriteria": [{"Field": "UpdatedAt", "SortOrder": "desc"}],
            "MaxResults": _HUB_PAGE,
        }

        async def page(mark: str | None) -> tuple[Sequence[Alert], str | None]:
            asked = {**body, **({"NextToken": mark} if mark else {})}
            answer = await self.aws.rest(SECURITYHUB, "POST", "/findings", json=asked)
            findings = [of_security_hub(self.name, each) for each in objects_under(answer, "Findings")]
            return findings, json_object(answer).get("NextToken") or None

        return await all_pages(page, f"{self.name}: GetFindings")


def _plain(detector: str) -> str:
    if not _DETECTOR.fullmatch(detector):
        raise ValueError("a detector's ID that is none")
    return detector


def _as_hub_writes(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
