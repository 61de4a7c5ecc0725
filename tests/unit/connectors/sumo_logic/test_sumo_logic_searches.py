"""Sumo Logic: what is sent, with which cookies, and what an answer is worth."""

import json
import re
from collections import defaultdict
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Indicator
from hikeshi.connector import Applied, Forbidden, Invalid, RateLimited, Timeout, Unauthorized, Unavailable
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.sumo_logic import SumoLogic
from hikeshi_connectors.sumo_logic.cookie_jar import CookieJar

URL = "https://api.eu.sumologic.com/api"
JOBS = "/api/v1/search/jobs"
JOB = f"{JOBS}/3758"
INSIGHTS = "/api/sec/v1/insights"
KEY = "an-invented-access-key"
COOKIES = [
    ("set-cookie", "AWSALB=first-balancer; Expires=Sun, 06 Dec 2026 10:00:00 GMT; Path=/"),
    ("set-cookie", "JSESSIONID=node-of-a-session; Path=/api; Secure; HttpOnly"),
]
BOTH = "AWSALB=first-balancer; JSESSIONID=node-of-a-session"
MESSAGE = {"_raw": "a line", "_messagetime": "1359407350333", "_sourcehost": "pc-7", "empty": ""}


class FakeSumo:
    """Answers in the order they were laid out for a path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response]] = defaultdict(list)

    def on(self, path: str, *answers: httpx.Response) -> None:
        self._answers[path] = list(answers)

    def done(self, messages: int = 0, records: int = 0, **more: Any) -> None:
        self.on(JOBS, httpx.Response(202, json={"id": "3758"}, headers=COOKIES))
        state = {"state": "DONE GATHERING RESULTS", "messageCount": messages, "recordCount": records, **more}
        self.on(JOB, httpx.Response(200, json=state))

    def gives(self, kind: str, *pages: list[dict[str, str]]) -> None:
        answers = [httpx.Response(200, json={"fields": [], kind: [{"map": row} for row in page]}) for page in pages]
        self.on(f"{JOB}/{kind}", *answers)

    def answer_of(self, path: str) -> httpx.Response:
        return self._answers[path][-1]

    def asked(self, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if each.url.path == path]

    def query(self) -> str:
        return str(json.loads(self.asked(JOBS)[-1].content)["query"])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeSumo:
    return FakeSumo()


@pytest.fixture
def make(fake: FakeSumo) -> Any:
    def make(**more: Any) -> SumoLogic:
        given = {"base_url": URL, "access_id": "suID", "access_key": Secret.of_value(KEY), "requests_per_minute": 9999}
        built = build(SumoLogic, "sumo", {**given, **more}, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(built, SumoLogic)
        return built

    return make


async def test_a_search_is_a_job_that_is_found_again_by_its_cookies(fake, make):
    """It is made, asked after until it is done, and read; the creation itself has no cookies."""
    fake.done(messages=1)
    going = {"state": "GATHERING RESULTS", "messageCount": 0, "recordCount": 0, "pendingErrors": []}
    fake.on(JOB, httpx.Response(200, json=going), fake.answer_of(JOB))
    fake.gives("messages", [MESSAGE])
    (entry,) = await make().search_logs("error", 60, 5)
    assert [(each.method, each.url.path, each.headers.get("cookie")) for each in fake.requests] == [
        ("POST", JOBS, None),
        ("GET", JOB, BOTH),
        ("GET", JOB, BOTH),
        ("GET", f"{JOB}/messages", BOTH),
    ]
    body = json.loads(fake.requests[0].content)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", body.pop("from"))
    assert body.pop("to").startswith("2")
    assert body == {"query": "error", "timeZone": "UTC"}
    assert dict(fake.requests[-1].url.params) == {"offset": "0", "limit": "1"}
    assert entry.at is not None
    assert (entry.at.isoformat(), entry.text) == ("2013-01-28T21:09:10.333000+00:00", "a line")
    assert entry.fields == {"_messagetime": "1359407350333", "_sourcehost": "pc-7"}


async def test_each_search_has_cookies_of_its_own(fake, make):
    """Those of one never go with another."""
    sumo = make()
    fake.done()
    fake.gives("messages", [])
    await sumo.search_logs("a")
    fake.done()
    await sumo.search_logs("b")
    assert [each.headers.get("cookie") for each in fake.asked(JOBS)] == [None, None]


def test_the_latest_value_of_a_cookie_counts():
    """Several headers come as one, and dates have commas, too; what is no cookie is left out."""
    jar = CookieJar(Redactor())
    jar.take({"set-cookie": "A=1; Expires=Sun, 06 Dec 2026 10:00:00 GMT, B=2; Path=/, no cookie, C=a b"})
    jar.take({"set-cookie": "A=3; Path=/"})
    jar.take({})
    assert jar.headers() == {"cookie": "A=3; B=2"}


async def test_keys_and_cookies_are_masked(fake, make):
    """Nothing that is shown holds them, and the redactor knows each."""
    fake.done()
    sumo = make()
    fake.on(JOB, httpx.Response(500, json={"code": "internal.error", "message": f"{KEY} of first-balancer"}))
    with pytest.raises(Unavailable) as told:
        await sumo.search_logs("error")
    assert not sumo.redactor.holds(str(told.value))
    shown = repr(sumo.settings) + repr(sumo) + repr(sumo.http) + sumo.settings.model_dump_json()
    for secret in (KEY, "first-balancer", "node-of-a-session", "c3VJRDphbi1pbnZlbnRlZC1hY2Nlc3Mta2V5"):
        assert secret not in shown
        assert secret not in sumo.redactor.text(f"x {secret} y")
        assert all(secret not in str(each.url) for each in fake.requests)


async def test_records_are_the_result_of_an_aggregation(fake, make):
    """Not the messages that they were made of."""
    fake.done(messages=90, records=2)
    fake.gives("records", [{"_count": "90", "user": "ana"}, {"_timeslice": "1359407350000", "_count": "1"}])
    first, second = await make().search_logs("error | count by user")
    assert (first.at, first.text) == (None, "_count=90 user=ana")
    assert second.at is not None


async def test_an_aggregation_without_records_has_no_result(fake, make):
    """Although it has messages."""
    fake.done(messages=90)
    fake.gives("records", [])
    assert await make().search_logs("error | count by user | where _count > 100") == []
    assert fake.asked(f"{JOB}/messages") == []


async def test_a_pipe_alone_makes_no_aggregation(fake, make):
    """Sumo Logic says so when records are asked for."""
    fake.done(messages=1)
    code = "searchjob.no.records.not.an.aggregation.query"
    fake.on(f"{JOB}/records", httpx.Response(400, json={"status": 400, "code": code, "message": "No records"}))
    fake.gives("messages", [MESSAGE])
    assert len(await make().search_logs('error | parse "a*" as b')) == 1


async def test_as_many_pages_are_read_as_it_takes(fake, make):
    """Pages are smaller than was asked for when messages are long."""
    fake.done(messages=3)
    fake.gives("messages", [MESSAGE, MESSAGE], [MESSAGE])
    assert len(await make().search_logs("x")) == 3
    assert [each.url.params["offset"] for each in fake.asked(f"{JOB}/messages")] == ["0", "2"]


async def test_rows_that_do_not_come_are_an_error(fake, make):
    """The job counted more than it gives."""
    fake.done(messages=3)
    fake.gives("messages", [MESSAGE], [])
    with pytest.raises(Invalid, match="1 of 3 messages"):
        await make().search_logs("x")


@pytest.mark.parametrize(
    ("more", "kind", "text"),
    [
        ({"state": "CANCELLED"}, Unavailable, "ended as CANCELLED"),
        ({"state": "SOMETHING NEW"}, Unavailable, "SOMETHING NEW"),
        ({"state": "FORCE PAUSED"}, Invalid, "paused after 1 messages"),
        ({"pendingErrors": ["a node is gone"]}, Invalid, "a node is gone"),
        ({"messageCount": None}, Invalid, "unexpected form"),
    ],
)
async def test_half_of_the_evidence_is_an_error(fake, make, more, kind, text):
    """Whatever says that the search has not seen everything."""
    fake.done(**{"messages": 1, **more})
    with pytest.raises(kind, match=text):
        await make().search_logs("x", limit=5)


async def test_a_paused_search_with_enough_messages_is_whole(fake, make):
    """The newest come first."""
    fake.done(messages=9, state="FORCE PAUSED")
    fake.gives("messages", [MESSAGE, MESSAGE])
    assert len(await make().search_logs("x", limit=2)) == 2


async def test_a_search_that_is_not_done_in_time_is_a_timeout(fake, make):
    """It ends by itself later."""
    fake.done(state="NOT STARTED")
    with pytest.raises(Timeout, match="not finished"):
        await make(search_within_s=0.1).search_logs("x")


@pytest.mark.parametrize(
    "query",
    ["x | save path://y", "x | SAVE append /shared/y", "x | count by y | /* z */ save y", 'x | parse "save" as y'],
)
async def test_a_query_that_could_write_is_never_sent(fake, make, query):
    """However it is written."""
    with pytest.raises(Invalid, match="lookup table"):
        await make().search_logs(query)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("203.0.113.9", '(_index=prod) AND "203.0.113.9"'),
        ('" OR "secret', '(_index=prod) AND "\\" OR \\"secret"'),
        ("a\\b | count", '(_index=prod) AND "a\\\\b | count"'),
    ],
)
async def test_an_indicator_stays_a_phrase(fake, make, value, query):
    """Quotes and backslashes are escaped; the scope narrows the search."""
    fake.done()
    fake.gives("messages", [])
    assert await make(scope="_index=prod").search_logs_for(Indicator(kind="url", value=value)) == []
    assert fake.query() == query


@pytest.mark.parametrize("value", ["", " ", "*", "evil*", "a\nb", "a\x00", "a\\", 'a\\"'])
async def test_an_indicator_that_would_mean_more_is_refused(fake, make, value):
    """A star stands for anything."""
    with pytest.raises(Invalid):
        await make().search_logs_for(Indicator(kind="url", value=value))
    assert fake.requests == []


@pytest.mark.parametrize(("query", "limit"), [("", 5), (" ", 5), ("x", 0), ("x", 100_001)])
async def test_what_cannot_be_asked_is_refused(fake, make, query, limit):
    """No query, or no sensible limit."""
    with pytest.raises(Invalid):
        await make().search_logs(query, 60, limit)
    assert fake.requests == []


def insight(key: str, severity: str = "HIGH", **more: Any) -> dict[str, Any]:
    return {"id": key, "name": "Beacon", "severity": severity, "created": "2999-01-01T10:00:00", **more}


async def test_insights_are_listed_to_the_last_page(fake, make):
    """One that comes twice counts once; too old and too mild ones do not."""
    more = {
        "readableId": "INSIGHT-1",
        "status": {"name": "new"},
        "entity": {"entityType": "_hostname", "name": "pc-7"},
        "tags": ["other", "_mitreAttackTechnique:T1071"],
    }
    pages = [
        {"objects": [insight("a", **more), insight("b", "LOW")], "hasNextPage": True},
        {"objects": [insight("a", **more), insight("c", created="2000-01-01T10:00:00+00:00")], "hasNextPage": False},
    ]
    fake.on(INSIGHTS, *(httpx.Response(200, json={"data": each}) for each in pages))
    (found,) = await make().list_detections(60, "high")
    assert (found.id, found.name, found.title, found.severity) == ("a", "INSIGHT-1", "Beacon", "high")
    assert (found.status, found.host_name, found.user_name, found.technique) == ("new", "pc-7", None, "T1071")
    params = dict(fake.requests[1].url.params)
    assert re.fullmatch(r"created:>20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", params.pop("q"))
    assert params == {"offset": "2", "limit": "50"}


def refused(status: int, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "code": "a.code", "message": "why"}, **more)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (refused(400), Invalid, "a.code: why"),
        (refused(401), Unauthorized, "why"),
        (refused(403), Forbidden, "why"),
        (refused(404), Invalid, "was cancelled"),
        (refused(429), RateLimited, "why"),
        (refused(503), Unavailable, "why"),
        (httpx.Response(301, headers={"location": "https://api.us2.sumologic.com"}), Invalid, "check the base address"),
        (httpx.Response(200, html="<html/>"), Invalid, "not Sumo Logic's"),
        (httpx.Response(202, json={"id": "../x"}), Invalid, "unexpected form"),
    ],
)
async def test_each_refusal_has_its_class(fake, make, answer, kind, text):
    """With the code and the message; a search applied nothing."""
    fake.on(JOBS, answer)
    with pytest.raises(kind, match=text) as caught:
        await make().search_logs("x")
    assert type(caught.value) is kind
    assert caught.value.applied is Applied.NO


@pytest.mark.parametrize("wrong", [{"access_id": "a:b"}, {"scope": "x | save y"}, {"scope": "x) OR (y"}])
def test_settings_that_could_be_more_than_they_seem_are_refused(make, wrong):
    """They become parts of a query or of a header."""
    with pytest.raises((ValidationError, ValueError)):
        make(**wrong)
