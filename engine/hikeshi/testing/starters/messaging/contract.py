"""Acme keeps the contract of every connector, against its simulator."""

from collections.abc import Callable
from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState
from hikeshi.testing.starters.messaging.connector import Acme
from hikeshi.testing.starters.messaging.simulator import AcmeSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def estate() -> EstateState:
    return EstateState("small", BASE, channels={"c-1": Channel("c-1", "soc"), "c-2": Channel("c-2", "soc-on-call")})


def said(text: str) -> Callable[[Estate], bool]:
    return lambda estate: [message.text for message in estate.messages] == [text]


CONTRACT = Contract(
    connector=Acme,
    simulator=AcmeSimulator,
    estate=estate,
    cases=[
        Case("messaging.post", {"channel": "#soc", "text": "a & b", "severity": "low"}, expect=said("[LOW] a & b")),
        Case("messaging.page", {"to": "soc_oncall", "text": "come"}, expect=said("[HIGH] @everybody come")),
    ],
)
