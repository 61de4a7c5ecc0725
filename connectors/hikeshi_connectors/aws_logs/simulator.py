"""A simulation of the part of Logs Insights, GuardDuty and Security Hub that the connector uses.

State: `product_state["aws_logs"]`, made of the estate's alerts and connections unless the estate has it already.
Searches take a moment (the estate's `settle_s`) and know `fields`, `filter … like /…/`, `sort` and `limit`.
Sources: the API references of CloudWatch Logs, GuardDuty and Security Hub.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from starlette.requests import Request

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi_connectors.aws.simulated_signature import Refusal
from hikeshi_connectors.aws.simulator import AwsSimulator, Operation
from hikeshi_connectors.aws_logs.simulated_state import DETECTOR, LOG_GROUP, State, state_of

__all__ = ["AwsLogsSimulator"]

_FINDINGS_AT_ONCE = 50
_COMMAND = re.compile(
    r"(fields [@\w, .]+|sort @timestamp (asc|desc)|limit \d+|filter @message like /(?P<like>(\\.|[^/\\])+)/)"
)
_DETECTOR_PATH = re.compile(r"/detector/[^/]+")


class AwsLogsSimulator(AwsSimulator):
    """Logs, GuardDuty, Security Hub and STS below `/aws_logs/`.

    `bad_end` is a status with which searches end instead of Complete.
    """

    product = "aws_logs"
    instance_name = "aws_logs"
    demo_settings: ClassVar[Mapping[str, Any]] = {
        **AwsSimulator.demo_settings,
        "log_groups": [LOG_GROUP],
        "detections": ["guardduty", "securityhub"],
    }
    reads = frozenset(
        {
            "logs:StartQuery", "logs:GetQueryResults", "guardduty:GET /detector",
            "guardduty:POST /detector/{id}/findings", "guardduty:POST /detector/{id}/findings/get",
            "securityhub:POST /findings",
        }
    )  # fmt: skip

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, Any] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.bad_end = ""
        self._searches: list[tuple[datetime, list[dict[str, Any]]]] = []
        state_of(estate)

    def reset(self) -> None:
        super().reset()
        self._searches.clear()

    def operations(self) -> Mapping[str, Mapping[str, Operation]]:
        return {
            "logs": {"StartQuery": self._start_query, "GetQueryResults": self._query_results},
            "guardduty": {
                "GET /detector": lambda _: {"detectorIds": [DETECTOR]},
                "POST /detector/{id}/findings": self._list_findings,
                "POST /detector/{id}/findings/get": self._get_findings,
            },
            "securityhub": {"POST /findings": self._hub_findings},
        }

    def kind_of(self, operation: str) -> str:
        return _DETECTOR_PATH.sub("/detector/{id}", operation)

    def more_of(self, request: Request) -> dict[str, Any]:
        found = re.match(r"detector/([^/]+)", request.path_params["path"])
        return {"DetectorId": found[1]} if found else {}

    @property
    def _state(self) -> State:
        return state_of(self.estate)

    # --- Logs Insights

    def _start_query(self, params: dict[str, Any]) -> Mapping[str, Any]:
        groups = params.get("logGroupNames") or params.get("logGroupIdentifiers") or []
        if not groups or any(each not in self._state["logs"] for each in groups):
            raise Refusal(400, "ResourceNotFoundException", "The specified log group does not exist.")
        if not 1 <= params.get("limit", 10_000) <= 100_000:
            raise Refusal(400, "InvalidParameterException", "limit is out of bounds")
        pattern = _pattern_in(params["queryString"])
        entries = [
            each
            for group in groups
            for each in self._state["logs"][group]
            if params["startTime"] <= each["at"] <= params["endTime"] and pattern.search(each["message"])
        ]
        newest = sorted(entries, key=lambda each: -float(each["at"]))[: params.get("limit", 10_000)]
        self._searches.append((self.estate.now() + timedelta(seconds=self.estate.settle_s), newest))
        return {"queryId": f"00000000-0000-4000-8000-{len(self._searches):012}"}

    def _query_results(self, params: dict[str, Any]) -> Mapping[str, Any]:
        number = int(str(params.get("queryId", ""))[-12:] or 0)
        if not 1 <= number <= len(self._searches):
            raise Refusal(400, "ResourceNotFoundException", "The query does not exist.")
        due_at, entries = self._searches[number - 1]
        if self.estate.now() < due_at:
            return {"status": "Running", "results": []}
        if self.bad_end:
            return {"status": self.bad_end, "results": [_row(each) for each in entries[:1]]}
        found, more = _page(entries, params.get("nextToken"), self.most_on_a_page, "nextToken")
        return {"status": "Complete", "results": [_row(each) for each in found], **more}

    # --- GuardDuty

    def _list_findings(self, params: dict[str, Any]) -> Mapping[str, Any]:
        self._need_detector(params)
        criterion = params["findingCriteria"]["criterion"]
        if set(criterion) - {"updatedAt", "service.archived", "severity"} or params["maxResults"] > _FINDINGS_AT_ONCE:
            raise Refusal(400, "BadRequestException", "The request is rejected because the parameters are invalid.")
        since, least = criterion["updatedAt"]["greaterThanOrEqual"], criterion.get("severity", {})
        ids = [
            each["id"]
            for each in sorted(self._state["guardduty"], key=lambda each: str(each["updatedAt"]), reverse=True)
            if datetime.fromisoformat(each["updatedAt"]).timestamp() * 1000 >= since
            and each["severity"] >= least.get("greaterThanOrEqual", 0)
            and str(each["service"]["archived"]).lower() in criterion["service.archived"]["equals"]
        ]
        found, more = _page(ids, params.get("nextToken"), _FINDINGS_AT_ONCE, "nextToken")
        return {"findingIds": found, "nextToken": "", **more}

    def _get_findings(self, params: dict[str, Any]) -> Mapping[str, Any]:
        self._need_detector(params)
        if not 0 < len(params["findingIds"]) <= _FINDINGS_AT_ONCE:
            raise Refusal(400, "BadRequestException", "The request is rejected because findingIds is out of bounds.")
        return {"findings": [each for each in self._state["guardduty"] if each["id"] in params["findingIds"]]}

    def _need_detector(self, params: dict[str, Any]) -> None:
        if params.get("DetectorId") != DETECTOR:
            text = "The request is rejected because the input detectorId is not owned by the current account."
            raise Refusal(400, "BadRequestException", text)

    # --- Security Hub

    def _hub_findings(self, params: dict[str, Any]) -> Mapping[str, Any]:
        if not self._state["hub_enabled"]:
            raise Refusal(401, "InvalidAccessException", "Account is not subscribed to AWS Security Hub")
        if params["MaxResults"] > 100:
            raise Refusal(400, "InvalidInputException", "MaxResults must be between 1 and 100")
        found = [each for each in self._state["hub"] if _passes(each, params["Filters"])]
        found.sort(key=lambda each: str(each["UpdatedAt"]), reverse=True)
        shown, more = _page(found, params.get("NextToken"), min(params["MaxResults"], self.most_on_a_page), "NextToken")
        return {"Findings": shown, **more}


def _pattern_in(query: str) -> re.Pattern[str]:
    """Return what entries have to contain. Refuses what the simulation does not know, as Logs Insights does."""
    likes: list[str] = []
    for command in re.split(r"\s*\|\s*(?![^/]*/(?:\s|$))", query.strip()):
        found = _COMMAND.fullmatch(command.strip())
        if found is None:
            raise Refusal(400, "MalformedQueryException", "unexpected symbol found in the query")
        likes += [found["like"]] if found["like"] else []
    try:
        return re.compile(
            "".join(f"(?=.*(?:{each.removeprefix('(?i)')}))" for each in likes), re.IGNORECASE | re.DOTALL
        )
    except re.error:
        raise Refusal(400, "MalformedQueryException", "the pattern is not valid") from None


def _row(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    at = datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    fields = {"@timestamp": at, "@message": entry["message"], "@logStream": entry["stream"], "@ptr": "Cm0K"}
    return [{"field": key, "value": value} for key, value in fields.items()]


def _page(items: Sequence[Any], mark: str | None, most: int, name: str) -> tuple[list[Any], dict[str, str]]:
    start = int(mark or 0)
    more = {name: str(start + most)} if len(items) > start + most else {}
    return list(items[start : start + most]), more


def _passes(finding: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    facts = {
        "RecordState": finding["RecordState"],
        "SeverityLabel": finding["Severity"]["Label"],
        "ProductName": finding.get("ProductName", ""),
    }
    for name, conditions in filters.items():
        if name == "UpdatedAt":
            passed = [each["Start"] <= finding["UpdatedAt"] <= each["End"] for each in conditions]
        elif name in facts:
            passed = [(each["Value"] == facts[name]) == (each["Comparison"] == "EQUALS") for each in conditions]
        else:
            raise Refusal(400, "InvalidInputException", f"Invalid filter {name}")
        if not any(passed):
            return False
    return True
