"""What the Matrix connector sends and reads: shapes of requests, contents of messages, and replies in every form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect
from hikeshi.connector import Invalid, NotFound, RateLimited, Secret, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.matrix import Matrix
from hikeshi_connectors.matrix.event_text import conclusion_content, question_content, text_content
from hikeshi_connectors.matrix.replies import reply_of

API = "https://matrix.example/_matrix/client/v3"
ROOM, EVENT = "!room:example", "$event"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASKED = {"run": "r-1", "path": "sure", "digest": "abcd1234" + "0" * 56}


def matrix(router: respx.MockRouter) -> Matrix:
    settings = {"access_token": Secret.of_value("syt_unit"), "base_url": "https://matrix.example"}
    transport = httpx.MockTransport(router.async_handler)
    connector = build(Matrix, "matrix", settings, Redactor(), transport=transport)
    assert isinstance(connector, Matrix)
    return connector


def door(key: str = "", mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.post", intended=True, key=key)


def homeserver(*, joined: bool = True, encryption: httpx.Response | None = None) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.get(f"{API}/account/whoami").respond(json={"user_id": "@bot:example"})
    router.get(f"{API}/joined_rooms").respond(json={"joined_rooms": [ROOM] if joined else []})
    router.get(url__regex=r".*/directory/room/.*").respond(json={"room_id": ROOM, "servers": ["example", "other"]})
    state = encryption or httpx.Response(404, json={"errcode": "M_NOT_FOUND"})
    router.get(url__regex=r".*/state/m\.room\.encryption").mock(return_value=state)
    router.post(url__regex=r".*/join/.*").respond(json={"room_id": ROOM})
    router.put(url__regex=r".*/send/.*").respond(json={"event_id": EVENT})
    return router


def sent(router: respx.MockRouter) -> list[httpx.Request]:
    return [call.request for call in router.calls if call.request.method == "PUT"]


async def test_the_same_notification_is_sent_under_the_same_id():
    """So that a homeserver takes it once, however often it comes; another one has another ID."""
    router = homeserver()
    connector = matrix(router)
    for key in ("run/1", "run/1", "run/2"):
        with through(door(key)):
            message = await connector.post("#soc:example", "hello")
    first, again, other = (request.url.path.rpartition("/")[2] for request in sent(router))
    assert first == again != other
    assert (message.id, message.channel) == (f"{ROOM}|{EVENT}", ROOM)
    assert json.loads(sent(router)[0].content) == {"msgtype": "m.text", "body": "hello", "m.mentions": {}}
    assert sent(router)[0].headers["authorization"] == "Bearer syt_unit"


async def test_a_room_is_joined_by_way_of_the_servers_that_know_it():
    """Nothing is joined twice, and a plan says that it can't see beyond."""
    router = homeserver(joined=False)
    with through(door()):
        await matrix(router).post("#soc:example", "hello")
    (join,) = [call.request for call in router.calls if call.request.method == "POST"]
    assert join.url.params.get_list("via") == ["example", "other"]
    with through(door(mode="plan")) as planned, pytest.raises(CaptureEnded):
        await matrix(homeserver(joined=False)).post("#soc:example", "hello")
    assert not planned.complete


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json={"algorithm": "m.megolm.v1.aes-sha2"}), Unsupported),
        (httpx.Response(404, json={"errcode": "M_UNRECOGNIZED"}), NotFound),
        (httpx.Response(404, html="<p>not here"), NotFound),
    ],
)
async def test_nothing_is_said_where_encryption_is_on_or_not_known(answer: httpx.Response, error: type[Exception]):
    """Only a homeserver that says so itself proves that a room has none."""
    router = homeserver(encryption=answer)
    with through(door()), pytest.raises(error):
        await matrix(router).post(ROOM, "hello")
    assert not sent(router)


@pytest.mark.parametrize("channel", ["soc", "#a/b:example", "!a/../b:example", "#a%2fb:example", "", "@mei:example"])
async def test_what_is_no_room_is_refused(channel: str):
    """Before anything is asked of the homeserver."""
    router = homeserver()
    with through(door()), pytest.raises(Invalid):
        await matrix(router).post(channel, "hello")
    assert not router.calls


async def test_an_alias_without_a_server_is_one_of_the_own_homeserver():
    """So that the same name may stand for a channel of Slack and for a room."""
    router = homeserver()
    with through(door()):
        await matrix(router).post("#soc", "hello")
    assert any(call.request.url.raw_path.endswith(b"/directory/room/%23soc%3Aexample") for call in router.calls)


async def test_the_delay_that_older_homeservers_ask_for_is_in_the_body():
    """In milliseconds."""
    router = homeserver()
    router.put(url__regex=r".*/send/.*").respond(429, json={"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1500})
    with through(door()), pytest.raises(RateLimited) as caught:
        await matrix(router).post(ROOM, "hello")
    assert caught.value.retry_after_s == 1.5


@pytest.mark.safety(28)
async def test_a_question_is_read_from_our_own_messages_alone():
    """Whoever writes the same into a message of theirs has asked nothing."""
    router = homeserver()
    event = {"sender": "@bot:example", "content": {"io.hikeshi.question": ASKED}}
    route = router.get(url__regex=r".*/event/.*").respond(json=event)
    connector = matrix(router)
    found = await connector.question_at(ROOM, EVENT)
    assert found is not None
    assert found.model_dump() == ASKED
    for changed in ({"sender": "@mei:example"}, {"content": {}}, {"content": {"io.hikeshi.question": [1]}}):
        route.respond(json={**event, **changed})
        assert await connector.question_at(ROOM, EVENT) is None


async def test_what_a_sync_leaves_out_is_read_page_by_page():
    """Oldest first, back to the place of the last look."""
    router = homeserver()

    def message(number: int) -> dict[str, Any]:
        relation = {"m.in_reply_to": {"event_id": EVENT}}
        content = {"msgtype": "m.text", "body": str(number), "m.relates_to": relation}
        return {"type": "m.room.message", "event_id": f"$e{number}", "sender": "@mei:example", "content": content}

    timeline = {"limited": True, "prev_batch": "p3", "events": [message(5)]}
    router.get(f"{API}/sync").respond(json={"next_batch": "s9", "rooms": {"join": {ROOM: {"timeline": timeline}}}})
    pages = {"p3": {"chunk": [message(4), message(3)], "end": "p2"}, "p2": {"chunk": [message(2)]}}
    router.get(url__regex=r".*/messages").mock(
        side_effect=lambda request: httpx.Response(200, json=pages[request.url.params["from"]])
    )
    news = await matrix(router).replies("s1")
    assert [each.body for each in news.replies] == ["2", "3", "4", "5"]
    assert news.since == "s9"


def reply(**content: Any) -> dict[str, Any]:
    base = {"msgtype": "m.text", "body": "approve", "m.relates_to": {"m.in_reply_to": {"event_id": EVENT}}}
    return {"type": "m.room.message", "event_id": "$r", "sender": "@mei:example", "content": {**base, **content}}


@pytest.mark.parametrize(
    ("event", "body", "to"),
    [
        (reply(), "approve", EVENT),
        (reply(body="> <@bot:example> Approval\n> reject\n\napprove"), "approve", EVENT),
        (reply(body="approve\n> not a fallback"), "approve\n> not a fallback", EVENT),
        (
            reply(**{"m.relates_to": {"rel_type": "m.thread", "event_id": "$root", "is_falling_back": True}}),
            "approve",
            "$root",
        ),
    ],
)
def test_replies_of_every_form_are_understood(event: dict[str, Any], body: str, to: str):
    """With a quotation before it as older clients write it, and in a thread."""
    found = reply_of(ROOM, event, "@bot:example")
    assert found is not None
    assert (found.body, found.to, found.sender) == (body, to, "@mei:example")


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        reply(msgtype="m.notice"),
        reply(body=None),
        reply(**{"m.relates_to": None}),
        reply(**{"m.relates_to": {"rel_type": "m.replace", "event_id": EVENT}}),
        reply(**{"m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}),
        {**reply(), "sender": "@bot:example"},
        {**reply(), "type": "m.room.encrypted"},
        {**reply(), "event_id": None},
        {**reply(), "content": None},
    ],
)
def test_what_is_no_reply_is_none(event: Any):
    """Notices, edits, our own messages, what can't be read, and what was taken back."""
    assert reply_of(ROOM, event, "@bot:example") is None


def test_outside_text_is_escaped_and_notifies_nobody():
    """In the HTML of a message; its plain body is what it is."""
    content = question_content("<b>@room</b>", ["<i>"], ["a & b"], 3, AT, "https://h.example/?a=1&b", ASKED)
    html = content["formatted_body"]
    assert "&lt;b&gt;@room&lt;/b&gt;" in html
    assert "<li>a &amp; b</li><li>… and 3 more</li>" in html
    assert '<a href="https://h.example/?a=1&amp;b">' in html
    assert content["m.mentions"] == {}
    over = conclusion_content(EVENT, "<b>", "Approved by <i>.", "javascript:alert(1)")
    assert "&lt;b&gt;" in over["formatted_body"]
    assert "javascript" not in over["formatted_body"]
    assert over["m.new_content"]["m.mentions"] == {}


def test_a_text_that_an_event_can_not_hold_says_how_much_is_missing():
    """In bytes as they are sent, whatever the text consists of."""
    for character in ("a", "火", "\x00", '"'):
        content = text_content(character * 60_000)
        assert len(json.dumps(content, ensure_ascii=False).encode()) < 65_000
        kept = content["body"].partition("…")[0]
        assert content["body"].endswith(f"… ({60_000 - len(kept)} characters cut)")
    assert text_content("a" * 30_000)["body"] == "a" * 30_000
