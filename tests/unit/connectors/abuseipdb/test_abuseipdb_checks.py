"""What is asked of AbuseIPDB, and what its answers are taken for."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Invalid, RateLimited, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.abuseipdb import AbuseIpDb


async def ask(answer: httpx.Response, value: str = "203.0.113.9", **settings: Any) -> Any:
    """Return the opinion that an answer comes to, and the request."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer

    given = {"api_key": Secret.of_value("abuse-key"), **settings}
    connector = build(AbuseIpDb, "abuse", given, Redactor(), transport=httpx.MockTransport(respond))
    assert isinstance(connector, AbuseIpDb)
    kind = "ipv6" if ":" in value else "ipv4"
    with through(Door(mode="live", effect=Effect.READ, action="intel.opinions_on")):
        (opinion,) = await connector.opinions_on(Indicator.model_validate({"kind": kind, "value": value}))
    return opinion, requests[0]


def told(score: int, reports: int, **more: Any) -> httpx.Response:
    data = {"abuseConfidenceScore": score, "totalReports": reports, "numDistinctUsers": 2, "countryCode": "XX", **more}
    return httpx.Response(200, json={"data": data})


async def test_an_address_is_asked_for_with_the_age_of_its_reports():
    """The key is in a header of its own."""
    _, request = await ask(told(0, 0), "2001:db8::7", max_age_days=30)
    assert request.method == "GET"
    assert str(request.url) == "https://api.abuseipdb.com/api/v2/check?ipAddress=2001%3Adb8%3A%3A7&maxAgeInDays=30"
    assert request.headers["key"] == "abuse-key"


@pytest.mark.parametrize(
    ("answer", "verdict", "score"),
    [
        (told(75, 9), "malicious", 75),
        (told(74, 9), "suspicious", 74),
        (told(24, 9), "unknown", 24),
        (told(0, 0), "unknown", None),
        (told(0, 3, isWhitelisted=True), "harmless", 0),
    ],
)
async def test_a_verdict_follows_from_the_confidence(answer: httpx.Response, verdict: str, score: int | None):
    """Nobody having reported an address does not make it harmless."""
    opinion, _ = await ask(answer)
    assert (opinion.verdict, opinion.score) == (verdict, score)
    assert "2 people in 90 days, XX" in opinion.detail


async def test_a_used_up_quota_says_how_long():
    """In seconds, with AbuseIPDB's own words."""
    body = {"errors": [{"detail": "Daily rate limit of 1000 requests exceeded", "status": 429}]}
    with pytest.raises(RateLimited, match="Daily rate limit") as caught:
        await ask(httpx.Response(429, json=body, headers={"Retry-After": "29241"}))
    assert caught.value.retry_after_s == 29241


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"abuseConfidenceScore": "high"}}, []])
async def test_an_answer_without_a_score_is_no_verdict(body: Any):
    """It is an error, not an address that nobody reported."""
    with pytest.raises(Invalid):
        await ask(httpx.Response(200, json=body))
