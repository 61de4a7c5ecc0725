"""What is sent to PagerDuty, what its answers mean, and where its keys are not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Invalid, NotFound, RateLimited, Secret, Unauthorized, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, SecretUnavailable
from hikeshi_connectors.pagerduty import PagerDuty

USUAL, OWN = "a" * 32, "b" * 32
EVENTS = "https://events.pagerduty.com/v2"


def pagerduty(router: respx.MockRouter, **settings: Any) -> PagerDuty:
    given = {
        "routing_key": Secret.of_value(USUAL),
        "on_call": {"soc": None, "network": Secret.of_value(OWN)},
        "channels": {"#Changes": None},
        **settings,
    }
    connector = build(PagerDuty, "pd", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, PagerDuty)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.page", intended=True, key=key)


def events() -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    accepted = {"status": "success", "message": "Event processed", "dedup_key": "d-1"}
    router.post(f"{EVENTS}/enqueue").respond(202, json=accepted)
    router.post(f"{EVENTS}/change/enqueue").respond(202, json={"status": "success"})
    return router


def sent(router: respx.MockRouter, at: int = -1) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(router.calls[at].request.content)
    return body


async def test_a_page_triggers_an_alert_at_the_service_of_the_name():
    """With the key of that name, in the body and in no header, and the answer's dedup_key as the ID."""
    router = events()
    with through(door()):
        message = await pagerduty(router).page("Network", "host\nisolated", severity="critical")
    request = router.calls.last.request
    body = sent(router)
    assert (message.id, message.channel) == ("d-1", "Network")
    assert body.pop("dedup_key").startswith("hikeshi-")
    assert body == {
        "routing_key": OWN,
        "event_action": "trigger",
        "payload": {
            "summary": "host isolated",
            "source": "hikeshi",
            "severity": "critical",
            "custom_details": {"text": "host\nisolated"},
        },
    }
    assert OWN not in str(request.headers)
    assert "x-hikeshi-routing-key" not in request.headers
    assert int(request.headers["content-length"]) == len(request.content)


async def test_a_post_is_a_change_event_without_severity():
    """At the usual service where the name has no key of its own."""
    router = events()
    with through(door()):
        message = await pagerduty(router).post("changes", "done", severity="low")
    assert sent(router) == {"routing_key": USUAL, "payload": {"summary": "[LOW] done", "source": "hikeshi"}}
    assert router.calls.last.request.url.path == "/v2/change/enqueue"
    assert message.id.startswith("change:hikeshi-")


@pytest.mark.safety(17)
async def test_the_same_page_has_the_same_dedup_key():
    """So that PagerDuty counts it for the same alert; another one has another."""
    router = events()
    for key in ("run/1", "run/1", "run/2"):
        with through(door(key)):
            await pagerduty(router).page("soc", "come")
    first, again, other = (sent(router, at)["dedup_key"] for at in range(3))
    assert first == again != other


@pytest.mark.safety(26)
async def test_a_plan_names_the_key_and_does_not_show_it():
    """Not even where the secret is not there yet: nothing is revealed to plan."""
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_KEY}")
    with through(door(mode="plan")) as planned, pytest.raises(CaptureEnded):
        await pagerduty(events(), routing_key=missing).page("soc", "come")
    (request,) = planned.captured
    assert request.body["routing_key"] == "key of on call soc"
    assert planned.complete


async def test_a_key_that_is_not_there_sends_nothing():
    """And is told as what it is, not as something that may have been sent."""
    router, missing = events(), Secret.parse("${env:HIKESHI_TEST_NO_SUCH_KEY}")
    connector = pagerduty(router, routing_key=missing)
    with through(door()) as opened, pytest.raises(SecretUnavailable):
        await connector.page("soc", "come")
    assert not opened.sent
    with pytest.raises(SecretUnavailable):
        connector.check_secrets()
    assert not router.calls


@pytest.mark.parametrize("key", ["a\r\nX-Other: 1", "schlüssel-schlüssel", "two words"])
async def test_a_key_that_can_be_none_is_told_before_anything_is_sent(key: str):
    """It is not quoted."""
    router = events()
    with through(door()), pytest.raises(Unauthorized) as caught:
        await pagerduty(router, routing_key=Secret.of_value(key)).page("soc", "come")
    assert key not in str(caught.value)
    assert not router.calls


@pytest.mark.parametrize("name", ["", "nobody", "soc ", "*", "network\x00"])
async def test_an_unknown_name_wakes_nobody_else(name: str):
    """The error says who is known."""
    router = events()
    with through(door()), pytest.raises(NotFound, match="network, soc"):
        await pagerduty(router).page(name, "come")
    with through(door()), pytest.raises(NotFound, match="channels"):
        await pagerduty(router).post(name, "come")
    assert not router.calls


async def test_a_thread_is_refused():
    """Change events have none."""
    with through(door()), pytest.raises(Unsupported):
        await pagerduty(events()).post("changes", "more", thread="d-1")


async def test_long_texts_are_cut_with_a_note_and_stand_in_the_details():
    """The summary has 1024 characters at most."""
    router = events()
    with through(door()):
        await pagerduty(router).page("soc", "x" * 200_000)
    payload = sent(router)["payload"]
    assert len(payload["summary"]) <= 1024
    assert payload["summary"].endswith("characters cut)")
    assert len(payload["custom_details"]["text"]) <= 100_000
    with through(door()):
        await pagerduty(router).page("soc", " \n ")
    assert sent(router)["payload"]["summary"] == "(no text)"


@pytest.mark.parametrize(
    ("status", "body", "error", "applied"),
    [
        (400, {"errors": ["Invalid routing key"]}, Unauthorized, Applied.NO),
        (400, {"errors": ["Length of 'routing_key' is incorrect (should be 32 characters)"]}, Unauthorized, Applied.NO),
        (400, {"errors": ["'payload.summary' is missing or blank"]}, Invalid, Applied.NO),
        (413, {"message": "too large"}, Invalid, Applied.NO),
        (202, {"status": "invalid event"}, Invalid, Applied.MAYBE),
        (200, {"status": "success"}, Invalid, Applied.MAYBE),
        (202, {"status": "success"}, Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(status: int, body: Any, error: type[Exception], applied: Applied):
    """The last one does not say which alert it opened."""
    router = respx.MockRouter()
    router.post(f"{EVENTS}/enqueue").respond(status, json=body)
    with through(door()), pytest.raises(error) as caught:
        await pagerduty(router).page("soc", "come")
    assert caught.value.applied is applied  # type: ignore[attr-defined]


@pytest.mark.parametrize(("headers", "after_s"), [({}, 30.0), ({"retry-after": "7"}, 7.0)])
async def test_too_many_events_are_sent_again_later(headers: dict[str, str], after_s: float):
    """After what PagerDuty suggests, or what the answer says."""
    router = respx.MockRouter()
    router.post(f"{EVENTS}/enqueue").respond(429, headers=headers)
    with through(door()), pytest.raises(RateLimited) as caught:
        await pagerduty(router).page("soc", "come")
    assert caught.value.retry_after_s == after_s
