"""What is read from a TAXII server and what is sent to it."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Ambiguous, Applied, ConnectorError, Forbidden, Invalid, NotFound, PartialFailure, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.virtual_loop import run_virtually
from hikeshi_connectors.taxii import Taxii
from hikeshi_connectors.taxii.stix import indicators_in, stix_indicator

BASE = "https://taxii.example/api1"
MEDIA = {"content-type": "application/taxii+json;version=2.1"}
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")


def answer(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body, headers=MEDIA)


def collections(*titles: str, **rights: bool) -> httpx.Response:
    given = {"can_read": True, "can_write": True, **rights}
    return answer({"collections": [{"id": f"c-{n}", "title": title, **given} for n, title in enumerate(titles)]})


def made(answers: Iterable[httpx.Response], requests: list[httpx.Request]) -> Taxii:
    waiting = iter(answers)

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return next(waiting)

    given = {"base_url": BASE, "username": "me", "password": Secret.of_value("taxii-secret")}
    connector = build(Taxii, "sector", given, Redactor(), transport=httpx.MockTransport(respond))
    assert isinstance(connector, Taxii)
    return connector


async def listed(*answers: httpx.Response, feed: str = "feed") -> tuple[list[Indicator], list[httpx.Request]]:
    requests: list[httpx.Request] = []
    with through(Door(mode="live", effect=Effect.READ, action="intel.list_indicators")):
        return await made(answers, requests).list_indicators(feed, 3600), requests


async def share(*answers: httpx.Response, key: str = "k") -> tuple[Any, list[httpx.Request]]:
    requests: list[httpx.Request] = []
    door = Door(mode="live", effect=Effect.NOTIFY, action="intel.share_indicators", intended=True, key=key)
    with through(door):
        return await made(answers, requests).share_indicators("feed", [ADDRESS], "Seen here"), requests


def status(state: str = "complete", **more: Any) -> httpx.Response:
    return answer({"id": "s-1", "status": state, "failures": [], **more}, 202)


# --- reading


async def test_every_page_is_read_with_the_same_question():
    """Servers refuse a page whose parameters differ from the first one's."""
    one = {"type": "indicator", "pattern": "[ipv4-addr:value = '203.0.113.9']"}
    two = {"type": "indicator", "pattern": "[domain-name:value = 'EVIL.example']"}
    found, requests = await listed(
        collections("feed"), answer({"more": True, "next": "n1", "objects": [one]}), answer({"objects": [two, one]})
    )
    assert [(each.kind, each.value) for each in found] == [("ipv4", "203.0.113.9"), ("domain", "evil.example")]
    first, second = (dict(request.url.params) for request in requests[1:])
    assert second == {**first, "next": "n1"}
    assert first["match[type]"] == "indicator"
    assert requests[1].headers["accept"] == "application/taxii+json;version=2.1"
    assert requests[1].headers["authorization"] == "Basic bWU6dGF4aWktc2VjcmV0"


async def test_an_empty_envelope_is_an_empty_list():
    """That is how TAXII says that there is nothing."""
    found, _ = await listed(collections("feed"), answer({}))
    assert found == []


async def test_more_without_a_place_is_an_error():
    """A list that is known to be short must not pass for the whole."""
    with pytest.raises(Invalid, match="not where"):
        await listed(collections("feed"), answer({"more": True, "objects": []}))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (collections("other"), NotFound),
        (collections("feed", "Feed"), Ambiguous),
        (collections("feed", can_read=False), Forbidden),
        (answer({"title": "no"}, 403), Forbidden),
        (answer({"title": "Collection not found"}, 404), NotFound),
        (httpx.Response(404, text="<html>"), Invalid),
        (httpx.Response(200, text="<html>"), Invalid),
    ],
)
async def test_a_feed_that_cannot_be_read_is_told(given: httpx.Response, error: type[ConnectorError]):
    """And is never an empty one."""
    with pytest.raises(error):
        await listed(given)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[ipv4-addr:value = '203.0.113.9']", [("ipv4", "203.0.113.9")]),
        ("[ipv4-addr:value = '203.0.113.0/24']", [("cidr", "203.0.113.0/24")]),
        ("[ipv6-addr:value = '2001:DB8::7']", [("ipv6", "2001:db8::7")]),
        ("[file:hashes.'SHA-256' = '" + "A" * 64 + "']", [("sha256", "a" * 64)]),
        ("[file:hashes.MD5 = '" + "b" * 32 + "']", [("md5", "b" * 32)]),
        ("[url:value = 'http://x.example/It\\\\'s']", None),
        ("[url:value = 'http://x.example/It\\'s']", [("url", "http://x.example/It's")]),
        (
            "[domain-name:value = 'a.example' OR domain-name:value = 'b.example']",
            [("domain", "a.example"), ("domain", "b.example")],
        ),
        (
            "[domain-name:value = 'a.example'] OR [ipv4-addr:value = '203.0.113.9']",
            [("domain", "a.example"), ("ipv4", "203.0.113.9")],
        ),
        ("[domain-name:value = 'a.example' AND ipv4-addr:value = '203.0.113.9']", []),
        ("[domain-name:value = 'a.example'] FOLLOWEDBY [ipv4-addr:value = '203.0.113.9']", []),
        ("[domain-name:value LIKE '%.example']", []),
        ("[domain-name:value != 'a.example']", []),
        ("[process:name = 'evil.exe']", []),
        ("([ipv4-addr:value = '203.0.113.9'] AND [url:value = 'http://a'])", []),
        ("nonsense", []),
    ],
)
def test_patterns_that_say_one_thing_become_indicators(pattern: str, found: list[tuple[str, str]] | None):
    """What says more than its parts is left out whole."""
    given = indicators_in({"type": "indicator", "pattern": pattern}, NOW)
    assert found is None or [(each.kind, each.value) for each in given] == found


@pytest.mark.parametrize(
    "more",
    [{"revoked": True}, {"valid_until": "2026-03-01T00:00:00Z"}, {"type": "malware"}, {"pattern_type": "sigma"}],
)
def test_what_no_longer_holds_is_left_out(more: dict[str, Any]):
    """Revoked, over, or of another kind."""
    given = {"type": "indicator", "pattern": "[ipv4-addr:value = '203.0.113.9']"}
    assert len(indicators_in(given, NOW)) == 1
    assert indicators_in({**given, **more}, NOW) == []


# --- sharing


async def test_a_repetition_is_the_same_object():
    """The ID follows from the key of the notification; another run makes another object."""
    ids = []
    for key in ("k", "k", "other"):
        _, requests = await share(collections("feed"), status(), key=key)
        sent = requests[1]
        (found,) = json.loads(sent.content)["objects"]
        ids.append(found["id"])
        assert (sent.method, str(sent.url)) == ("POST", f"{BASE}/collections/c-0/objects/")
        assert sent.headers["content-type"] == "application/taxii+json;version=2.1"
        assert found["pattern"] == "[ipv4-addr:value = '203.0.113.9']"
    assert ids[0] == ids[1] != ids[2]


def test_a_server_that_takes_its_time_is_asked_until_it_is_done():
    """Accepted is not done."""

    async def main() -> tuple[Any, list[httpx.Request]]:
        return await share(collections("feed"), status("pending"), status("pending"), status())

    report, requests = run_virtually(main())
    assert report.id == "s-1"
    assert [request.url.path for request in requests[2:]] == ["/api1/status/s-1/"] * 2


async def test_what_a_server_does_not_take_is_named():
    """By the indicator, with the server's reason."""
    refused = stix_indicator(ADDRESS, "Seen here", "k", NOW)["id"]
    with pytest.raises(PartialFailure) as caught:
        await share(collections("feed"), status(failures=[{"id": refused, "message": "too old"}]))
    assert {value: str(error) for value, error in caught.value.failures.items()} == {"203.0.113.9": "too old"}


async def test_an_answer_that_cannot_be_read_may_have_had_its_effect():
    """The objects were sent."""
    with pytest.raises(Invalid) as caught:
        await share(collections("feed"), httpx.Response(202, text="ok"))
    assert caught.value.applied is Applied.MAYBE


@pytest.mark.parametrize(
    ("kind", "value", "pattern"),
    [
        ("url", "http://x.example/It's", "[url:value = 'http://x.example/It\\'s']"),
        ("cidr", "203.0.113.0/24", "[ipv4-addr:value = '203.0.113.0/24']"),
        ("cidr", "2001:db8::/32", "[ipv6-addr:value = '2001:db8::/32']"),
        ("sha1", "c" * 40, "[file:hashes.'SHA-1' = '" + "c" * 40 + "']"),
    ],
)
def test_values_are_quoted(kind: str, value: str, pattern: str):
    """And read back as they were."""
    indicator = Indicator.model_validate({"kind": kind, "value": value})
    written = stix_indicator(indicator, "t", "k", NOW)
    assert written["pattern"] == pattern
    assert indicators_in(written, NOW) == [indicator]
