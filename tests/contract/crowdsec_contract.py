"""How the contract kit calls CrowdSec."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.crowdsec import CrowdSec
from hikeshi_connectors.crowdsec.simulator import CrowdSecSimulator

ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
MIXED = [ADDRESS, Indicator(kind="ipv6", value="2001:db8::9"), Indicator(kind="cidr", value="198.51.100.0/24")]
# Somebody else's, about the same address.
THEIRS = {"origin": "cscli", "type": "ban", "scope": "Ip", "value": "203.0.113.9", "scenario": "manual"}


def estate() -> EstateState:
    # A decision's duration runs from the Date of an answer, so the estate is of the very present.
    now = datetime.now(UTC).replace(microsecond=0)
    where, ends = "Ip 203.0.113.9", now.timestamp() + 86_400
    state = {"decisions": {where: [THEIRS]}, "marks": {where: [[1, ends]]}, "last": 1, "alerts": 1}
    return EstateState("small", now, settle_s=0.05, product_state={"crowdsec": state})


def decisions(estate: Estate) -> list[Any]:
    return [each for place in estate.product_state["crowdsec"]["decisions"].values() for each in place]


CONTRACT = Contract(
    connector=CrowdSec,
    simulator=CrowdSecSimulator,
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": MIXED}),
        Case(
            "firewall.block_indicators",
            {"indicators": [ADDRESS], "reason": "r", "expires_in_s": 3600},
            expect=lambda estate: len(decisions(estate)) == 2,
        ),
        Case("firewall.block_indicators", {"indicators": MIXED, "reason": "r"}),
        Case(
            "firewall.unblock_indicators",
            {"indicators": MIXED, "reason": "r"},
            after="firewall.block_indicators",
            expect=lambda estate: decisions(estate) == [THEIRS],
        ),
    ],
    volatile=tuple(f"product_state.crowdsec.{part}" for part in ("marks", "last", "alerts")),
    exempt={
        "pages_are_complete": "the Local API gives all decisions in one answer",
        "strange_bodies:firewall.blocks_of": "null is what the Local API answers where it has no decision",
    },
)
