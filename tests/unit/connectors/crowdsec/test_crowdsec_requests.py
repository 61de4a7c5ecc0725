"""The HTTP shapes of CrowdSec's Local API: what is sent for each action, and how answers are read."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    PartialFailure,
    Secret,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.crowdsec import CrowdSec
from hikeshi_connectors.crowdsec.decisions import seconds_of

NOW = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
KEY, PASSWORD, TOKEN = "unit-bouncer-key", "unit-password", "unit-token"
LOGIN = {"code": 200, "expire": "2026-07-01T13:00:30Z", "token": TOKEN}
ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
ADDRESS6 = Indicator(kind="ipv6", value="2001:DB8::0:7")
NETWORK = Indicator(kind="cidr", value="198.51.100.0/24")
OURS = {"origin": "hikeshi", "scenario": "hikeshi/block", "type": "ban", "scope": "Ip", "value": "203.0.113.7"}
Answers = Callable[[httpx.Request], httpx.Response]


def crowdsec(answer: Answers, **settings: Any) -> tuple[CrowdSec, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/v1/watchers/login":
            assert json.loads(request.content) == {"machine_id": "soar", "password": PASSWORD}
            return httpx.Response(200, json=LOGIN)
        name, wanted = ("x-api-key", KEY) if request.method == "GET" else ("authorization", f"Bearer {TOKEN}")
        assert request.headers[name] == wanted
        assert not {"x-api-key", "authorization"} - {name} & set(request.headers)
        return answer(request)

    secrets = {"password": Secret.of_value(PASSWORD), "bouncer_key": Secret.of_value(KEY)}
    given = {"base_url": "http://lapi:8080", "machine_id": "soar", **secrets, **settings}
    connector = build(CrowdSec, "crowdsec", given, Redactor(), transport=httpx.MockTransport(take))
    assert isinstance(connector, CrowdSec)
    connector.clock = lambda: NOW
    return connector, seen


def usual(*decisions: Any) -> Answers:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, text=json.dumps(list(decisions) or None))
        return (
            httpx.Response(201, json=["1"])
            if request.method == "POST"
            else httpx.Response(200, json={"nbDeleted": "1"})
        )

    return answer


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def test_a_block_is_one_alert_with_a_decision_for_each():
    """The whole batch is one request, with the span in seconds, and everything that the API requires."""
    connector, seen = crowdsec(usual(), origin="soar", scenario="soar/c2", remediation="captcha")
    with through(live()):
        await connector.block_indicators([ADDRESS, ADDRESS6, NETWORK, ADDRESS], "beacon", 3600)
    read, login, sent = seen
    assert (read.method, str(read.url)) == ("GET", "http://lapi:8080/v1/decisions?origins=soar")
    assert login.url.path == "/v1/watchers/login"
    assert (sent.method, str(sent.url)) == ("POST", "http://lapi:8080/v1/alerts")
    decision = {"origin": "soar", "type": "captcha", "scenario": "soar/c2", "duration": "3600s"}
    assert json.loads(sent.content) == [
        {
            "scenario": "soar/c2",
            "scenario_hash": "",
            "scenario_version": "",
            "message": "beacon",
            "events_count": 3,
            "start_at": "2026-07-01T12:00:30Z",
            "stop_at": "2026-07-01T12:00:30Z",
            "capacity": 0,
            "leakspeed": "",
            "simulated": False,
            "events": [],
            "source": {"scope": "", "value": ""},
            "decisions": [
                {**decision, "scope": "Ip", "value": "203.0.113.7"},
                {**decision, "scope": "Ip", "value": "2001:db8::7"},
                {**decision, "scope": "Range", "value": "198.51.100.0/24"},
            ],
        }
    ]


@pytest.mark.parametrize("date", ["Wed, 01 Jul 2026 11:00:30 GMT", "Wed, 01 Jul 2026 11:00:30 -0000"])
async def test_a_block_runs_by_the_clock_of_the_local_api(date: str):
    """Ours is an hour fast here: by it a block of five minutes would stand for an hour and five."""
    usually = usual({**OURS, "id": 1, "value": "192.0.2.1", "duration": "5m"})

    def answer(request: httpx.Request) -> httpx.Response:
        response = usually(request)
        response.headers["date"] = date
        return response

    connector, seen = crowdsec(answer)
    with through(live()):
        await connector.block_indicators([ADDRESS], "beacon", 300)
    (alert,) = json.loads(seen[-1].content)
    assert (alert["start_at"], alert["stop_at"]) == ("2026-07-01T11:00:30Z", "2026-07-01T11:00:30Z")
    (block,) = await connector.blocks_of([Indicator(kind="ipv4", value="192.0.2.1")])
    assert block.expires_at == datetime(2026, 7, 1, 11, 6, tzinfo=UTC)


async def test_a_block_without_an_end_lasts_ten_years():
    """The API takes no decision without an end."""
    connector, seen = crowdsec(usual())
    with through(live()):
        await connector.block_indicators([ADDRESS], "beacon")
    assert json.loads(seen[-1].content)[0]["decisions"][0]["duration"] == "315360000s"


async def test_what_is_decided_already_gets_no_second_decision():
    """Sending it again would add another one beside the first."""
    connector, seen = crowdsec(usual({**OURS, "id": 1, "duration": "5m"}))
    with through(live()):
        await connector.block_indicators([ADDRESS], "beacon", 3600)
    assert [request.method for request in seen] == ["GET"]


async def test_a_large_batch_is_sent_in_lots():
    """5,000 decisions a request."""
    connector, seen = crowdsec(usual())
    many = [Indicator(kind="ipv4", value=f"198.18.{n >> 8}.{n & 255}") for n in range(5_001)]
    with through(live()):
        await connector.block_indicators(many, "beacon", 3600)
    sent = [json.loads(request.content)[0] for request in seen if request.url.path == "/v1/alerts"]
    assert [len(alert["decisions"]) for alert in sent] == [5_000, 1]


async def test_a_deletion_names_value_scope_origin_and_scenario():
    """Each is one request that can match nothing but our own decisions on the very same value."""
    connector, seen = crowdsec(usual())
    with through(live()):
        await connector.unblock_indicators([ADDRESS, NETWORK], "over")
    deleted = [(request.method, request.url.path, dict(request.url.params)) for request in seen[1:]]
    ours = {"origin": "hikeshi", "scenario": "hikeshi/block"}
    assert deleted == [
        ("DELETE", "/v1/decisions", {"scopes": "Ip", "value": "203.0.113.7", **ours}),
        ("DELETE", "/v1/decisions", {"scopes": "Range", "value": "198.51.100.0/24", **ours}),
    ]
    assert not any(request.content for request in seen[1:])


async def test_deletions_after_one_that_failed_are_not_sent():
    """What was deleted stays so; the rest is named, with whether it can have had its effect."""
    indicators = [Indicator(kind="ipv4", value=f"203.0.113.{n}") for n in range(4)]

    def answer(request: httpx.Request) -> httpx.Response:
        failed = request.url.params["value"] == "203.0.113.1"
        return httpx.Response(500, json={"message": "unable to delete"}) if failed else usual()(request)

    connector, seen = crowdsec(answer)
    with through(live()), pytest.raises(PartialFailure) as partial:
        await connector.unblock_indicators(indicators, "over")
    assert {value: error.applied for value, error in partial.value.failures.items()} == {
        "203.0.113.1": Applied.MAYBE,
        "203.0.113.2": Applied.NO,
        "203.0.113.3": Applied.NO,
    }
    assert len(seen) == 3
    with through(live()), pytest.raises(Unavailable, match="unable to delete"):
        await connector.unblock_indicators(indicators[1:], "over")


async def test_only_our_own_live_decisions_count():
    """The longest one says when it ends, rounded up to a minute; others' decisions are others'."""
    connector, _ = crowdsec(
        usual(
            {**OURS, "id": 1, "duration": "5m1.5s"},
            {**OURS, "id": 2, "duration": "1h0m0.5s"},
            {**OURS, "id": 3, "scope": "Range", "value": "198.51.100.0/24", "origin": "CAPI", "duration": "4h"},
            {**OURS, "id": 4, "value": "2001:db8::7", "scenario": "manual", "duration": "4h"},
            {**OURS, "id": 5, "value": "192.0.2.1", "type": "captcha", "duration": "4h"},
            {**OURS, "id": 6, "value": "192.0.2.2", "duration": "-3s"},
        )
    )
    others = [Indicator(kind="ipv4", value=f"192.0.2.{n}") for n in (1, 2)]
    blocks = await connector.blocks_of([NETWORK, ADDRESS, ADDRESS6, *others])
    assert [block.blocked for block in blocks] == [False, True, False, False, False]
    assert blocks[1].expires_at == datetime(2026, 7, 1, 13, 1, tzinfo=UTC)


@pytest.mark.parametrize("body", ["null", "[]"])
async def test_no_decision_is_null(body: str):
    """That is what the API says where it has none."""
    connector, _ = crowdsec(lambda _: httpx.Response(200, text=body))
    assert [block.blocked for block in await connector.blocks_of([ADDRESS])] == [False]


@pytest.mark.parametrize("body", ["", "{}", '"text"', "[1]", '[{"origin": "hikeshi"}]', "<html>"])
async def test_anything_else_is_no_answer(body: str):
    """What could not be read is not absent."""
    connector, _ = crowdsec(lambda _: httpx.Response(200, text=body))
    with pytest.raises(Invalid):
        await connector.blocks_of([ADDRESS])


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [(403, "access forbidden", Unauthorized), (403, "something else", Forbidden), (500, "database", Unavailable)],
)
async def test_refusals_are_told_apart(status: int, message: str, kind: type[ConnectorError]):
    """A wrong bouncer's key is answered 403, with a text of its own."""
    connector, _ = crowdsec(lambda _: httpx.Response(status, json={"message": message}))
    with pytest.raises(kind):
        await connector.blocks_of([ADDRESS])


async def test_a_token_that_has_ended_is_fetched_anew():
    """A 401 provably changed nothing, so the change is sent once more."""
    refusals = [httpx.Response(401, json={"code": 401, "message": "Token is expired"})]
    connector, seen = crowdsec(lambda request: refusals.pop() if refusals else usual()(request))
    with through(live()):
        await connector.unblock_indicators([ADDRESS], "over")
    assert [request.method for request in seen] == ["POST", "DELETE", "POST", "DELETE"]


@pytest.mark.parametrize(
    ("indicator", "kind"),
    [
        (Indicator(kind="ipv4", value="0.0.0.0/0&origin=CAPI"), Invalid),
        (Indicator(kind="ipv6", value="fe80::1%eth0"), Invalid),
        (Indicator(kind="cidr", value="10.0.0.1/8"), Invalid),
        (Indicator(kind="domain", value="evil.example"), Unsupported),
    ],
)
async def test_what_is_no_address_is_refused_and_the_rest_is_sent(indicator: Indicator, kind: type[ConnectorError]):
    """Alone, the refusal is the error itself."""
    connector, seen = crowdsec(usual())
    with through(live()), pytest.raises(kind):
        await connector.block_indicators([indicator], "beacon", 60)
    assert not seen
    with through(live()), pytest.raises(PartialFailure) as partial:
        await connector.unblock_indicators([indicator, ADDRESS], "over")
    assert {value: type(error) for value, error in partial.value.failures.items()} == {indicator.value: kind}
    assert seen[-1].url.params["value"] == "203.0.113.7"


@pytest.mark.parametrize("expires_in_s", [0, -1])
async def test_an_end_in_the_past_is_refused(expires_in_s: int):
    """Nothing is sent."""
    connector, seen = crowdsec(usual())
    with through(live()), pytest.raises(Invalid):
        await connector.block_indicators([ADDRESS], "beacon", expires_in_s)
    assert not seen


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600s", 3600), ("1h59m59.5s", 7199.5), ("250ms", 0.25), ("1.5h", 5400), ("-2m", -120), ("0", 0), ("9us", 9e-6)],
)
def test_spans_are_read_as_go_writes_them(text: str, seconds: float):
    """Source: https://pkg.go.dev/time#Duration.String."""
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "9", "1d", "h", "1h 2m", "1h2"])
def test_what_is_no_span_is_an_error(text: str):
    """It is not taken for zero."""
    with pytest.raises(ValueError, match="no time span"):
        seconds_of(text)
