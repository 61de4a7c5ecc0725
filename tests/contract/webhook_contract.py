"""How the contract kit calls the signed webhook."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.webhook import Webhook
from hikeshi_connectors.webhook.simulator import WebhookSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def told(channel: str, text: str, thread: str | None = None):
    def expect(estate: Estate) -> bool:
        return [(each.channel, each.text, each.thread_ts) for each in estate.messages] == [(channel, text, thread)]

    return expect


CONTRACT = Contract(
    connector=Webhook,
    simulator=WebhookSimulator,
    estate=lambda: EstateState("small", BASE),
    volatile=("product_state",),
    cases=[
        Case(
            "messaging.post",
            {"channel": "#soc", "text": "a & <b>", "severity": "low", "thread": "msg_1"},
            expect=told("#soc", "a & <b>", "msg_1"),
        ),
        Case("messaging.page", {"to": "soc_oncall", "text": "come"}, expect=told("soc_oncall", "come")),
    ],
    exempt={
        "strange_bodies": "the specification has a receiver answer with a status, whatever its body",
        "secrets_are_never_shown": "a signature is no credential, but is taken for one; a test of its own says so",
    },
)
