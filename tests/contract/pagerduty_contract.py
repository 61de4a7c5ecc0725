"""How the contract kit calls PagerDuty."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Channel, Estate, EstateState
from hikeshi_connectors.pagerduty import PagerDuty
from hikeshi_connectors.pagerduty.simulator import PagerDutySimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def estate() -> EstateState:
    return EstateState("small", BASE, channels={"C0SOC00001": Channel("C0SOC00001", "soc")})


def opened(estate: Estate) -> bool:
    (alert,) = estate.product_state["pagerduty"]["alerts"].values()
    return (alert["summary"], alert["severity"], alert["times"]) == ("come", "error", 1)


def noted(estate: Estate) -> bool:
    (change,) = estate.product_state["pagerduty"]["changes"]
    return change["summary"] == "[LOW] host isolated" and not estate.messages


CONTRACT = Contract(
    connector=PagerDuty,
    simulator=PagerDutySimulator,
    estate=estate,
    volatile=("product_state",),
    cases=[
        Case("messaging.page", {"to": "soc_oncall", "text": "come"}, expect=opened),
        Case("messaging.post", {"channel": "#soc", "text": "host isolated", "severity": "low"}, expect=noted),
    ],
    exempt={"rate_limit_hint": "PagerDuty names no delay; it suggests 30 s, and that is what is waited"},
)
