"""How the contract kit calls a MISP instance."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.misp import Misp
from hikeshi_connectors.misp.connector import PAGE
from hikeshi_connectors.misp.simulator import MispSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FOUND = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="domain", value="evil.example")]
OURS, THEIRS = "1", "2"
MANY = 2 * PAGE + 7


def event(name: str, info: str, *, ours: bool) -> dict[str, Any]:
    uuid = f"5f0c1a2e-0000-4000-8000-{int(name):012d}"
    published = int(BASE.timestamp()) - 300
    told = {"published": not ours, "publish_timestamp": published, "ours": ours, "tags": [] if ours else ["7"]}
    return {"id": name, "uuid": uuid, "info": info, **told}


def attribute(n: int, value: str = "", event_id: str = THEIRS) -> dict[str, Any]:
    address = value or f"198.51.{n // 250}.{n % 250 + 1}"
    return {"id": str(n), "event_id": event_id, "type": "ip-dst", "value": address, "to_ids": True, "tags": []}


def estate() -> EstateState:
    events = [event(OURS, "Seen at our place", ours=True), event(THEIRS, "Botnet", ours=False)]
    tags = [{"id": "7", "name": "tlp:green"}]
    kept = {"events": events, "attributes": [attribute(0)], "tags": tags}
    return EstateState("small", BASE, product_state={"misp": kept})


def fill(estate: Estate) -> int:
    estate.product_state["misp"]["attributes"] = [attribute(n) for n in range(MANY)]
    return MANY


def shared(estate: Estate) -> bool:
    ours = [each for each in estate.product_state["misp"]["attributes"] if each["event_id"] == OURS]
    return [(each["type"], each["value"]) for each in ours] == [
        ("ip-dst", "203.0.113.9"),
        ("domain", "evil.example"),
    ]


CONTRACT = Contract(
    connector=Misp,
    simulator=MispSimulator,
    estate=estate,
    cases=[
        Case("intel.opinions_on", {"indicator": Indicator(kind="ipv4", value="198.51.0.1")}),
        Case("intel.list_indicators", {"feed": "TLP:green"}, fill=fill),
        Case(
            "intel.share_indicators",
            {"feed": "Seen at our place", "indicators": FOUND, "title": "Seen here"},
            expect=shared,
        ),
    ],
)
