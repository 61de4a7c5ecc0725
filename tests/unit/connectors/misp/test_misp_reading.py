"""What is asked of MISP, and what its answers are taken for."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import (
    Ambiguous,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from hikeshi_connectors.misp.attribute import indicators_in, same

ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
SEARCH = "/attributes/restSearch"
KEY_REFUSED = "Authentication failed. Please make sure you pass the API key of an API enabled user along"


def found(value: str = "203.0.113.9", kind: str = "ip-dst", event: str = "7", **more: Any) -> dict[str, Any]:
    whole = {"id": "1", "event_id": event, "type": kind, "value": value, "to_ids": True, **more}
    return {**whole, "Event": {"id": event, "info": f"Case {event}"}}


def sighted(kind: int, at: int = 1) -> dict[str, Any]:
    return {"type": str(kind), "date_sighting": str(at)}


def tags(*names: str) -> httpx.Response:
    return httpx.Response(200, json=[{"Tag": {"id": str(n), "name": name}} for n, name in enumerate(names, 40)])


WARNED = {"warnings": [{"warninglist_name": "Public DNS resolvers"}]}
DECAYED = {"decay_score": [{"score": 12.4, "decayed": True}]}


# --- opinions


async def test_a_value_is_asked_for_as_it_is(fake, misp):
    """In the form in which `&&` and `!` mean nothing; the key stands in the header, and an empty page is the last."""
    fake.answers = [fake.attributes(found())]
    await misp.opinions_on(ADDRESS)
    method, path, body = fake.asked(0)
    assert (method, path) == ("POST", SEARCH)
    assert body == {
        "value": {"OR": ["203.0.113.9"]},
        "includeSightings": True,
        "includeWarninglistHits": True,
        "includeDecayScore": True,
        "order": "Attribute.id asc",
        "returnFormat": "json",
        "page": 1,
        "limit": 1000,
    }
    assert fake.asked(1)[2] == {**body, "page": 2}
    assert len(fake.requests) == 2
    assert fake.requests[0].headers["authorization"] == "misp-key"
    assert fake.requests[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("attributes", "verdict", "score"),
    [
        ([], "unknown", None),
        ([found()], "malicious", None),
        ([found(to_ids=False)], "unknown", None),
        ([found(**WARNED)], "suspicious", None),
        ([found(**WARNED), found(event="8")], "malicious", None),
        ([found(Sighting=[sighted(0), sighted(0), sighted(1)])], "malicious", None),
        ([found(Sighting=[sighted(0), sighted(1)])], "suspicious", None),
        ([found(Sighting=[sighted(0, 5), sighted(2, 9)])], "suspicious", None),
        ([found(Sighting=[sighted(0, 9), sighted(2, 5)])], "malicious", None),
        ([found(**DECAYED)], "suspicious", 12),
        ([found(decay_score=[{"score": 12.4, "decayed": True}, {"score": 71.6, "decayed": False}])], "malicious", 72),
        ([found(value="203.0.113.90")], "unknown", None),
        ([found(value="evil.example|203.0.113.9", kind="domain|ip")], "malicious", None),
        ([found(value="203.0.113.9|443", kind="ip-dst|port")], "malicious", None),
        ([found(value="203.0.113.9", kind="text")], "unknown", None),
    ],
)
async def test_a_verdict_follows_from_what_misp_says(fake, misp, attributes, verdict, score):
    """Flags speak for it, warning lists, sightings and decay against it; another value or type says nothing."""
    fake.answers = [fake.attributes(*attributes)]
    (opinion,) = await misp.opinions_on(ADDRESS)
    assert (opinion.verdict, opinion.score) == (verdict, score)


async def test_an_opinion_says_why_and_where(fake, misp):
    """The events, those who doubt it, and the page of the event that counts."""
    fake.answers = [fake.attributes(found(event="7", **WARNED), found(event="8", to_ids=False))]
    (opinion,) = await misp.opinions_on(ADDRESS)
    assert opinion.detail == (
        "in event 7 'Case 7' for detection; in event 8 'Case 8' as context; on the warning list 'Public DNS resolvers'"
    )
    assert opinion.url == "https://misp.example/events/view/7"


async def test_a_page_that_was_emptied_is_not_the_last(fake, misp):
    """MISP takes out what an allow list knows, after it has counted the page."""
    fake.answers = [fake.attributes(counted=1001), fake.attributes(found())]
    (opinion,) = await misp.opinions_on(ADDRESS)
    assert opinion.verdict == "malicious"
    assert [fake.asked(at)[2]["page"] for at in range(len(fake.requests))] == [1, 2, 3]


async def test_a_count_of_the_whole_list_ends_as_well(fake, misp):
    """Some versions may mean that by the header; then each page after the last says it again."""
    fake.answers = [fake.attributes(found(), counted=5), *(fake.attributes(counted=5) for _ in range(9))]
    await misp.opinions_on(ADDRESS)
    assert len(fake.requests) == 5


# --- lists


async def test_a_tag_is_asked_for_by_its_id(fake, misp):
    """Its name may have signs that a filter would understand; what is on a warning list is left out."""
    page = fake.attributes(found(), found(), found("evil.example", "domain"), found("x.example", "hostname", **WARNED))
    fake.answers = [tags("tlp:red", "TLP:Amber"), page]
    listed = await misp.list_indicators("tlp:amber", 3600)
    assert [(each.kind, each.value) for each in listed] == [("ipv4", "203.0.113.9"), ("domain", "evil.example")]
    assert fake.asked(0) == ("POST", "/tags/search", {"tag": "tlp:amber"})
    body = fake.asked(1)[2]
    assert body["tags"] == {"OR": ["41"]}
    assert (body["to_ids"], body["published"], body["publish_timestamp"]) == (1, 1, "3600s")
    assert "filename|sha256" in body["type"]["OR"]


@pytest.mark.parametrize("feed", ["7", "5F0C1A2E-0000-4000-8000-000000000007"])
async def test_an_event_is_asked_for_by_its_id(fake, misp, feed):
    """It has to be there: one that cannot be seen is no empty list."""
    there = {"id": "7", "uuid": "5f0c1a2e-0000-4000-8000-000000000007", "info": "Case"}
    fake.answers = [httpx.Response(200, json={"response": [{"Event": there}]}), fake.events(), fake.attributes(found())]
    assert await misp.list_indicators(feed) == [ADDRESS]
    assert fake.asked(0)[1:] == (
        "/events/restSearch",
        {"eventid": {"OR": [feed]}, "metadata": True, "order": "Event.id asc", "returnFormat": "json"}
        | {"page": 1, "limit": 1000},
    )
    assert fake.asked(2)[2]["eventid"] == {"OR": ["7"]}


@pytest.mark.parametrize(
    ("feed", "answer", "error"),
    [
        ("7", None, NotFound),
        ("tlp:red", tags(), NotFound),
        ("tlp:%", tags("tlp:red", "tlp:amber"), NotFound),
        ("tlp:RED", tags("tlp:red", "TLP:red"), Ambiguous),
        (" ", None, NotFound),
    ],
)
async def test_a_feed_that_is_not_there_is_told(fake, misp, feed, answer, error):
    """And is never an empty one."""
    fake.answers = [answer] if answer else []
    with pytest.raises(error):
        await misp.list_indicators(feed)


async def test_of_tags_that_differ_in_case_the_very_one_is_meant(fake, misp):
    """MISP keeps both."""
    fake.answers = [tags("tlp:red", "TLP:red")]
    await misp.list_indicators("TLP:red")
    assert fake.asked(1)[2]["tags"] == {"OR": ["41"]}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("ip-src", "203.0.113.0/24", [("cidr", "203.0.113.0/24")]),
        ("ip-dst", "203.0.113.9/32", [("ipv4", "203.0.113.9")]),
        ("ip-dst|port", "2001:DB8::7|443", [("ipv6", "2001:db8::7")]),
        ("domain|ip", "EVIL.example.|203.0.113.9", [("domain", "evil.example"), ("ipv4", "203.0.113.9")]),
        ("hostname|port", "c2.example|8443", [("domain", "c2.example")]),
        ("filename|sha256", "a|b.exe|" + "A" * 64, [("sha256", "a" * 64)]),
        ("malware-sample", "x.exe|" + "b" * 32, [("md5", "b" * 32)]),
        ("url", "http://x.example/A|b", [("url", "http://x.example/A|b")]),
        ("email-src", "Bad@Evil.example", [("email", "bad@evil.example")]),
        ("ip-dst", "not an address", []),
        ("sha256", "a" * 63, []),
        ("domain|ip", "evil.example", []),
        ("yara", "rule x {}", []),
    ],
)
def test_types_become_indicators(kind: str, value: str, expected: list[tuple[str, str]]):
    """Whole, or each part of them that is one; what has not the form of its type is left out."""
    given = indicators_in({"type": kind, "value": value})
    assert [(each.kind, each.value) for each in given] == expected
    assert [same(each) for each in given] == given


# --- refusals


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((403, KEY_REFUSED), Unauthorized, "Authentication failed"),
        ((403, "Auth key is expired"), Unauthorized, "expired"),
        ((403, "It is not possible to use this Auth key from your IP address"), Unauthorized, "IP address"),
        ((403, "You do not have permission to do that."), Forbidden, "permission"),
        ((405, "API searches are not allowed for this user role."), Forbidden, "role"),
        ((404, "Invalid event"), NotFound, "Invalid event"),
        ((400, "Either specify the search terms"), Invalid, "search terms"),
        ((500, "An Internal Error Has Occurred."), Unavailable, "Internal"),
    ],
)
async def test_refusals_are_told_apart(fake, misp, answer, error, said):
    """MISP says 403 for a key that does not hold as well as for a right that is missing."""
    fake.answers = [fake.refusal(*answer)]
    with pytest.raises(error, match=said):
        await misp.opinions_on(ADDRESS)


async def test_a_rate_limit_says_when_it_is_over(fake, misp):
    """In seconds, in a header of MISP's own."""
    answer = fake.refusal(429, "Rate limit exceeded.")
    answer.headers["X-Rate-Limit-Reset"] = "612"
    fake.answers = [answer]
    with pytest.raises(RateLimited) as caught:
        await misp.opinions_on(ADDRESS)
    assert caught.value.retry_after_s == 612


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="<html>"),
        httpx.Response(302, headers={"location": "/users/login"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"response": []}),
        httpx.Response(200, json={"response": {"Attribute": [{"type": "ip-dst"}]}}),
    ],
)
async def test_what_is_no_answer_of_misp_is_invalid(fake, misp, answer):
    """It says nothing about the indicator."""
    fake.answers = [answer]
    with pytest.raises(ConnectorError) as caught:
        await misp.opinions_on(ADDRESS)
    assert type(caught.value) is Invalid
