"""How the contract kit calls PowerDNS."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.powerdns import PowerDns
from hikeshi_connectors.powerdns.simulator import PowerDnsSimulator

BASE = datetime.now(UTC).replace(microsecond=0)
ZONE = "rpz.fleetmate.example."
DOMAINS = [Indicator(kind="domain", value=value) for value in ("evil.example", "Sync.Evil.example", "c2.example")]
# Somebody else's, which lets a name pass.
PASSES = {"content": "rpz-passthru.", "disabled": False}
THEIRS = {
    f"good.example.{ZONE} CNAME": {"name": f"good.example.{ZONE}", "type": "CNAME", "ttl": 60, "records": [PASSES]}
}


def estate() -> EstateState:
    state = {"rrsets": dict(THEIRS), "serial": 1}
    return EstateState("small", BASE, settle_s=0.05, product_state={"powerdns": state})


def sets(estate: Estate) -> dict[str, Any]:
    found: dict[str, Any] = estate.product_state["powerdns"]["rrsets"]
    return found


CONTRACT = Contract(
    connector=PowerDns,
    simulator=PowerDnsSimulator,
    estate=estate,
    cases=[
        Case("dns.sinkholes_of", {"domains": DOMAINS}),
        Case(
            "dns.sinkhole_domains",
            {"domains": DOMAINS, "reason": "r"},
            expect=lambda estate: len(sets(estate)) == 7 and f"*.evil.example.{ZONE} CNAME" in sets(estate),
        ),
        Case(
            "dns.unsinkhole_domains",
            {"domains": DOMAINS, "reason": "r"},
            after="dns.sinkhole_domains",
            expect=lambda estate: sets(estate) == THEIRS,
        ),
    ],
    volatile=("product_state.powerdns.serial",),
    exempt={
        "pages_are_complete": "the API gives a zone whole",
        "native_expiry_ends_a_change": "DNS has no entries that end; the engine's hold deletes them",
    },
)
