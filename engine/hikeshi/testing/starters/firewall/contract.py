"""Acme keeps the contract of every connector, against its simulator."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.starters.firewall.connector import Acme
from hikeshi.testing.starters.firewall.simulator import PAGE, AcmeSimulator

BASE = datetime.now(UTC).replace(microsecond=0)
FOUND = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="domain", value="evil.example")]


def estate() -> EstateState:
    return EstateState("small", BASE, product_state={"acme": {}})


def blocked(estate: Estate) -> bool:
    return sorted(estate.product_state["acme"]) == ["203.0.113.9", "evil.example"]


CONTRACT = Contract(
    connector=Acme,
    simulator=AcmeSimulator,
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": FOUND}),
        Case("firewall.block_indicators", {"indicators": FOUND, "reason": "r", "expires_in_s": 3600}, expect=blocked),
        Case("firewall.unblock_indicators", {"indicators": FOUND, "reason": "r"}, after="firewall.block_indicators"),
    ],
    exempt={"pages_are_complete": f"one answer for each indicator; the list behind it has {PAGE} entries to a page"},
)
