"""The HTTP shapes of Slack: what is sent for each action, what comes back, and what a plan shows."""

import json
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect, Message
from hikeshi.connector import Applied, Invalid, NotFound, Secret, Unauthorized
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.slack import Slack

TOKEN = "xoxb-unit-test-token"
POSTED = {"ok": True, "channel": "C1H9RESGL", "ts": "1503435956.000247"}
QUIET = {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


def slack(router: respx.MockRouter, **settings: Any) -> Slack:
    connector = build(
        Slack,
        "slack",
        {"bot_token": Secret.of_value(TOKEN), **settings},
        Redactor(),
        transport=httpx.MockTransport(router.async_handler),
    )
    assert isinstance(connector, Slack)
    return connector


def door(mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.post", intended=True)


def router_for_posts(answer: dict[str, Any] | None = None) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.post("https://slack.com/api/chat.postMessage").respond(json=answer or POSTED)
    return router


def sent(router: respx.MockRouter) -> dict[str, Any]:
    assert len(router.calls) == 1
    body: dict[str, Any] = json.loads(router.calls.last.request.content)
    return body


async def test_post_sends_one_json_request_with_the_bot_token():
    """The message goes to chat.postMessage as JSON, and its ID names channel and ts."""
    router = router_for_posts()
    with through(door()):
        message = await slack(router).post("#soc", "host isolated", severity="high")
    assert message == Message(connector="slack", id="C1H9RESGL:1503435956.000247", channel="C1H9RESGL")
    assert sent(router) == {"channel": "#soc", "text": "[HIGH] host isolated", **QUIET}
    request = router.calls.last.request
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("soc", "#soc"),
        ("#SOC", "#soc"),
        ("C1H9RESGL", "C1H9RESGL"),
        ("U012AB3CDE", "U012AB3CDE"),
        ("critical", "#critical"),
    ],
)
async def test_channel_is_given_by_name_or_id(given: str, address: str):
    """IDs go out as they are, names in lower case after a '#'."""
    router = router_for_posts()
    with through(door()):
        await slack(router).post(given, "x")
    assert sent(router)["channel"] == address


@pytest.mark.parametrize("empty", ["", "#", "  ", "# "])
async def test_empty_channel_is_refused_before_anything_is_sent(empty: str):
    """No name is no channel."""
    router = router_for_posts()
    with through(door()), pytest.raises(Invalid, match="empty"):
        await slack(router).post(empty, "x")
    assert not router.calls


async def test_thread_answers_where_the_message_is():
    """The ID of a message gives channel and thread_ts; the channel's name does not matter then."""
    router = router_for_posts()
    with through(door()):
        await slack(router).post("#soc", "more", thread="C1H9RESGL:1503435956.000247")
    assert sent(router) == {"channel": "C1H9RESGL", "text": "more", "thread_ts": "1503435956.000247", **QUIET}


@pytest.mark.parametrize("thread", ["", "C1H9RESGL", "1503435956.000247", "#soc:1503435956.000247", "C1:1.2\n"])
async def test_thread_that_is_no_message_id_is_refused(thread: str):
    """What posting did not return is no thread."""
    router = router_for_posts()
    with through(door()), pytest.raises(Invalid, match="not the ID of a Slack message"):
        await slack(router).post("#soc", "more", thread=thread)
    assert not router.calls


async def test_thread_in_another_channel_is_refused():
    """A channel's ID and a thread elsewhere contradict each other."""
    with through(door()), pytest.raises(Invalid, match="not in the channel"):
        await slack(router_for_posts()).post("C0THER0000", "more", thread="C1H9RESGL:1503435956.000247")


async def test_page_mentions_the_person_in_the_settings():
    """A person on call gets a direct message that mentions them."""
    router = router_for_posts()
    with through(door()):
        await slack(router, on_call={"SOC": "U012AB3CDE"}).page("soc", "come <!everyone>", severity="critical")
    assert sent(router)["channel"] == "U012AB3CDE"
    assert sent(router)["text"] == "<@U012AB3CDE> [CRITICAL] come &lt;!everyone&gt;"


async def test_page_notifies_everybody_in_the_channel_in_the_settings():
    """A channel on call is notified as a whole."""
    router = router_for_posts()
    with through(door()):
        await slack(router, on_call={"net": "#net-ops"}).page("net", "come")
    assert (sent(router)["channel"], sent(router)["text"]) == ("#net-ops", "<!channel> [HIGH] come")


async def test_page_of_an_unknown_name_lists_the_known_ones():
    """Nobody is paged by a guess."""
    router = router_for_posts()
    with through(door()), pytest.raises(NotFound, match=r"known: net, soc"):
        await slack(router, on_call={"soc": "U012AB3CDE", "net": "#net-ops"}).page("sock", "come")
    assert not router.calls


async def test_message_person_looks_the_address_up_and_writes_to_the_person():
    """users.lookupByEmail gives the ID that chat.postMessage takes."""
    router = router_for_posts({"ok": True, "channel": "D024BE91L", "ts": "1.000001"})
    lookup = router.get("https://slack.com/api/users.lookupByEmail", params={"email": "jo+x@corp.example"})
    lookup.respond(json={"ok": True, "user": {"id": "U012AB3CDE", "deleted": False}})
    with through(door()):
        message = await slack(router).message_person("jo+x@corp.example", "hello")
    assert message.id == "D024BE91L:1.000001"
    assert json.loads(router.calls.last.request.content)["channel"] == "U012AB3CDE"


async def test_message_to_a_deactivated_person_is_refused():
    """Nobody reads what a deactivated account gets."""
    router = router_for_posts()
    lookup = router.get("https://slack.com/api/users.lookupByEmail")
    lookup.respond(json={"ok": True, "user": {"id": "U012AB3CDE", "deleted": True}})
    with through(door()), pytest.raises(Invalid, match="deactivated"):
        await slack(router).message_person("jo@corp.example", "hello")
    assert len(router.calls) == 1


async def test_plan_shows_the_whole_message_and_sends_nothing():
    """The preview is complete, although the answer would be read."""
    router = router_for_posts()
    planned = door("plan")
    with through(planned), pytest.raises(CaptureEnded):
        await slack(router).post("#soc", "host isolated")
    assert planned.finished
    assert [(each.method, each.url, each.body) for each in planned.captured] == [
        ("POST", "https://slack.com/api/chat.postMessage", {"channel": "#soc", "text": "host isolated", **QUIET})
    ]
    assert not router.calls


async def test_http_401_is_unauthorized():
    """A proxy's 401 counts too."""
    router = respx.MockRouter()
    router.post("https://slack.com/api/chat.postMessage").respond(401)
    with through(door()), pytest.raises(Unauthorized) as caught:
        await slack(router).post("#soc", "x")
    assert caught.value.applied is Applied.NO
