"""What is sent to a workflow of Teams: which address, which card, and what texts from outside can't do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import respx
from pydantic import ValidationError

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, NotFound, Secret, Unauthorized, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, SecretUnavailable
from hikeshi_connectors.teams import Teams
from hikeshi_connectors.teams.cards import LARGEST_BYTES, counted_bytes, fitting, post_card, question_card

BASE = "https://host.environment.example:443"
SIGNED = "/workflows/0a1b2c3d4e5f60718293/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers&sv=1.0&sig="
SIG, OTHER_SIG = "Xq7wU0pS1rT2vY3zA4bC5dE6", "Zz9yX8wV7uT6sR5qP4oN3mL2"
PERSON = {"channel": "#SOC", "user": "mei@corp.example", "name": "Mei"}


def teams(router: respx.MockRouter, redactor: Redactor | None = None, **settings: Any) -> Teams:
    given = {
        "base_url": BASE,
        "secret_url": Secret.of_value(f"{BASE}{SIGNED}{SIG}"),
        "channels": {"soc": None, "Net ops": Secret.of_value(SIGNED + OTHER_SIG)},
        "on_call": {"soc": PERSON},
        **settings,
    }
    transport = httpx.MockTransport(router.async_handler)
    connector = build(Teams, "teams", given, redactor or Redactor(), transport=transport)
    assert isinstance(connector, Teams)
    return connector


def door(mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.post", intended=True, key="run/1")


def workflows(status: int = 202, **answer: Any) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.post(host="host.environment.example").respond(status, **answer)
    return router


def card_of(router: respx.MockRouter) -> dict[str, Any]:
    (attachment,) = json.loads(router.calls.last.request.content)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    return card


@pytest.mark.parametrize(("channel", "sig"), [("#soc", SIG), ("SOC", SIG), ("net ops", OTHER_SIG)])
async def test_each_channel_has_the_address_of_its_workflow(channel: str, sig: str):
    """Given as a whole or from its path on; the signature arrives as it was copied, in the address alone."""
    router = workflows(headers={"x-ms-workflow-run-id": "0858"})
    with through(door()):
        message = await teams(router).post(channel, "hello")
    request = router.calls.last.request
    assert request.url.raw_path.decode() == SIGNED + sig
    assert request.headers["host"] == "host.environment.example"
    assert "x-hikeshi-address" not in request.headers
    assert (message.id, message.channel) == ("0858", channel)


@pytest.mark.safety(26)
async def test_a_plan_shows_the_channel_and_not_the_address():
    """And needs no secret."""
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_ADDRESS}")
    with through(door("plan")) as planned, pytest.raises(CaptureEnded):
        await teams(workflows(), secret_url=missing).post("soc", "hello")
    (request,) = planned.captured
    assert request.url == "https://host.environment.example/channels/soc"
    assert planned.complete


@pytest.mark.safety(26)
async def test_every_part_of_an_address_is_masked_once_it_was_used():
    """So that an error that repeats only the signature, or only the path, shows neither."""
    redactor = Redactor()
    with through(door()):
        await teams(workflows(), redactor).post("soc", "hello")
    for text in (f"{BASE}{SIGNED}{SIG}", f"sig={SIG}", SIGNED.partition("?")[0]):
        assert SIG not in redactor.text(text)
        assert "0a1b2c3d4e5f60718293" not in redactor.text(text)


async def test_an_address_that_is_not_there_sends_nothing():
    """And is told as what it is."""
    router, missing = workflows(), Secret.parse("${env:HIKESHI_TEST_NO_SUCH_ADDRESS}")
    connector = teams(router, secret_url=missing)
    with through(door()) as opened, pytest.raises(SecretUnavailable):
        await connector.post("soc", "hello")
    assert not opened.sent
    with pytest.raises(SecretUnavailable):
        connector.check_secrets()


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/workflows/x?sig=secret-of-a-length",
        "http://host.environment.example/workflows/x?sig=secret-of-a-length",
        "https://host.environment.example.evil.example/x?sig=secret-of-a-length",
        "https://host.environment.example@evil.example/x?sig=secret-of-a-length",
        "https://host.environment.example/x?sig=secret-of-a-length#soc",
        "no address, secret-of-a-length",
        "https://[secret-of-a-length",
        "/workflows/ü?sig=secret-of-a-length",
    ],
)
async def test_an_address_elsewhere_is_refused_and_not_quoted(address: str):
    """Only what is at base_url gets a request."""
    router = workflows()
    with through(door()), pytest.raises(Unauthorized) as caught:
        await teams(router, secret_url=Secret.of_value(address)).post("soc", "hello")
    assert "secret-of-a-length" not in str(caught.value)
    assert not router.calls


async def test_outside_text_is_no_markup():
    """Not of markdown, and it mentions nobody: it is a text run, and the card of a post lists no person."""
    router = workflows()
    with through(door()):
        await teams(router).post("soc", "<at>Mei</at> [a](https://evil.example)\n**b**", severity="high")
    card = card_of(router)
    assert [each["type"] for each in card["body"]] == ["TextBlock", "RichTextBlock", "RichTextBlock"]
    assert card["body"][0]["text"] == "[HIGH]"
    assert card["body"][1]["inlines"] == [{"type": "TextRun", "text": "<at>Mei</at> [a](https://evil.example)"}]
    assert "entities" not in card["msteams"]


async def test_a_page_mentions_the_person_in_the_settings():
    """In the channel that stands there."""
    router = workflows()
    with through(door()):
        await teams(router).page("SOC", "come", severity="critical")
    card = card_of(router)
    mentioned = {"id": "mei@corp.example", "name": "Mei"}
    assert card["msteams"]["entities"] == [{"type": "mention", "text": "<at>Mei</at>", "mentioned": mentioned}]
    assert card["body"][0]["text"] == "<at>Mei</at> [CRITICAL]"


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", "https://h.example/" + "x" * 2000])
def test_only_a_web_address_makes_a_button(link: str):
    """The question stands there without it as well."""
    card = question_card("Isolate?", [], ["x" * 400], 3, datetime(2026, 3, 2, tzinfo=UTC), link)
    assert "actions" not in card
    texts = [run["text"] for each in card["body"][1:] for run in each["inlines"]]
    assert texts[2].endswith("… (100 characters cut)")
    assert texts[3] == "… and 3 more"
    assert "2026-03-02 00:00 UTC" in texts[4]


@pytest.mark.parametrize(
    "text", ["a" * 60_000, "火" * 20_000, '"\\' * 9000, "\n" * 2000, "\ud800" * 40_000, "\x00" * 9000]
)
def test_a_text_that_a_message_can_not_hold_says_how_much_is_missing(text: str):
    """In bytes as Teams may count them, whatever the text consists of."""
    message = fitting(text, lambda shown: post_card(shown, "low"))
    assert counted_bytes(message) <= LARGEST_BYTES
    shown = message["attachments"][0]["content"]["body"][-1]["inlines"][0]["text"]
    assert shown.endswith("characters cut)")
    short = fitting("a" * 10_000, lambda shown: post_card(shown, None))
    assert "cut" not in json.dumps(short)


@pytest.mark.parametrize("name", ["", "nobody", "#", "soc/../x", "*"])
async def test_an_unknown_channel_or_person_is_not_found(name: str):
    """The error says which are known."""
    router = workflows()
    for call in (teams(router).post(name, "x"), teams(router).page(name, "x")):
        with through(door()), pytest.raises(NotFound, match="soc"):
            await call
    with through(door()), pytest.raises(Unsupported):
        await teams(router).post("soc", "x", thread="0858")
    assert not router.calls


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": {}},
        {"channels": {"a/b": None}},
        {"channels": {"..": None}},
        {"on_call": {"soc": {**PERSON, "name": "<at>x"}}},
        {"secret_url": "https://host.environment.example/x?sig=plain"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]):
    """A secret in plain text too, as everywhere."""
    with pytest.raises(ValidationError):
        teams(workflows(), **settings)


@pytest.mark.parametrize(
    ("status", "code", "error", "applied"),
    [
        (401, "AuthorizationFailed", Unauthorized, Applied.NO),
        (403, "", Forbidden, Applied.NO),
        (404, "WorkflowNotFound", NotFound, Applied.NO),
        (400, "WorkflowTriggerIsNotEnabled", Conflict, Applied.NO),
        (413, "RequestEntityTooLarge", Invalid, Applied.NO),
        (200, "", Invalid, Applied.MAYBE),
    ],
)
async def test_answers_become_the_right_error(status: int, code: str, error: type[Exception], applied: Applied):
    """With the code; the message, which names the workflow, is not quoted."""
    body = {"error": {"code": code, "message": "workflow 0a1b2c3d4e5f60718293"}}
    with through(door()), pytest.raises(error) as caught:
        await teams(workflows(status, json=body)).post("soc", "x")
    assert caught.value.applied is applied  # type: ignore[attr-defined]
    assert "0a1b2c3d4e5f60718293" not in str(caught.value)
    assert "POST host.environment.example/channels/soc" in str(caught.value)
