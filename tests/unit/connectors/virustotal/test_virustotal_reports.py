"""What is asked of VirusTotal, and what its answers are taken for."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import ConnectorError, Forbidden, Invalid, RateLimited, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.virustotal import VirusTotal

BASE = "https://www.virustotal.com/api/v3"


async def ask(answer: httpx.Response, kind: Any = "ipv4", value: str = "203.0.113.9", **settings: Any) -> Any:
    """Return the opinion that an answer comes to, and the request."""
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer

    given = {"api_key": Secret.of_value("vt-key"), **settings}
    connector = build(VirusTotal, "vt", given, Redactor(), transport=httpx.MockTransport(respond))
    assert isinstance(connector, VirusTotal)
    with through(Door(mode="live", effect=Effect.READ, action="intel.opinions_on")):
        (opinion,) = await connector.opinions_on(Indicator(kind=kind, value=value))
    return opinion, requests[0]


def stats(name: str = "203.0.113.9", **counts: int) -> httpx.Response:
    whole = {"malicious": 0, "suspicious": 0, "harmless": 0, "undetected": 0, "timeout": 3, **counts}
    return httpx.Response(200, json={"data": {"id": name, "attributes": {"last_analysis_stats": whole}}})


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [
        ("ipv4", "203.0.113.9", "/ip_addresses/203.0.113.9"),
        ("ipv6", "2001:db8::7", "/ip_addresses/2001:db8::7"),
        ("domain", "evil.example", "/domains/evil.example"),
        ("sha256", "A" * 64, "/files/" + "a" * 64),
        ("md5", "b" * 32, "/files/" + "b" * 32),
        ("url", "http://evil.example/", "/urls/aHR0cDovL2V2aWwuZXhhbXBsZS8"),
    ],
)
async def test_each_kind_has_its_place(kind: str, value: str, path: str):
    """With the key in a header of its own."""
    _, request = await ask(stats(), kind, value)
    assert (request.method, str(request.url)) == ("GET", BASE + path)
    assert request.headers["x-apikey"] == "vt-key"


@pytest.mark.parametrize(
    ("counts", "verdict", "score"),
    [
        ({"malicious": 3, "undetected": 57}, "malicious", 5),
        ({"malicious": 2, "undetected": 58}, "suspicious", 3),
        ({"suspicious": 1, "undetected": 59}, "suspicious", 0),
        ({"harmless": 60}, "harmless", 0),
        ({"undetected": 60}, "harmless", 0),
        ({}, "unknown", None),
    ],
)
async def test_a_verdict_follows_from_the_counts(counts: dict[str, int], verdict: str, score: int | None):
    """Scanners that did not answer do not count, and no scanner at all is no clean bill."""
    opinion, _ = await ask(stats(**counts))
    assert (opinion.verdict, opinion.score) == (verdict, score)


async def test_how_many_make_it_malicious_is_a_setting():
    """An organisation that blocks by itself may want more."""
    opinion, _ = await ask(stats(malicious=9, harmless=81), malicious_from=10)
    assert opinion.verdict == "suspicious"
    assert opinion.detail == "9 of 90 scanners say malicious, 0 suspicious"
    assert opinion.url == "https://www.virustotal.com/gui/ip-address/203.0.113.9"


async def test_what_was_never_seen_is_unknown():
    """And not harmless."""
    body = {"error": {"code": "NotFoundError", "message": "IP address not found"}}
    opinion, _ = await ask(httpx.Response(404, json=body))
    assert (opinion.verdict, opinion.score, opinion.url) == ("unknown", None, None)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "WrongCredentialsError", Unauthorized),
        (403, "ForbiddenError", Forbidden),
        (429, "QuotaExceededError", RateLimited),
        (400, "InvalidArgumentError", Invalid),
        (503, "TransientError", Unavailable),
    ],
)
async def test_refusals_have_their_class(status: int, code: str, error: type[ConnectorError]):
    """With VirusTotal's own words; it names no delay for a quota that is used up."""
    with pytest.raises(error) as caught:
        await ask(httpx.Response(status, json={"error": {"code": code, "message": "no"}}))
    assert caught.value.retry_after_s is None
    assert status == 401 or code in caught.value.message


async def test_a_404_that_is_not_virustotals_is_no_verdict():
    """A proxy or a wrong address must not make everything unknown."""
    with pytest.raises(Invalid, match="check base_url"):
        await ask(httpx.Response(404, text="<html>not here</html>"))


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"id": "x", "attributes": {}}}, [], {"data": None}])
async def test_an_answer_without_counts_is_no_verdict(body: Any):
    """It is an error, not a harmless indicator."""
    with pytest.raises(Invalid):
        await ask(httpx.Response(200, json=body))
