"""How the contract kit calls AbuseIPDB."""

from datetime import UTC, datetime

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import EstateState
from hikeshi_connectors.abuseipdb import AbuseIpDb
from hikeshi_connectors.abuseipdb.simulator import AbuseIpDbSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def estate() -> EstateState:
    known = {"203.0.113.9": {"score": 97, "reports": 412, "country": "XX"}}
    return EstateState("small", BASE, product_state={"abuseipdb": known})


CONTRACT = Contract(
    connector=AbuseIpDb,
    simulator=AbuseIpDbSimulator,
    estate=estate,
    cases=[
        Case("intel.opinions_on", {"indicator": Indicator(kind="ipv4", value="203.0.113.9")}),
        Case("intel.opinions_on", {"indicator": Indicator(kind="ipv6", value="2001:db8::7")}),
    ],
    exempt={"pages_are_complete": "one address is asked for, and it has no pages"},
)
