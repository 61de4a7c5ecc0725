"""How the contract kit calls Slack."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState, Message, User
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


ASKED = {"run": "r-1", "path": "sure", "digest": "d" * 64, "question": "Isolate <PC-7>?"}


def asked(estate: Estate) -> bool:
    (message,) = estate.messages
    values = [each["value"] for each in message.blocks[-1]["elements"]]
    return "&lt;PC-7&gt;" in str(message.blocks) and all('"digest":"dddd' in value for value in values)


def post(estate: Estate) -> None:
    estate.messages.append(Message(BASE, "C0SOC00001", "1000.000001", "Isolate?", blocks=[{"type": "actions"}]))


def concluded(estate: Estate) -> bool:
    (message,) = estate.messages
    return "Approved by Mei" in message.text and {each["type"] for each in message.blocks} == {"section"}


CONTRACT = Contract(
    connector=Slack,
    simulator=SlackSimulator,
    estate=estate,
    settings={"on_call": {"soc": "#soc"}},
    cases=[
        Case("messaging.post", {"channel": "#soc", "text": "a & b", "severity": "low"}, expect=said("[LOW] a &amp; b")),
        Case("messaging.page", {"to": "soc", "text": "come"}, expect=said("<!channel> [HIGH] come")),
        Case("messaging.message_person", {"email": "jo@corp.example", "text": "hello"}, expect=said("hello")),
        Case(
            "messaging.ask",
            {
                "channel": "#soc",
                "due_at": BASE,
                "targets": ["PC-7"],
                "link": "https://h.example/runs/r-1#sure",
                **ASKED,
            },
            expect=asked,
        ),
        Case(
            "messaging.conclude",
            {"message": "C0SOC00001:1000.000001", "outcome": "Approved by Mei.", "question": "Isolate?"},
            arrange=post,
            expect=concluded,
        ),
    ],
)
