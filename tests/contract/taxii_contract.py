"""How the contract kit calls a TAXII server."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.taxii import Taxii
from hikeshi_connectors.taxii.simulator import PAGE, SHARED, THEIRS, TaxiiSimulator

# The connector asks for what was added up to the present, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
FOUND = [Indicator(kind="ipv4", value="203.0.113.9"), Indicator(kind="domain", value="evil.example")]


def added(n: int) -> dict[str, Any]:
    address = f"198.51.{n // 250}.{n % 250 + 1}"
    moment = (BASE - timedelta(minutes=5)).isoformat()
    found = {"type": "indicator", "id": f"indicator--{n}", "pattern": f"[ipv4-addr:value = '{address}']"}
    return {"added": moment, "object": found}


def estate() -> EstateState:
    return EstateState("small", BASE, product_state={"taxii": {SHARED: [], THEIRS: [added(0)]}})


def fill(estate: Estate) -> int:
    estate.product_state["taxii"][THEIRS] = [added(n) for n in range(3 * PAGE + 7)]
    return 3 * PAGE + 7


def shared(estate: Estate) -> bool:
    patterns = [each["object"]["pattern"] for each in estate.product_state["taxii"][SHARED]]
    return patterns == ["[ipv4-addr:value = '203.0.113.9']", "[domain-name:value = 'evil.example']"]


CONTRACT = Contract(
    connector=Taxii,
    simulator=TaxiiSimulator,
    estate=estate,
    cases=[
        Case("intel.list_indicators", {"feed": "from the sector"}, fill=fill),
        Case(
            "intel.share_indicators",
            {"feed": "Shared with partners", "indicators": FOUND, "title": "Seen here"},
            expect=shared,
        ),
    ],
    exempt={"read_routes_are_minimal:GET /status/*/": "asked only of a server that takes its time"},
)
