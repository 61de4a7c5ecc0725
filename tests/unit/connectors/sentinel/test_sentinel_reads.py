"""Searches and incidents: what is asked, with which token, and what an answer is worth."""

import json
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Indicator
from hikeshi.connector import Applied, Forbidden, Invalid, RateLimited, Timeout, Unauthorized
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.sentinel import Sentinel

TENANT = "11111111-2222-4333-8444-555555555555"
SETTINGS = {
    "tenant_id": TENANT,
    "client_id": "app",
    "workspace_id": "22222222-3333-4444-8555-666666666666",
    "subscription_id": "33333333-4444-4555-8666-777777777777",
    "resource_group": "rg-security",
    "workspace": "law-sentinel",
}
TOKEN = f"/{TENANT}/oauth2/v2.0/token"
QUERY = f"/v1/workspaces/{SETTINGS['workspace_id']}/query"
INCIDENTS = (
    f"/subscriptions/{SETTINGS['subscription_id']}/resourceGroups/rg-security/providers/Microsoft.OperationalInsights"
    "/workspaces/law-sentinel/providers/Microsoft.SecurityInsights/incidents"
)
AT = "2026-01-02T10:00:00.1234567Z"


class FakeAzure:
    """Answers in the order they were laid out for a path; the last one stays. A token is named after its scope."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response]] = defaultdict(list)

    def on(self, path: str, *answers: httpx.Response) -> None:
        self._answers[path] = list(answers)

    def rows(self, columns: list[str], *rows: list[Any], **more: Any) -> None:
        table = {"name": "PrimaryResult", "columns": [{"name": each} for each in columns], "rows": list(rows)}
        self.on(QUERY, httpx.Response(200, json={"tables": [table], **more}))

    def asked(self, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if each.url.path == path]

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.asked(QUERY)[-1].content)
        return body

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path == TOKEN and TOKEN not in self._answers:
            scope = parse_qs(request.content.decode())["scope"][0]
            return httpx.Response(200, json={"access_token": f"token-for {scope}", "expires_in": 3599})
        answers = self._answers[request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def azure() -> FakeAzure:
    return FakeAzure()


@pytest.fixture
def make(azure: FakeAzure) -> Any:
    def make(**more: Any) -> Sentinel:
        given = {**SETTINGS, "client_secret": Secret.of_value("an-invented-secret"), **more}
        built = build(Sentinel, "sentinel", given, Redactor(), transport=httpx.MockTransport(azure))
        assert isinstance(built, Sentinel)
        return built

    return make


@pytest.fixture
def sentinel(make: Any) -> Sentinel:
    return make()


async def test_a_query_is_sent_with_its_span_and_its_limit(azure, sentinel):
    """The author's own KQL, then the order and the limit on lines of their own."""
    azure.rows(["TimeGenerated"])
    assert await sentinel.search_logs("let x = 1;\nSyslog // all;\n", 60, 5) == []
    assert azure.body() == {
        "query": "let x = 1;\nSyslog // all\n"
        "| order by column_ifexists('TimeGenerated', datetime(null)) desc\n| take 5",
        "timespan": "PT60S",
    }
    (request,) = azure.asked(QUERY)
    assert request.url.host == "api.loganalytics.azure.com"
    assert request.headers["prefer"] == "wait=30"


async def test_a_row_becomes_an_entry(azure, sentinel):
    """Every column that is not empty is a field, as text; the one for people is the entry's text."""
    columns = ["TimeGenerated", "Computer", "SyslogMessage", "Port", "Ok", "More", "Nothing", "Empty"]
    azure.rows(columns, [AT, "pc-7", "failed login", 22, True, {"a": [1]}, None, ""])
    (entry,) = await sentinel.search_logs("Syslog")
    assert entry.text == "failed login"
    assert entry.at is not None
    assert (entry.at.isoformat(), entry.connector) == ("2026-01-02T10:00:00.123456+00:00", "sentinel")
    assert entry.fields == {
        "TimeGenerated": AT,
        "Computer": "pc-7",
        "SyslogMessage": "failed login",
        "Port": "22",
        "Ok": "true",
        "More": '{"a": [1]}',
    }


async def test_an_aggregation_has_no_time(azure, sentinel):
    """Its columns are its text."""
    azure.rows(["Category", "count_"], ["Alert", 64])
    (entry,) = await sentinel.search_logs("AzureActivity | summarize count() by Category")
    assert (entry.at, entry.text) == (None, "Category=Alert count_=64")


async def test_half_of_the_evidence_is_an_error(azure, sentinel):
    """A 200 with rows and PartialError is not given as a result."""
    details = [{"code": "EngineError", "message": "out of memory"}]
    azure.rows(["Computer"], ["pc-7"], error={"code": "PartialError", "message": "some errors", "details": details})
    with pytest.raises(Invalid, match=r"only in part: PartialError: some errors; out of memory"):
        await sentinel.search_logs("Syslog")


@pytest.mark.parametrize("body", [{}, {"tables": []}, {"tables": [{}]}, {"tables": None}, [], {"tables": ["x"]}])
async def test_an_answer_of_another_shape_is_no_empty_result(azure, sentinel, body):
    """What holds no result is an error."""
    azure.on(QUERY, httpx.Response(200, json=body))
    with pytest.raises(Invalid):
        await sentinel.search_logs("Syslog")


@pytest.mark.parametrize(("query", "limit"), [("", 5), (" ; ", 5), ("Syslog", 0), ("Syslog", 500_001)])
async def test_what_cannot_be_asked_is_refused(azure, sentinel, query, limit):
    """No query, or no sensible limit."""
    with pytest.raises(Invalid):
        await sentinel.search_logs(query, 60, limit)
    assert azure.requests == []


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("203.0.113.9", "'203.0.113.9'"),
        ("https://evil.example/a?b='c'", "'https://evil.example/a?b=\\'c\\''"),
        ("a\\' | union Secrets", "'a\\\\\\' | union Secrets'"),
    ],
)
async def test_an_indicator_stays_a_literal(azure, make, value, literal):
    """Quotes and backslashes are escaped; tables narrow the search."""
    azure.rows([])
    await make(search_tables=("Syslog", "SigninLogs")).search_logs_for(Indicator(kind="url", value=value))
    assert azure.body()["query"].partition("\n")[0] == f"search in (Syslog, SigninLogs) {literal}"


@pytest.mark.parametrize("value", ["*", "evil*", "a\nb", "a\x00"])
async def test_an_indicator_that_would_mean_more_is_refused(azure, sentinel, value):
    """A star stands for anything, and a literal has one line."""
    with pytest.raises(Invalid):
        await sentinel.search_logs_for(Indicator(kind="url", value=value))
    assert azure.requests == []


def incident(number: int, **more: Any) -> dict[str, Any]:
    properties = {
        "title": f"Bad {number}",
        "severity": "High",
        "status": "New",
        "createdTimeUtc": f"2026-01-0{number}T10:00:00Z",
    }
    return {"name": f"id-{number}", "properties": {**properties, **more}}


async def test_incidents_are_listed_to_the_last_page(azure, sentinel):
    """With the token of Resource Manager, along its links, newest first."""
    link = f"https://management.azure.com{INCIDENTS}?api-version=2024-03-01&$skipToken=two"
    first = {"value": [incident(1, additionalData={"techniques": ["T1486"]})], "nextLink": link}
    second = {"value": [incident(2, severity="Informational")]}
    azure.on(INCIDENTS, httpx.Response(200, json=first), httpx.Response(200, json=second))
    newer, older = await sentinel.list_detections(60, "medium")
    assert (newer.id, newer.severity, newer.technique) == ("id-2", "low", None)
    assert (older.title, older.severity, older.technique) == ("Bad 1", "high", "T1486")
    params = azure.asked(INCIDENTS)[0].url.params
    assert (params["api-version"], params["$top"]) == ("2024-03-01", "1000")
    assert params["$filter"].startswith("properties/createdTimeUtc ge 20")
    assert params["$filter"].endswith(" and (properties/severity eq 'Medium' or properties/severity eq 'High')")


async def test_nothing_at_sentinel_is_critical(azure, sentinel):
    """Its highest severity is high, so there is nothing to ask."""
    assert await sentinel.list_detections(60, "critical") == []
    assert azure.requests == []


async def test_each_service_gets_its_own_token(azure, sentinel):
    """One for the logs, one for the incidents, each fetched once."""
    azure.rows([])
    azure.on(INCIDENTS, httpx.Response(200, json={"value": []}))
    for _ in range(2):
        await sentinel.search_logs("Syslog")
        await sentinel.list_detections()
    assert len(azure.asked(TOKEN)) == 2
    scopes = {path: azure.asked(path)[0].headers["authorization"] for path in (QUERY, INCIDENTS)}
    assert scopes == {
        QUERY: "Bearer token-for https://api.loganalytics.io/.default",
        INCIDENTS: "Bearer token-for https://management.azure.com/.default",
    }


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (
            httpx.Response(
                400,
                json={
                    "error": {
                        "code": "BadArgumentError",
                        "message": "wrong",
                        "innererror": {"code": "SyntaxError", "innererror": {"message": "at 'wher'"}},
                    }
                },
            ),
            Invalid,
            "BadArgumentError: wrong; at 'wher'",
        ),
        (httpx.Response(403, json={"error": {"code": "InsufficientAccessError"}}), Forbidden, "role on the workspace"),
        (httpx.Response(404, json={"error": {"code": "PathNotFoundError"}}), Invalid, "check workspace_id"),
        (httpx.Response(504, text="timeout"), Timeout, "504"),
        (httpx.Response(200, html="<html>Sign in</html>"), Invalid, "not Microsoft's"),
    ],
)
async def test_each_refusal_has_its_class(azure, sentinel, answer, kind, text):
    """With the reason from the inner errors; a read applied nothing."""
    azure.on(QUERY, answer)
    with pytest.raises(kind, match=text) as caught:
        await sentinel.search_logs("Syslog")
    assert type(caught.value) is kind
    assert caught.value.applied is Applied.NO


async def test_a_throttled_query_says_how_long(azure, sentinel):
    """The service's own hint."""
    azure.on(QUERY, httpx.Response(429, json={"error": {"code": "ThrottledError"}}, headers={"Retry-After": "22"}))
    with pytest.raises(RateLimited) as caught:
        await sentinel.search_logs("Syslog")
    assert caught.value.retry_after_s == 22


async def test_a_refused_sign_in_is_unauthorized(azure, sentinel):
    """By the number of its reason, without the secret."""
    azure.on(TOKEN, httpx.Response(401, json={"error": "invalid_client", "error_codes": [7000215]}))
    with pytest.raises(Unauthorized, match="AADSTS7000215") as caught:
        await sentinel.search_logs("Syslog")
    assert "an-invented-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workspace_id": "law-sentinel"},
        {"subscription_id": "x/../y"},
        {"resource_group": "a/b"},
        {"resource_group": "ends."},
        {"workspace": "../x"},
        {"search_tables": ("Syslog) 'x' //",)},
    ],
)
def test_settings_that_could_be_more_than_names_are_refused(make, wrong):
    """They become parts of addresses and of queries."""
    with pytest.raises((ValidationError, ValueError)):
        make(**wrong)
