"""What is sent to search logs and to list detections, and how the answers are understood."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Forbidden, Invalid, RateLimited, Secret, Timeout, Unavailable, Unsupported
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws_logs import AwsLogs
from hikeshi_connectors.aws_logs.insights import mention_of

DETECTOR = "12abc34d567e8fa901bc2d34e56789f0"
COMPLETE = {"status": "Complete", "results": []}


class Aws:
    """Answers by operation or path, several ones in turn; the last of them stays."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = {key: list(each) if isinstance(each, list) else [each] for key, each in answers.items()}
        self.sent: list[tuple[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        target = request.headers.get("x-amz-target", "").removeprefix("Logs_20140328.")
        asked = target or f"{request.method} {request.url.path}"
        self.sent.append((asked, json.loads(request.content) if request.content else dict(request.url.params)))
        found = self.answers[asked]
        answer = found.pop(0) if len(found) > 1 else found[0]
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def connector(aws: Aws, **more: Any) -> AwsLogs:
    keys = {"access_key_id": Secret.of_value("AKIAINVENTEDKEY00001"), "secret_access_key": Secret.of_value("invented")}
    settings = {"region": "eu-west-1", "log_groups": ["/a", "/b"], "search_within_s": 0.3, **keys, **more}
    built = build(AwsLogs, "logs", settings, Redactor(), transport=httpx.MockTransport(aws))
    assert isinstance(built, AwsLogs)
    return built


def row(**fields: str) -> Sequence[Mapping[str, str]]:
    return [{"field": f"@{key}", "value": value} for key, value in fields.items()]


def refusal(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"message": "m"}, headers={"x-amzn-errortype": code})


async def test_a_search_is_started_and_asked_after_until_it_is_complete() -> None:
    """The time is in whole seconds, every page is read, and the newest entry comes first."""
    old, new = (
        row(timestamp="2026-03-02 08:00:00.000", message="a"),
        row(timestamp="2026-03-02 09:00:00.500", message="b", logStream="s", ptr="x"),
    )
    results = [{"status": "Running", "results": [old]}, {**COMPLETE, "results": [old], "nextToken": "t"}]
    aws = Aws({"StartQuery": {"queryId": "q1"}, "GetQueryResults": [*results, {**COMPLETE, "results": [new]}]})
    entries = await connector(aws).search_logs("fields @message", since_s=60, limit=50)
    assert [(each.text, each.fields) for each in entries] == [("b", {"@logStream": "s"}), ("a", {})]
    assert entries[0].at is not None
    assert entries[0].at.isoformat() == "2026-03-02T09:00:00.500000+00:00"
    (_, started), *looks = aws.sent
    end = started.pop("endTime")
    assert abs(end - time.time()) < 5
    query = {"logGroupNames": ["/a", "/b"], "queryString": "fields @message", "limit": 50}
    assert started == {**query, "startTime": end - 60}
    assert [body for _, body in looks] == [{"queryId": "q1"}, {"queryId": "q1"}, {"queryId": "q1", "nextToken": "t"}]


async def test_groups_of_other_accounts_are_named_by_their_arns() -> None:
    """Names and ARNs go into a field that takes both."""
    groups = ["/a", "arn:aws:logs:eu-west-1:210987654321:log-group:/b"]
    aws = Aws({"StartQuery": {"queryId": "q"}, "GetQueryResults": COMPLETE})
    assert await connector(aws, log_groups=groups).search_logs("x") == []
    assert aws.sent[0][1]["logGroupIdentifiers"] == groups


@pytest.mark.parametrize(
    ("status", "kind"),
    [("Failed", Unavailable), ("Cancelled", Unavailable), ("Unknown", Unavailable), ("Timeout", Timeout)],
)
async def test_half_a_result_is_an_error(status: str, kind: type[Exception]) -> None:
    """Whatever had been found by then is not given."""
    found = {"status": status, "results": [row(message="a")]}
    with pytest.raises(kind, match="query"):
        await connector(Aws({"StartQuery": {"queryId": "q"}, "GetQueryResults": found})).search_logs("x")


async def test_a_search_that_goes_on_for_too_long_is_given_up() -> None:
    """The setting says how long."""
    aws = Aws({"StartQuery": {"queryId": "q"}, "GetQueryResults": {"status": "Running", "results": []}})
    with pytest.raises(Timeout, match="not finished"):
        await connector(aws).search_logs("x")


async def test_too_many_searches_at_once_are_a_matter_of_time() -> None:
    """Logs Insights has its own code for that, which elsewhere is about sizes."""
    with pytest.raises(RateLimited):
        await connector(Aws({"StartQuery": refusal(400, "LimitExceededException")})).search_logs("x")


async def test_what_cannot_be_searched_is_refused_before_it_is_sent() -> None:
    """An empty query, no log groups, more results than there can be."""
    aws = Aws({})
    for asked in (
        connector(aws).search_logs(" "),
        connector(aws, log_groups=[]).search_logs("x"),
        connector(aws).search_logs("x", limit=100_001),
    ):
        with pytest.raises(Invalid):
            await asked
    assert aws.sent == []


async def test_rows_of_statistics_keep_their_order() -> None:
    """They have no moment and no message."""
    rows = [[{"field": "count", "value": str(n)}] for n in (3, 9, 1)]
    aws = Aws({"StartQuery": {"queryId": "q"}, "GetQueryResults": {**COMPLETE, "results": rows}})
    assert [each.text for each in await connector(aws).search_logs("stats count(*)")] == [
        "count=3",
        "count=9",
        "count=1",
    ]


@pytest.mark.parametrize(
    ("kind", "value", "found", "not_found"),
    [
        ("ipv4", "203.0.113.9", "to 203.0.113.9:443", "to 203.0.113.99"),
        ("ipv4", "203.0.113.9", "203.0.113.9", "1203.0.113.9"),
        ("domain", "evil.example", "GET EVIL.example/", "notevil.example"),
        ("domain", "evil.example", "www.evil.example", "evilxexample"),
        ("url", "https://evil.example/a?b=1", '"https://evil.example/a?b=1"', "https://evil.example/abb=1"),
        ("sha256", "ab" * 32, f"sha={'AB' * 32}", "ab" * 33),
    ],
)
def test_an_indicator_is_found_as_a_whole(kind: Any, value: str, found: str, not_found: str) -> None:
    """A longer address or name that holds it is something else; special characters are plain ones."""
    query = mention_of(Indicator(kind=kind, value=value))
    pattern = re.search(r"like /\(\?i\)(.*)/ \| sort", query)
    assert pattern is not None
    assert re.search(r"(?<!\\)/", pattern[1]) is None  # nothing ends the pattern early
    assert re.search(pattern[1], found, re.IGNORECASE)
    assert not re.search(pattern[1], not_found, re.IGNORECASE)


def test_a_value_cannot_leave_its_pattern() -> None:
    """A slash, a pipe or a line's end in a value begins nothing new."""
    hostile = mention_of(Indicator(kind="url", value="https://x/ | stats count(*) by 'a' #"))
    assert r"https\:\/\/x\/ \| stats count\(\*\) by \'a\' \#/ | sort" in hostile
    with pytest.raises(Invalid):
        mention_of(Indicator(kind="url", value="https://x\n| limit 1"))
    with pytest.raises(Unsupported):
        mention_of(Indicator(kind="cidr", value="203.0.113.0/24"))


async def test_findings_are_listed_and_then_read_fifty_at_a_time() -> None:
    """Only those that are not archived, of at least the severity, and updated since."""
    ids = [f"f{n}" for n in range(60)]
    finding = {
        "arn": "arn:f", "type": "Recon", "title": "T", "severity": 7.5, "updatedAt": "2026-03-02T09:00:00.000Z",
        "service": {"archived": False}, "resource": {"accessKeyDetails": {"userName": "mei"}},
    }  # fmt: skip
    aws = Aws(
        {
            "GET /detector": {"detectorIds": [DETECTOR]},
            f"POST /detector/{DETECTOR}/findings": [
                {"findingIds": ids[:50], "nextToken": "n"},
                {"findingIds": ids[50:], "nextToken": ""},
            ],
            f"POST /detector/{DETECTOR}/findings/get": {"findings": [finding]},
        }
    )
    alerts = await connector(aws).list_detections(since_s=3600, severity="high")
    assert [(each.severity, each.user_name, each.host_id) for each in alerts] == [("high", "mei", None)] * 2
    criterion = aws.sent[1][1]["findingCriteria"]["criterion"]
    assert criterion["severity"] == {"greaterThanOrEqual": 7}
    assert criterion["service.archived"] == {"equals": ["false"]}
    assert abs(criterion["updatedAt"]["greaterThanOrEqual"] / 1000 + 3600 - time.time()) < 5
    assert [len(body["findingIds"]) for asked, body in aws.sent if asked.endswith("/get")] == [50, 10]


async def test_security_hub_is_asked_for_what_guardduty_does_not_tell() -> None:
    """With both, findings of GuardDuty are left out there; labels stand for severities."""
    finding = {
        "Id": "arn:h", "Title": "T", "Severity": {"Label": "INFORMATIONAL"}, "UpdatedAt": "2026-03-02T09:00:00Z",
        "Resources": [{"Type": "AwsEc2Instance", "Id": "arn:aws:ec2:eu-west-1:1:instance/i-1"}],
    }  # fmt: skip
    aws = Aws({"GET /detector": {"detectorIds": []}, "POST /findings": {"Findings": [finding]}})
    (alert,) = await connector(aws, detections=["guardduty", "securityhub"]).list_detections(severity="high")
    assert (alert.severity, alert.host_id, alert.status) == ("low", "i-1", None)
    (filters,) = [body["Filters"] for asked, body in aws.sent if asked == "POST /findings"]
    assert filters["ProductName"] == [{"Value": "GuardDuty", "Comparison": "NOT_EQUALS"}]
    assert [each["Value"] for each in filters["SeverityLabel"]] == ["HIGH", "CRITICAL"]


async def test_security_hub_that_is_not_enabled_is_no_empty_list() -> None:
    """It says so with the status of wrong credentials, and its code tells them apart."""
    aws = Aws({"POST /findings": refusal(401, "InvalidAccessException")})
    with pytest.raises(Forbidden):
        await connector(aws, detections=["securityhub"]).list_detections()


async def test_a_detectors_id_is_no_path() -> None:
    """What would lead elsewhere is not followed."""
    with pytest.raises(Invalid):
        await connector(Aws({"GET /detector": {"detectorIds": ["../x"]}})).list_detections()
