"""What is added to an event, and what becomes of entries that MISP refuses."""

from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Indicator
from hikeshi.connector import Ambiguous, Applied, Forbidden, Invalid, NotFound, PartialFailure, Unavailable

ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
DOMAIN = Indicator(kind="domain", value="evil.example")
FORM = "Value not in the right type/format."


def stands(value: str, kind: str) -> dict[str, Any]:
    return {"id": "1", "event_id": "7", "type": kind, "value": value, "to_ids": False}


def saved(*values: str, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"Attribute": [{"value": value} for value in values], **more})


def begin(fake: Any, *standing: dict[str, Any]) -> None:
    """The event is there, with some attributes."""
    fake.answers = [fake.events(("7", "Case"), ("8", "Case of others")), fake.events()]
    fake.answers += [fake.attributes(*standing), fake.attributes()] if standing else [fake.attributes()]


async def test_attributes_are_added_in_one_request(fake, misp, live):
    """Flagged, with a type and category of MISP's; the report names the event and its page."""
    begin(fake)
    fake.answers += [saved("203.0.113.9", "evil.example")]
    report = await live(misp.share_indicators("Case", [ADDRESS, DOMAIN], "Seen here"))
    assert fake.asked(0)[2]["eventinfo"] == {"OR": ["Case"]}
    assert fake.asked(-1) == (
        "POST",
        "/attributes/add/7",
        [
            {
                "category": "Network activity",
                "type": "ip-dst",
                "value": "203.0.113.9",
                "to_ids": True,
                "comment": "Seen here",
            },
            {
                "category": "Network activity",
                "type": "domain",
                "value": "evil.example",
                "to_ids": True,
                "comment": "Seen here",
            },
        ],
    )
    assert (report.id, report.feed, report.url) == ("7", "Case", "https://misp.example/events/view/7")


async def test_what_the_event_holds_is_not_added_again(fake, misp, live):
    """Also as a part of an attribute, and whether or not it is flagged."""
    begin(fake, stands("EVIL.example|198.51.100.1", "domain|ip"))
    fake.answers += [saved("203.0.113.9")]
    await live(misp.share_indicators("Case", [ADDRESS, DOMAIN], "t"))
    assert fake.asked(2)[2]["value"] == {"OR": ["203.0.113.9", "evil.example"]}
    assert fake.asked(2)[2]["eventid"] == {"OR": ["7"]}
    assert [each["value"] for each in fake.asked(-1)[2]] == ["203.0.113.9"]


async def test_a_repetition_adds_nothing(fake, misp, live):
    """All of it stands there after the first time, so there is no request."""
    begin(fake, stands("203.0.113.9", "ip-dst"))
    report = await live(misp.share_indicators("Case", [ADDRESS], "t"))
    assert report.id == "7"
    assert [request.url.path for request in fake.requests if "/add/" in request.url.path] == []


async def test_refused_entries_are_named(fake, misp, live):
    """By their place in what was sent; the others are there."""
    begin(fake)
    fake.answers += [saved("203.0.113.9", errors={"attribute_1": {"value": [FORM]}})]
    with pytest.raises(PartialFailure) as caught:
        await live(misp.share_indicators("Case", [ADDRESS, DOMAIN], "t"))
    assert list(caught.value.failures) == ["evil.example"]
    assert FORM in caught.value.failures["evil.example"].message


@pytest.mark.parametrize(
    ("indicators", "errors"),
    [
        ([ADDRESS], {"value": [FORM]}),
        ([ADDRESS, DOMAIN], {"attribute_0": {"value": [FORM]}, "attribute_1": FORM}),
        ([ADDRESS, DOMAIN], {"attribute_0": {"value": [FORM]}}),
        ([ADDRESS, DOMAIN], []),
    ],
)
async def test_if_none_was_saved_all_are_named(fake, misp, live, indicators, errors):
    """MISP says 403 then, which is no question of rights."""
    begin(fake)
    fake.answers += [fake.refusal(403, "Could not add Attribute", saved=False, errors=errors)]
    with pytest.raises(PartialFailure) as caught:
        await live(misp.share_indicators("Case", indicators, "t"))
    assert list(caught.value.failures) == [each.value for each in indicators]
    assert all(isinstance(error, Invalid) for error in caught.value.failures.values())
    assert {error.applied for error in caught.value.failures.values()} == {Applied.NO}


async def test_errors_without_a_place_are_everybodys(fake, misp, live):
    """It is not clear what was saved."""
    begin(fake)
    fake.answers += [saved("203.0.113.9", errors={"what": "else"})]
    with pytest.raises(PartialFailure) as caught:
        await live(misp.share_indicators("Case", [ADDRESS, DOMAIN], "t"))
    assert [error.applied for error in caught.value.failures.values()] == [Applied.MAYBE] * 2


async def test_many_are_added_in_lots(fake, misp, live):
    """A lot that failed names its entries, and the first stay where they are."""
    many = [Indicator(kind="domain", value=f"h{n}.example") for n in range(501)]
    fake.answers = [fake.events(("7", "Case")), fake.events(), fake.attributes(), fake.attributes()]
    fake.answers += [saved("h0.example"), httpx.Response(500, json={"message": "An Internal Error Has Occurred."})]
    with pytest.raises(PartialFailure) as caught:
        await live(misp.share_indicators("Case", many, "t"))
    assert {value: type(error) for value, error in caught.value.failures.items()} == {"h500.example": Unavailable}
    assert [len(fake.asked(at)[2]) for at in (4, 5)] == [500, 1]


@pytest.mark.parametrize(
    ("feed", "events", "error"),
    [
        ("Case", [("7", "case"), ("8", "Case of others")], NotFound),
        ("Case", [("7", "Case"), ("8", "Case")], Ambiguous),
        ("7", [], NotFound),
        ("%", [("7", "Case")], NotFound),
        ("", [("7", "")], NotFound),
    ],
)
async def test_one_event_is_meant(fake, misp, live, feed, events, error):
    """By its whole text, letter for letter; never the first of several."""
    fake.answers = [fake.events(*events)]
    with pytest.raises(error):
        await live(misp.share_indicators(feed, [ADDRESS], "t"))
    assert [request.url.path for request in fake.requests if "/add/" in request.url.path] == []


async def test_an_event_of_others_is_forbidden(fake, misp, live):
    """MISP lets only its own organisation add."""
    begin(fake)
    fake.answers += [fake.refusal(403, "You do not have permission to do that.")]
    with pytest.raises(Forbidden) as caught:
        await live(misp.share_indicators("Case", [ADDRESS], "t"))
    assert caught.value.applied is Applied.NO


@pytest.mark.parametrize("answer", [httpx.Response(200, text="ok"), httpx.Response(200, json={"ok": True})])
async def test_an_answer_that_cannot_be_read_may_have_had_its_effect(fake, misp, live, answer):
    """The attributes were sent."""
    begin(fake)
    fake.answers += [answer]
    with pytest.raises(Invalid) as caught:
        await live(misp.share_indicators("Case", [ADDRESS], "t"))
    assert caught.value.applied is Applied.MAYBE


@pytest.mark.parametrize(
    ("kind", "value", "made"),
    [
        ("cidr", "203.0.113.0/24", ("Network activity", "ip-dst")),
        ("url", "http://x.example/A", ("Network activity", "url")),
        ("email", "bad@evil.example", ("Payload delivery", "email-src")),
        ("md5", "a" * 32, ("Payload delivery", "md5")),
        ("sha256", "a" * 64, ("Payload delivery", "sha256")),
    ],
)
async def test_each_kind_has_its_type(fake, misp, live, kind, value, made):
    """With a category that MISP allows for it."""
    begin(fake)
    fake.answers += [saved(value)]
    await live(misp.share_indicators("Case", [Indicator(kind=kind, value=value)], "t"))
    (sent,) = fake.asked(-1)[2]
    assert (sent["category"], sent["type"], sent["value"]) == (*made, value)
