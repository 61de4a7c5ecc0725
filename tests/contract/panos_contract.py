"""How the contract kit calls PAN-OS."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Connection, Estate, EstateState, Host
from hikeshi_connectors.panos import PanOs
from hikeshi_connectors.panos.simulator import PanOsSimulator

# The connector asks for traffic up to the present, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
SITES = [ADDRESS, Indicator(kind="domain", value="evil.example"), Indicator(kind="url", value="https://evil.example/a")]


def talk(minutes: float) -> Connection:
    return Connection(BASE - timedelta(minutes=minutes), "h", "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl")


def estate() -> EstateState:
    host = Host("h", "PC-7", "windows", "11", "hq", "corp", ["10.0.0.7"], "00-00-00-00-00-07", BASE)
    return EstateState("small", BASE, settle_s=0.05, hosts={"h": host}, connections=[talk(10)])


def fill(estate: Estate) -> int:
    estate.connections += [talk(5 + n / 1000) for n in range(5_100)]
    return len(estate.connections)


CONTRACT = Contract(
    connector=PanOs,
    simulator=PanOsSimulator,
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": SITES}),
        Case(
            "firewall.block_indicators",
            {"indicators": [ADDRESS], "reason": "r", "expires_in_s": 3600},
            expect=lambda estate: "hikeshi-blocked" in estate.firewall.registered_tags["203.0.113.9"],
        ),
        Case("firewall.block_indicators", {"indicators": SITES, "reason": "r"}),
        Case("firewall.unblock_indicators", {"indicators": SITES, "reason": "r"}, after="firewall.block_indicators"),
        Case("firewall.search_traffic", {"address": "203.0.113.9"}, fill=fill),
    ],
    volatile=("firewall.jobs",),
)
