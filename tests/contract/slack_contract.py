"""How the contract kit calls Slack."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState, User
from hikeshi_connectors.slack import Slack
from hikeshi_connectors.slack.simulator import SlackSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def estate() -> EstateState:
    person = User("u-1", "jo@corp.example", "jo", "Jo", "IT", "Admin", "hq", BASE, mail="jo@corp.example")
    return EstateState("small", BASE, users={"u-1": person}, channels={"C0SOC00001": Channel("C0SOC00001", "soc")})


def said(text: str):
    def expect(estate: Estate) -> bool:
        return [message.text for message in estate.messages] == [text]

    return expect


CONTRACT = Contract(
    connector=Slack,
    simulator=SlackSimulator,
    estate=estate,
    settings={"on_call": {"soc": "#soc"}},
    cases=[
        Case("messaging.post", {"channel": "#soc", "text": "a & b", "severity": "low"}, expect=said("[LOW] a &amp; b")),
        Case("messaging.page", {"to": "soc", "text": "come"}, expect=said("<!channel> [HIGH] come")),
        Case("messaging.message_person", {"email": "jo@corp.example", "text": "hello"}, expect=said("hello")),
    ],
)
