"""How the contract kit calls Microsoft Teams."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState
from hikeshi_connectors.teams import Teams
from hikeshi_connectors.teams.simulator import TeamsSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASKED = {"run": "r-1", "path": "sure", "digest": "d" * 64, "question": "Isolate <at>PC-7</at>?"}


def estate() -> EstateState:
    return EstateState("small", BASE, channels={"C0SOC00001": Channel("C0SOC00001", "soc")})


def said(text: str):
    def expect(estate: Estate) -> bool:
        return [message.text for message in estate.messages] == [text]

    return expect


def asked(estate: Estate) -> bool:
    (message,) = estate.messages
    (card,) = message.blocks
    button = {"type": "Action.OpenUrl", "title": "See and decide", "url": "https://h.example/runs/r-1#sure"}
    return card["actions"] == [button] and "Isolate <at>PC-7</at>?\n" in message.text and "• PC-7" in message.text


CONTRACT = Contract(
    connector=Teams,
    simulator=TeamsSimulator,
    estate=estate,
    volatile=("product_state",),
    cases=[
        Case(
            "messaging.post",
            {"channel": "#SOC", "text": "a & [b](c)", "severity": "low"},
            expect=said("[LOW]\na & [b](c)"),
        ),
        Case("messaging.page", {"to": "soc_oncall", "text": "come"}, expect=said("<at>SOC on call</at> [HIGH]\ncome")),
        Case(
            "messaging.ask",
            {"channel": "soc", "due_at": BASE, "targets": ["PC-7"], "link": "https://h.example/runs/r-1#sure", **ASKED},
            expect=asked,
        ),
    ],
    exempt={
        "plan_equals_what_is_sent": "the address is the credential; in plans the name of the channel stands for it",
        "secrets_are_never_shown": "the credential is an address; tests of its own look at everything but the wire",
    },
)
