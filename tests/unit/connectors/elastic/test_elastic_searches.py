"""Elasticsearch and OpenSearch: what is sent, and what an answer is worth."""

import json
from collections import defaultdict
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Indicator
from hikeshi.connector import Applied, Forbidden, Invalid, RateLimited, Unauthorized, Unavailable, Unsupported
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.elastic import Elastic

URL = "https://elastic.example:9200"
PIT = "/logs-*/_pit"
OPEN = "/logs-*/_search/point_in_time"
ALERTS = "/_plugins/_security_analytics/alerts"
AT = "2026-01-02T10:00:00.123456789Z"
BASIC = {"flavor": "opensearch", "username": "ana", "password": Secret.of_value("pw")}


def hit(number: int, **source: Any) -> dict[str, Any]:
    return {"_index": "logs-x", "_id": str(number), "sort": [AT, number], "_source": {"@timestamp": AT, **source}}


def page(*hits: dict[str, Any], **more: Any) -> httpx.Response:
    answer = {"timed_out": False, "_shards": {"total": 1, "failed": 0}, "hits": {"hits": list(hits)}, **more}
    return httpx.Response(200, json=answer)


class FakeCluster:
    """Answers in the order they were laid out for a path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response]] = defaultdict(list)
        self.on(PIT, httpx.Response(200, json={"id": "pit-1"}))
        self.on(OPEN, httpx.Response(200, json={"pit_id": "pit-1"}))

    def on(self, path: str, *answers: httpx.Response) -> None:
        self._answers[path] = list(answers)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(each.content) for each in self.requests if each.url.path == "/_search"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def make(fake: FakeCluster) -> Any:
    def make(**given: Any) -> Elastic:
        settings = {
            "base_url": URL,
            **(given if "username" in given else {"api_key": Secret.of_value("a-key"), **given}),
        }
        built = build(Elastic, "elastic", settings, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(built, Elastic)
        return built

    return make


async def test_a_search_looks_at_one_point_in_time(fake, make):
    """The query string, the time, the newest first; a whole result or none."""
    fake.on("/_search", page(hit(1, message="a line", host={"name": "pc-7"}, port=22, none=None)))
    (entry,) = await make().search_logs("host.name:pc-7", 60, 5)
    opened, searched = fake.requests
    assert (opened.method, str(opened.url)) == ("POST", f"{URL}/logs-*/_pit?keep_alive=1m")
    assert (searched.method, str(searched.url)) == ("POST", f"{URL}/_search?allow_partial_search_results=false")
    assert {each.headers["authorization"] for each in fake.requests} == {"ApiKey a-key"}
    assert fake.bodies() == [
        {
            "query": {
                "bool": {
                    "filter": [
                        {"query_string": {"query": "host.name:pc-7"}},
                        {"range": {"@timestamp": {"gte": "now-60s", "lte": "now"}}},
                    ]
                }
            },
            "sort": [
                {
                    "@timestamp": {
                        "order": "desc",
                        "format": "strict_date_optional_time_nanos",
                        "numeric_type": "date_nanos",
                        "unmapped_type": "date",
                    }
                }
            ],
            "track_total_hits": False,
            "size": 5,
            "pit": {"id": "pit-1", "keep_alive": "1m"},
        }
    ]
    assert entry.at is not None
    assert (entry.at.isoformat(), entry.text) == ("2026-01-02T10:00:00.123456+00:00", "a line")
    assert entry.fields == {
        "_index": "logs-x",
        "_id": "1",
        "@timestamp": AT,
        "message": "a line",
        "host.name": "pc-7",
        "port": "22",
    }


async def test_opensearch_has_its_own_way_to_the_same(fake, make):
    """Its point in time has to be whole, too, and ties are broken by what is sorted by."""
    fake.on("/_search", page(hit(1, user="ana")))
    (entry,) = await make(**BASIC).search_logs("x")
    url = f"{URL}/logs-*/_search/point_in_time?keep_alive=1m&allow_partial_pit_creation=false"
    assert str(fake.requests[0].url) == url
    assert fake.requests[0].headers["authorization"] == "Basic YW5hOnB3"
    assert fake.bodies()[0]["sort"][1:] == [{"_id": "asc"}, {"_index": "asc"}]
    assert entry.text == "user=ana"


async def test_pages_go_on_after_the_last_hit(fake, make):
    """With the newest name of the point in time, until there are enough."""
    first = page(*(hit(n) for n in range(1000)), pit_id="pit-2")
    fake.on("/_search", first, page(*(hit(n) for n in range(1000, 1200))))
    found = await make().search_logs("x", limit=1200)
    assert [each.fields["_id"] for each in found] == [str(n) for n in range(1200)]
    _, second = fake.bodies()
    assert (second["size"], second["search_after"], second["pit"]["id"]) == (200, [AT, 999], "pit-2")


@pytest.mark.parametrize("flavor", [{}, BASIC])
@pytest.mark.parametrize("value", ["203.0.113.9", '" OR *:* OR "', "a\\", "evil*", "x:y AND z"])
async def test_an_indicator_is_never_syntax(fake, make, flavor, value):
    """It is a phrase, as a value of JSON."""
    fake.on("/_search", page())
    await make(search_fields=("message", "*.ip"), **flavor).search_logs_for(Indicator(kind="url", value=value))
    phrase = {"query": value, "type": "phrase", "lenient": True, "fields": ["message", "*.ip"]}
    assert fake.bodies()[0]["query"]["bool"]["filter"][0] == {"multi_match": phrase}


@pytest.mark.parametrize(
    "more",
    [
        {"timed_out": True},
        {"terminated_early": True},
        {"_shards": {"total": 5, "failed": 1, "failures": [{"reason": {"type": "x", "reason": "the node left"}}]}},
        {"_clusters": {"total": 2, "successful": 1, "skipped": 1}},
        {"_clusters": {"total": 2, "successful": 1, "partial": 1}},
    ],
)
async def test_half_of_the_evidence_is_an_error(fake, make, more):
    """Although its status is 200 and it has hits."""
    fake.on("/_search", page(hit(1), **more))
    with pytest.raises(Invalid, match="only in part"):
        await make().search_logs("x")


async def test_a_point_in_time_without_a_shard_is_an_error(fake, make):
    """What is not in it can not be found."""
    fake.on(PIT, httpx.Response(200, json={"id": "pit-1", "_shards": {"total": 5, "failed": 2}}))
    with pytest.raises(Invalid, match="2 of 5 shards failed"):
        await make().search_logs("x")


@pytest.mark.parametrize("body", [{}, [], {"hits": {}}, {"hits": {"hits": [{}]}}, {"hits": {"hits": None}}])
async def test_an_answer_of_another_shape_is_no_empty_result(fake, make, body):
    """What holds no hits is an error."""
    fake.on("/_search", httpx.Response(200, json=body))
    with pytest.raises(Invalid):
        await make().search_logs("x")


@pytest.mark.parametrize(("query", "limit"), [("", 5), (" ", 5), ("x", 0), ("x", 100_001)])
async def test_what_cannot_be_asked_is_refused(fake, make, query, limit):
    """No query, or no sensible limit."""
    with pytest.raises(Invalid):
        await make().search_logs(query, 60, limit)
    assert fake.requests == []


@pytest.mark.parametrize("value", ["", " ", "a\nb", "a\x00"])
async def test_what_is_no_indicator_is_refused(fake, make, value):
    """Empty, or with control characters."""
    with pytest.raises(Invalid):
        await make().search_logs_for(Indicator(kind="url", value=value))
    assert fake.requests == []


def alert(**more: list[Any]) -> dict[str, Any]:
    fields = {"kibana.alert.rule.name": ["Beacon"], "kibana.alert.severity": ["high"], **more}
    return {"_id": "doc", "sort": [AT, 1], "fields": fields}


async def test_alerts_of_elastic_security_are_detections(fake, make):
    """Asked for by their fields, without building blocks; the severity is a filter."""
    fake.on("/.alerts-security.alerts-soc/_pit", httpx.Response(200, json={"id": "pit-1"}))
    more = {
        "kibana.alert.uuid": ["u-1"],
        "kibana.alert.workflow_status": ["open"],
        "kibana.alert.rule.threat.technique.id": ["T1071", "T2"],
        "host.id": ["h"],
        "host.name": ["pc-7"],
        "user.name": ["ana"],
        "process.hash.sha256": ["ab" * 32],
    }
    fake.on("/_search", page(alert(**more), alert()))
    first, second = await make(alerts_index=".alerts-security.alerts-soc").list_detections(60, "high")
    assert (first.id, first.title, first.severity, first.status) == ("u-1", "Beacon", "high", "open")
    assert (first.host_id, first.host_name, first.user_name, first.technique) == ("h", "pc-7", "ana", "T1071")
    assert (first.sha256, second.id, second.host_name) == ("ab" * 32, "doc", None)
    (body,) = fake.bodies()
    assert body["_source"] is False
    assert "host.name" in body["fields"]
    assert body["query"]["bool"]["filter"] == [
        {"bool": {"must_not": [{"exists": {"field": "kibana.alert.building_block_type"}}]}},
        {"terms": {"kibana.alert.severity": ["high", "critical"]}},
        {"range": {"@timestamp": {"gte": "now-60s", "lte": "now"}}},
    ]


async def test_alerts_of_security_analytics_are_read_to_the_last(fake, make):
    """For each type of detector; one that comes twice counts once, one without a severity is not lost."""

    def raised(key: str, severity: str | None, at: str = "2999-01-01T00:00:00Z") -> dict[str, Any]:
        return {"id": key, "trigger_name": "T", "severity": severity, "start_time": at, "state": "ACTIVE"}

    pages = [[raised("a", "1"), raised("b", None)], [raised("b", None), raised("c", "2", "2000-01-01T00:00:00Z")]]
    fake.on(ALERTS, *(httpx.Response(200, json={"alerts": each, "total_alerts": 4}) for each in pages))
    found = await make(**BASIC, detector_types=("windows",)).list_detections(60, "medium")
    assert {each.id: (each.severity, each.status) for each in found} == {
        "a": ("critical", "active"),
        "b": ("medium", "active"),
    }
    assert dict(fake.requests[1].url.params) == {
        "detectorType": "windows",
        "size": "500",
        "sortString": "start_time",
        "sortOrder": "desc",
        "startIndex": "2",
    }


async def test_opensearch_has_to_be_told_which_detectors(fake, make):
    """It lists alerts by their detectors' type only."""
    with pytest.raises(Unsupported, match="detector_types"):
        await make(**BASIC).list_detections()
    assert fake.requests == []


def refused(status: int, reason: str = "why", **more: Any) -> httpx.Response:
    error = {"type": "an_exception", "reason": reason, "root_cause": [{"type": "inner", "reason": "the cause"}]}
    return httpx.Response(status, json={"error": error, "status": status}, **more)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (refused(400), Invalid, "an_exception: why; inner: the cause"),
        (refused(401), Unauthorized, "why"),
        (refused(403), Forbidden, "why"),
        (refused(404), Invalid, "check indices"),
        (refused(429), RateLimited, "why"),
        (refused(503), Unavailable, "why"),
        (httpx.Response(400, json={"error": "no handler found"}), Invalid, "no handler found"),
        (httpx.Response(200, html="<html/>"), Invalid, "not Elasticsearch's"),
    ],
)
async def test_each_refusal_has_its_class(fake, make, answer, kind, text):
    """With the reason and its cause; a search applied nothing."""
    fake.on("/_search", answer)
    with pytest.raises(kind, match=text) as caught:
        await make().search_logs("x")
    assert type(caught.value) is kind
    assert caught.value.applied is Applied.NO


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key": None},
        {"username": "ana"},
        {**BASIC, "api_key": Secret.of_value("k")},
        {"flavor": "opensearch"},
        {"indices": ()},
        {"indices": ("..",)},
        {"indices": ("a/_delete_by_query",)},
        {"indices": ("a,b",)},
        {"alerts_index": "a?b"},
        {"detector_types": ("windows&x=y",)},
    ],
)
def test_settings_that_could_be_more_than_they_seem_are_refused(make, wrong):
    """One way to sign in, and names that are only names."""
    with pytest.raises((ValidationError, ValueError)):
        make(**wrong)
