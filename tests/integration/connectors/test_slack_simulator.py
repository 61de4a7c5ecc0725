"""Slack against its simulator, over real HTTP."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Conflict, ConnectorError, Forbidden, NotFound, RateLimited, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Channel, Estate, EstateState, User
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.slack import Slack
from hikeshi_connectors.slack.simulator import SlackSimulator, direct_channel_id

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def user() -> User:
    return User(
        id="u-1", upn="jo@corp.example", sam="jo", display_name="Jo", department="IT", job_title="Admin", site="hq",
        sessions_valid_from=BASE, mail="Jo@corp.example",
    )  # fmt: skip


@pytest.fixture
def simulation() -> Simulation:
    channels = [
        Channel("C0SOC00001", "soc"),
        Channel("C0OLD00001", "old-soc", archived=True),
        Channel("C0ALL00001", "all", member=False),
        Channel("C0BOARD001", "board", member=False, private=True),
    ]
    state = EstateState(name="small", base=BASE, users={"u-1": user()}, channels={each.id: each for each in channels})
    return Simulation(Estate(state), [SlackSimulator])


@pytest.fixture
def base_url(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


def slack(base_url: str, **settings: Any) -> Slack:
    given = SlackSimulator.connector_settings(base_url)
    del given["product"]
    given["bot_token"] = Secret.of_value(given["bot_token"])
    connector = build(Slack, "slack", {**given, **settings}, Redactor())
    assert isinstance(connector, Slack)
    return connector


def live() -> Any:
    return through(Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True))


async def test_posted_message_is_in_the_channel_and_its_thread(simulation: Simulation, base_url: str):
    """A message by name and an answer by ID end up together."""
    connector = slack(base_url)
    with live():
        first = await connector.post("#soc", "one <!channel>")
    with live():
        await connector.post("soc", "two", thread=first.id)
    await connector.http.aclose()
    one, two = simulation.estate.messages
    assert (one.channel, one.text) == ("C0SOC00001", "one &lt;!channel&gt;")
    assert two.thread_ts == one.ts
    assert [change["applied"] for change in simulation.changes] == [True, True]


async def test_person_is_found_by_address_whatever_its_case(simulation: Simulation, base_url: str):
    """The lookup is a read; one message is the only change."""
    connector = slack(base_url)
    with live():
        message = await connector.message_person("jo@CORP.example", "hello")
    await connector.http.aclose()
    assert message.channel == direct_channel_id(user()) == simulation.estate.messages[0].channel
    assert len(simulation.changes) == 1


@pytest.mark.parametrize(
    ("channel", "kind"),
    [("#nowhere", NotFound), ("#board", NotFound), ("#all", Forbidden), ("#old-soc", Conflict), ("*", NotFound),
     ("a' or 'x'='x", NotFound), ('"', NotFound), ("</entry>", NotFound), ("C0NOWHERE1", NotFound)],
)  # fmt: skip
async def test_channel_that_cannot_be_posted_to(
    simulation: Simulation, base_url: str, channel: str, kind: type[ConnectorError]
):
    """Slack's reason arrives as its class, and nothing is posted."""
    connector = slack(base_url)
    with live(), pytest.raises(kind):
        await connector.post(channel, "x")
    await connector.http.aclose()
    assert not simulation.estate.messages
    assert [change["applied"] for change in simulation.changes] == [False]


async def test_wrong_token_is_unauthorized(base_url: str):
    """A token Slack does not know is told as such."""
    connector = slack(base_url, bot_token=Secret.of_value("xoxb-of-somebody-else"))
    with live(), pytest.raises(Unauthorized, match="invalid_auth"):
        await connector.post("#soc", "x")
    await connector.http.aclose()


async def test_rate_limit_arrives_with_its_delay(simulation: Simulation, base_url: str):
    """429 and Retry-After become RateLimited with the seconds."""
    simulation.faults.add(Fault(product="slack", too_many_requests_s=12))
    connector = slack(base_url)
    with live(), pytest.raises(RateLimited) as caught:
        await connector.post("#soc", "x")
    await connector.http.aclose()
    assert caught.value.retry_after_s == 12


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"{}", "not_authed"),
        (
            {"Authorization": "Bearer xoxb-simulated-not-a-secret", "Content-Type": "text/csv"},
            b"a",
            "invalid_post_type",
        ),
        (
            {"Authorization": "Bearer xoxb-simulated-not-a-secret", "Content-Type": "application/json"},
            b"{",
            "invalid_json",
        ),
        ({"Authorization": "Bearer xoxb-simulated-not-a-secret"}, b"channel=C0SOC00001&text=", "no_text"),
    ],
)
def test_simulator_refuses_what_slack_refuses(base_url: str, headers: dict[str, str], body: bytes, code: str):
    """A wrong request fails as at Slack: status 200, ok false, a code."""
    request = urllib.request.Request(f"{base_url}/slack/chat.postMessage", data=body, headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
        assert json.load(answer) == {"ok": False, "error": code}
