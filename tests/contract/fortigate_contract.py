"""How the contract kit calls FortiGate."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import EstateState
from hikeshi_connectors.fortigate import FortiGate
from hikeshi_connectors.fortigate.simulator import FortiGateSimulator

ADDRESSES = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="ipv6", value="2001:db8::9")]
NETWORKS = [Indicator(kind="cidr", value="198.51.100.0/24"), Indicator(kind="cidr", value="2001:db8:1::/48")]


def estate() -> EstateState:
    return EstateState("small", datetime.now(UTC).replace(microsecond=0), settle_s=0.05)


WHOLE_TABLES = "FortiOS gives whole tables unless it is asked for a part of one"

CONTRACT = Contract(
    connector=FortiGate,
    simulator=FortiGateSimulator,
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": [*ADDRESSES, *NETWORKS]}),
        Case(
            "firewall.block_indicators",
            {"indicators": ADDRESSES, "reason": "r", "expires_in_s": 3600},
            expect=lambda estate: "203.0.113.9" in estate.product_state["fortigate"]["banned"],
        ),
        Case(
            "firewall.block_indicators",
            {"indicators": NETWORKS[1:], "reason": "r"},
            expect=lambda estate: len(estate.product_state["fortigate"]["addrgrp6"]["hikeshi-blocked6"]) == 2,
        ),
        Case("firewall.block_indicators", {"indicators": [*ADDRESSES, *NETWORKS], "reason": "r"}),
        Case(
            "firewall.unblock_indicators",
            {"indicators": [*ADDRESSES, *NETWORKS], "reason": "r"},
            after="firewall.block_indicators",
        ),
    ],
    exempt={
        "pages_are_complete": WHOLE_TABLES,
        "rate_limit_hint": "429 is a lock-out after failed sign-ins and says no time; the connector names its own",
    },
)
