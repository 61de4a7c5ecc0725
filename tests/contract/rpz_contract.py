"""How the contract kit calls a response policy zone."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.rpz import Rpz
from hikeshi_connectors.rpz.simulator import RpzSimulator

BASE = datetime.now(UTC).replace(microsecond=0)
DOMAINS = [Indicator(kind="domain", value=value) for value in ("evil.example", "Sync.Evil.example", "c2.example")]
OURS = [["CNAME", "."]]
# Somebody else's, which lets a name pass.
THEIRS = {"good.example": [["CNAME", "rpz-passthru."]]}
NO_HTTP = "a read here is a zone transfer, and the kit looks for an HTTP request of the connector's"


def estate() -> EstateState:
    return EstateState("small", BASE, settle_s=0.05, product_state={"rpz": {"records": dict(THEIRS), "serial": 1}})


def records(estate: Estate) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = estate.product_state["rpz"]["records"]
    return found


CONTRACT = Contract(
    connector=Rpz,
    simulator=RpzSimulator,
    estate=estate,
    cases=[
        Case(
            "dns.sinkhole_domains",
            {"domains": DOMAINS[:1], "reason": "r"},
            expect=lambda estate: records(estate) == {**THEIRS, "evil.example": OURS, "*.evil.example": OURS},
        ),
        Case("dns.sinkhole_domains", {"domains": DOMAINS, "reason": "r"}),
        Case(
            "dns.unsinkhole_domains",
            {"domains": DOMAINS, "reason": "r"},
            after="dns.sinkhole_domains",
            expect=lambda estate: records(estate) == THEIRS,
        ),
    ],
    volatile=("product_state.rpz.serial",),
    exempt={
        "actions_run:dns.sinkholes_of": NO_HTTP,
        "pages_are_complete": "a transfer gives the whole zone",
        "native_expiry_ends_a_change": "DNS has no entries that end; the engine's hold deletes them",
        "rate_limit_hint": "DNS has no answer that says when to come back",
    },
)
