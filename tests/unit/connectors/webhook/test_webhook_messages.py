"""What a signed webhook is: its body, its ID, its signature, and where it may go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest
import respx
from pydantic import ValidationError

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Invalid, NotFound, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.webhook import Webhook
from hikeshi_connectors.webhook.signing_key import key_of

KEY = bytes(range(32))
ADDRESS = "https://10.0.0.5/hooks/hikeshi"


def webhook(router: respx.MockRouter, key: str | None = None, **settings: Any) -> Webhook:
    text = "whsec_" + base64.b64encode(KEY).decode() if key is None else key
    given = {"base_url": ADDRESS, "signing_key": Secret.of_value(text), **settings}
    connector = build(Webhook, "hook", given, Redactor(), transport=httpx.MockTransport(router.async_handler))
    assert isinstance(connector, Webhook)
    return connector


def door(key: str = "run/1", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.post", intended=True, key=key)


def receiver(status: int = 204, **answer: Any) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.post(ADDRESS).respond(status, **answer)
    return router


async def test_a_message_is_signed_over_id_time_and_body():
    """As the specification says, to the very address that is configured, be it a private one."""
    router = receiver()
    with through(door()):
        message = await webhook(router).post("#soc", "grüß\nGott", severity="low", thread="msg_1")
    request = router.calls.last.request
    id_, sent_at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    content = f"{id_}.{sent_at}.".encode() + request.content
    digest = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert abs(time.time() - int(sent_at)) < 10
    assert (message.id, message.channel) == (id_, "#soc")
    body = json.loads(request.content)
    assert body.pop("timestamp").endswith("+00:00")
    data = {"channel": "#soc", "text": "grüß\nGott", "severity": "low", "thread": "msg_1"}
    assert body == {"type": "hikeshi.message.posted", "data": data}


@pytest.mark.safety(17)
async def test_the_same_message_has_the_same_id():
    """Another one has another, and a page says what it is."""
    router = receiver()
    for key in ("run/1", "run/1", "run/2"):
        with through(door(key)):
            await webhook(router).page("soc", "come")
    first, again, other = (call.request.headers["webhook-id"] for call in router.calls)
    assert first == again != other
    body = json.loads(router.calls.last.request.content)
    assert (body["type"], body["data"]) == (
        "hikeshi.person.paged",
        {"to": "soc", "text": "come", "severity": "high"},
    )


async def test_a_plan_shows_the_whole_message_and_needs_no_key():
    """Without a signature: that is made when it is sent."""
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_KEY}")
    with through(door(mode="plan")) as planned:
        await webhook(receiver(), signing_key=missing).post("soc", "hello")
    (request,) = planned.captured
    assert (request.url, request.body["data"]["text"], request.volatile) == (ADDRESS, "hello", ("timestamp",))
    assert planned.complete


@pytest.mark.parametrize("key", ["whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all, but long enough", "x" * 200])
async def test_what_is_no_key_sends_nothing(key: str):
    """And is not quoted."""
    router = receiver()
    with through(door()) as opened, pytest.raises(Unauthorized) as caught:
        await webhook(router, key).post("soc", "hello")
    assert key.removeprefix("whsec_") not in str(caught.value) or key == "whsec_"
    assert not opened.sent
    assert not router.calls


def test_a_key_may_be_written_in_either_alphabet():
    """With and without prefix and padding."""
    raw = b"\xfb\xff\xfe" * 11
    forms = [base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")]
    assert {key_of(prefix + each.decode()) for each in forms for prefix in ("", "whsec_")} == {raw}


@pytest.mark.parametrize(
    "address",
    [
        "http://automation.corp.example/hooks",
        "https://me:word@automation.corp.example/",
        "https://automation.corp.example/?token=1",
        "ftp://automation.corp.example/",
        "https:///hooks",
    ],
)
def test_addresses_that_leak_or_mislead_are_refused(address: str):
    """Only this machine is spoken to without TLS."""
    with pytest.raises(ValidationError):
        webhook(receiver(), base_url=address)
    webhook(receiver(), base_url="http://127.0.0.1:8000/hooks")


async def test_names_may_be_limited():
    """Without a list the receiver judges them."""
    connector = webhook(receiver(), channels=["#soc"], on_call=["duty"])
    for call in (connector.post("sock", "x"), connector.page("soc", "x")):
        with through(door()), pytest.raises(NotFound, match=r"known: (#soc|duty)"):
            await call
    with through(door()):
        await connector.post("SOC", "x" * 20_000)


@pytest.mark.parametrize(
    ("answer", "error", "applied"),
    [
        ({"status": 401}, Unauthorized, Applied.NO),
        ({"status": 410}, Invalid, Applied.NO),
        ({"status": 502}, Unavailable, Applied.MAYBE),
        ({"status": 200, "html": "<p>sign in"}, Invalid, Applied.MAYBE),
    ],
)
async def test_the_status_says_how_it_went(answer: dict[str, Any], error: type[Exception], applied: Applied):
    """And a web page is no receiver."""
    with through(door()), pytest.raises(error) as caught:
        await webhook(receiver(**answer)).post("soc", "x")
    assert caught.value.applied is applied  # type: ignore[attr-defined]
