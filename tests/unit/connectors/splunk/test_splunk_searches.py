"""Splunk: what is sent, which searches are let through, and what an answer is worth."""

from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Indicator
from hikeshi.connector import Applied, ConnectorError, Forbidden, Invalid, RateLimited, Unauthorized, Unavailable
from hikeshi.connector.registry import build
from hikeshi.connector.route import SeenRequest
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.splunk import Splunk
from hikeshi_connectors.splunk.spl import refusal_of

URL = "https://splunk.example:8089"
JOBS = "/services/search/v2/jobs"
LOGIN = "/services/auth/login"
FIRED = "/services/alerts/fired_alerts/-"
EVENT = {"_raw": "a line", "_time": "2026-01-02T10:00:00.000+00:00", "user": ["ana", "bo"], "empty": ""}


class FakeSplunk:
    """Answers in the order they were laid out for a path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[httpx.Response]] = defaultdict(list)

    def on(self, path: str, *answers: httpx.Response) -> None:
        self._answers[path] = list(answers)

    def done(self, *rows: dict[str, Any], **content: Any) -> None:
        self.on(JOBS, httpx.Response(201, json={"sid": "17.3"}))
        state = {"dispatchState": "DONE", "resultCount": len(rows), "messages": [], **content}
        self.on(f"{JOBS}/17.3", httpx.Response(200, json={"entry": [{"content": state}]}))
        self.on(f"{JOBS}/17.3/results", httpx.Response(200, json={"preview": False, "results": list(rows)}))

    def answer_of(self, path: str) -> httpx.Response:
        return self._answers[path][-1]

    def asked(self, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if each.url.path == path]

    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.asked(JOBS)[-1].content.decode()).items()}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeSplunk:
    return FakeSplunk()


@pytest.fixture
def make(fake: FakeSplunk) -> Any:
    def make(**given: Any) -> Splunk:
        settings = {
            "base_url": URL,
            **(given if "username" in given else {"token": Secret.of_value("a-token"), **given}),
        }
        built = build(Splunk, "splunk", settings, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(built, Splunk)
        return built

    return make


async def test_a_search_is_a_job_that_ends_by_itself(fake, make):
    """It is made, asked after until it is done, and read; partial results are not wanted."""
    fake.done(EVENT)
    fake.on(f"{JOBS}/17.3", httpx.Response(204), fake.answer_of(f"{JOBS}/17.3"))
    (entry,) = await make().search_logs("index=main failed", 60, 5)
    assert fake.form() == {
        "search": "search index=main failed\n| head 5",
        "earliest_time": "-60s",
        "latest_time": "now",
        "exec_mode": "normal",
        "output_mode": "json",
        "max_count": "5",
        "adhoc_search_level": "verbose",
        "allow_partial_results": "false",
        "auto_cancel": "60",
        "timeout": "600",
    }
    assert [(each.method, each.url.path) for each in fake.requests] == [
        ("POST", JOBS),
        ("GET", f"{JOBS}/17.3"),
        ("GET", f"{JOBS}/17.3"),
        ("GET", f"{JOBS}/17.3/results"),
    ]
    assert dict(fake.requests[-1].url.params) == {"output_mode": "json", "offset": "0", "count": "1"}
    assert {each.headers["authorization"] for each in fake.requests} == {"Bearer a-token"}
    assert entry.at is not None
    assert (entry.at.isoformat(), entry.text) == ("2026-01-02T10:00:00+00:00", "a line")
    assert entry.fields == {"_time": EVENT["_time"], "user": "ana\nbo"}


@pytest.mark.parametrize("query", ["| tstats count", "search index=main", " SEARCH x"])
async def test_a_whole_search_is_left_as_it_is(fake, make, query):
    """Only what begins with neither a pipe nor a command gets one."""
    fake.done()
    assert await make().search_logs(query) == []
    assert fake.form()["search"] == f"{query.strip()}\n| head 1000"


async def test_statistics_keep_their_order(fake, make):
    """They have no time, and their fields are their text."""
    fake.done({"user": "bo", "count": "9"}, {"user": "ana", "count": "2"})
    found = await make().search_logs("x | stats count by user")
    assert [(each.at, each.text) for each in found] == [(None, "user=bo count=9"), (None, "user=ana count=2")]


async def test_as_many_pages_are_read_as_it_takes(fake, make):
    """The server gives fewer rows than were asked for."""
    fake.done(EVENT, EVENT, EVENT)
    pages = [httpx.Response(200, json={"results": [EVENT] * count}) for count in (2, 1)]
    fake.on(f"{JOBS}/17.3/results", *pages)
    assert len(await make().search_logs("x")) == 3
    assert [each.url.params["offset"] for each in fake.asked(f"{JOBS}/17.3/results")] == ["0", "2"]


async def test_rows_that_do_not_come_are_an_error(fake, make):
    """The job counted more than it gives."""
    fake.done(EVENT, resultCount=3)
    fake.on(f"{JOBS}/17.3/results", *(httpx.Response(200, json={"results": rows}) for rows in ([EVENT], [])))
    with pytest.raises(Invalid, match="1 of 3 rows"):
        await make().search_logs("x")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"dispatchState": "FAILED", "messages": [{"type": "FATAL", "text": "broken"}]}, Unavailable),
        ({"dispatchState": "INTERNAL_CANCEL"}, Unavailable),
        ({"messages": [{"type": "ERROR", "text": "idx-2 is gone"}]}, Unavailable),
        ({"isFailed": True}, Unavailable),
        ({"isFinalized": True}, Invalid),
        ({"resultCount": None}, Invalid),
    ],
)
async def test_half_of_the_evidence_is_an_error(fake, make, content, kind):
    """Whatever says that the search has not seen everything."""
    fake.done(EVENT, **content)
    with pytest.raises(kind):
        await make().search_logs("x")


async def test_warnings_and_an_early_end_with_enough_rows_are_none(fake, make):
    """`head` has what it wanted."""
    fake.done(EVENT, isFinalized=True, messages=[{"type": "WARN", "text": "slow"}])
    assert len(await make().search_logs("x", 60, 1)) == 1


async def test_a_search_that_is_not_done_in_time_is_a_timeout(fake, make):
    """It ends by itself later."""
    fake.on(JOBS, httpx.Response(201, json={"sid": "17.3"}))
    state = {"dispatchState": "QUEUED", "messages": []}
    fake.on(f"{JOBS}/17.3", httpx.Response(200, json={"entry": [{"content": state}]}))
    with pytest.raises(ConnectorError, match=r"not finished after 0\.1 s"):
        await make(search_within_s=0.1).search_logs("x")


READS = [
    "search index=main | stats count by user | sort - count",
    'search x | rex "(?<a>delete|b)" | where a!="c\\"d | e"',
    "search x [search y | fields user] | append [| inputlookup known.csv]",
    "| tstats count where index=* by host",
    "search ```a comment | head``` x | head 5",
    "search it's | eval 'a b'=1 | eval c='d'",
]
CHANGES = [
    "search x | delete",
    "search x |  OutputLookup a.csv",
    "| inputlookup a.csv | outputlookup b.csv",
    'search x | map search="search y | delete"',
    "search x [search y | collect index=z]",
    "search x [| sendemail to=a@b.example]",
    "search x | `macro`",
    "search `macro(1, 2)`",
    "search x | savedsearch everything",
    "search x | customcommand",
    "search x | | customcommand",
    "search x | rest /services/x",
    "search x | from savedsearch:y",
    # What one reading of quotes would hide.
    "search x | eval 'a\"b'=1 | customcommand | eval 'c\"d'=1",
    'search "\\\\" y " | customcommand | search z"\\\\""',
    'search \\" | customcommand \\"',
    "search \\| customcommand",
    'search "x | delete"',
    'search "```" | customcommand "```"',
    "search x | ```c``` delete",
    "search x | \u200bdelete",
    'search x | "customcommand"',
    "search x |",
    "search ```x",
    'search "open',
]


@pytest.mark.parametrize("query", READS)
def test_searches_that_read_are_let_through(query):
    """With subsearches, quoted pipes and comments."""
    assert refusal_of(query) is None


@pytest.mark.parametrize("query", CHANGES)
async def test_searches_that_could_change_something_are_never_sent(fake, make, query):
    """By the connector, and by its read routes as well."""
    splunk = make()
    with pytest.raises(Invalid, match="not run"):
        await splunk.search_logs(query)
    assert fake.requests == []
    form = httpx.Request("POST", URL, data={"search": query, "exec_mode": "normal"})
    seen = SeenRequest("POST", f"{URL}{JOBS}", dict(form.headers), form.content)
    assert not any(route.matches(seen, URL) for route in splunk.routes_of(splunk.settings))


def test_an_administrator_knows_more_commands_and_macros():
    """But none of those that are known to change something."""
    assert refusal_of("search `notable(1)` | mycommand | `notable` x", ("mycommand",), ("notable",)) is None
    assert refusal_of("search x | `notable` delete", (), ("notable",)) is not None
    assert refusal_of("search x | delete", ("delete",)) is not None
    assert refusal_of("search `a` | `b`", (), ("a",)) is not None


@pytest.mark.parametrize(
    ("value", "phrase"),
    [
        ("203.0.113.9", '"203.0.113.9"'),
        ('https://evil.example/a?b="c"', '"https://evil.example/a?b=\\"c\\""'),
        ("a\\b | stats", '"a\\\\b | stats"'),
        ('" OR index=secret OR "', '"\\" OR index=secret OR \\""'),
    ],
)
async def test_an_indicator_stays_a_phrase(fake, make, value, phrase):
    """Quotes and backslashes are escaped; the indexes narrow the search."""
    fake.done()
    await make(indexes=("fw", "win-*")).search_logs_for(Indicator(kind="url", value=value), 60, 5)
    assert fake.form()["search"] == f"search (index=fw OR index=win-*) {phrase}\n| head 5"


@pytest.mark.parametrize("value", ["", " ", "*", "evil*", "`m`", "a\nb", "a\x00", "a\\", 'a\\"', "x | delete"])
async def test_an_indicator_that_would_mean_more_is_refused(fake, make, value):
    """Stars and macros have a meaning even in quotes."""
    with pytest.raises(Invalid):
        await make().search_logs_for(Indicator(kind="url", value=value))
    assert fake.requests == []


@pytest.mark.parametrize(("query", "limit"), [("", 5), ("  ", 5), ("x", 0), ("x", 500_001)])
async def test_what_cannot_be_asked_is_refused(fake, make, query, limit):
    """No search, or no sensible limit."""
    with pytest.raises(Invalid):
        await make().search_logs(query, 60, limit)
    assert fake.requests == []


NOTABLE = {
    "_time": "2026-01-02T10:00:00.000+00:00", "event_id": "g@@notable@@1", "rule_title": "Beacon", "severity": "low",
    "urgency": "critical", "status": "1", "dest": "pc-7", "user": ["ana", "bo"], "file_hash": "ab" * 32,
    "annotations.mitre_attack.mitre_technique_id": ["T1071", "T1"],
}  # fmt: skip


async def test_notable_events_are_detections(fake, make):
    """Urgency goes before severity; what has no severity is not lost among the low ones."""
    bare = {"_time": "2026-01-02T09:00:00Z", "_bkt": "b", "_cd": "1:2", "search_name": "Rule", "severity": "unknown"}
    fake.done(bare, NOTABLE)
    newer, older = await make().list_detections(60)
    assert fake.form()["search"] == "search index=notable\n| head 10000"
    assert (newer.id, newer.title, newer.severity, newer.status) == ("g@@notable@@1", "Beacon", "critical", "new")
    assert (newer.host_name, newer.user_name, newer.sha256, newer.technique) == ("pc-7", "ana", "ab" * 32, "T1071")
    assert (older.id, older.title, older.severity, older.status) == ("b:1:2", "Rule", "medium", None)


async def test_detections_that_are_severe_enough(fake, make):
    """At least as severe as was asked."""
    fake.done(NOTABLE, {**NOTABLE, "event_id": "2", "urgency": "medium"})
    assert [each.severity for each in await make().list_detections(60, "high")] == ["critical"]


async def test_fired_alerts_are_listed_to_the_last_page(fake, make):
    """One that comes twice, because others fired meanwhile, counts once; old ones do not count."""

    def fired(name: str, at: int, severity: int) -> dict[str, Any]:
        return {"name": name, "content": {"savedsearch_name": "S", "severity": severity, "trigger_time": at}}

    pages = [
        [fired("a", 4_000_000_000, 5), fired("b", 3_999_999_999, 3)],
        [fired("b", 3_999_999_999, 3), fired("c", 1, 4)],
    ]
    fake.on(FIRED, *(httpx.Response(200, json={"entry": each, "paging": {"total": 4}}) for each in pages))
    found = await make(detections="fired_alerts").list_detections(60)
    assert [(each.id, each.severity) for each in found] == [("a", "critical"), ("b", "medium")]
    assert dict(fake.requests[1].url.params) == {
        "output_mode": "json", "count": "200", "sort_key": "trigger_time", "sort_dir": "desc", "offset": "2",
    }  # fmt: skip


async def test_a_session_is_made_once_and_again_when_it_has_ended(fake, make):
    """Its key has Splunk's own scheme; a 401 fetches a fresh one."""
    fake.done(EVENT)
    fake.on(LOGIN, *(httpx.Response(200, json={"sessionKey": key}) for key in ("first", "second")))
    fake.on(JOBS, httpx.Response(401, json={}), httpx.Response(201, json={"sid": "17.3"}))
    assert len(await make(username="ana", password=Secret.of_value("pw")).search_logs("x")) == 1
    sent = parse_qs(fake.asked(LOGIN)[0].content.decode())
    assert sent == {"username": ["ana"], "password": ["pw"], "output_mode": ["json"]}
    assert [each.headers["authorization"] for each in fake.asked(JOBS)] == ["Splunk first", "Splunk second"]


def told(status: int, text: str = "why") -> httpx.Response:
    return httpx.Response(status, json={"messages": [{"type": "FATAL", "text": text}]})


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (told(400, "Unknown search command 'x'."), Invalid, "FATAL: Unknown search command"),
        (told(401), Unauthorized, "why"),
        (told(403), Forbidden, "why"),
        (told(404), Invalid, "older than 9.0.1"),
        (told(503), RateLimited, "too many searches"),
        (httpx.Response(503, text="proxy"), Unavailable, "503"),
        (httpx.Response(200, html="<html/>"), Invalid, "management port"),
        (httpx.Response(200, json={}), Invalid, "unexpected form"),
        (httpx.Response(200, json={"sid": "../../x"}), Invalid, "unexpected form"),
    ],
)
async def test_each_refusal_has_its_class(fake, make, answer, kind, text):
    """With what Splunk said; a search applied nothing."""
    fake.on(JOBS, answer)
    with pytest.raises(kind, match=text) as caught:
        await make().search_logs("x")
    assert type(caught.value) is kind
    assert caught.value.applied is Applied.NO


async def test_a_refused_sign_in_is_unauthorized(fake, make):
    """Without the password."""
    fake.on(LOGIN, told(401, "Login failed"))
    with pytest.raises(Unauthorized, match="check username and password") as caught:
        await make(username="ana", password=Secret.of_value("an-invented-password")).search_logs("x")
    assert "an-invented-password" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": None},
        {"username": "ana"},
        {"username": "ana", "password": Secret.of_value("pw"), "token": Secret.of_value("t")},
        {"indexes": ("a) OR (index=b",)},
        {"indexes": ()},
        {"macros": ("a`",)},
    ],
)
def test_settings_that_could_be_more_than_they_seem_are_refused(make, wrong):
    """One way to sign in, and names that are only names."""
    with pytest.raises((ValidationError, ValueError)):
        make(**wrong)
