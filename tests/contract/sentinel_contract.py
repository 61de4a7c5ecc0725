"""How the contract kit calls Microsoft Sentinel."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host
from hikeshi_connectors.sentinel import Sentinel
from hikeshi_connectors.sentinel.simulator import SentinelSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "0" * 31 + "1"


def estate() -> EstateState:
    earlier = BASE - timedelta(minutes=10)
    host = Host(KEY, "PC-7", "windows", "11", "hq", "corp.example", ["10.0.0.7"], "00-00-00-00-00-07", BASE)
    return EstateState(
        "small",
        BASE,
        hosts={KEY: host},
        alerts={"a": Alert("a", earlier, "high", "Ransomware", host_id=KEY, technique="T1486")},
        connections=[Connection(earlier, KEY, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl", domain="evil.example")],
    )


def fill(estate: Estate) -> int:
    at = BASE - timedelta(minutes=5)
    estate.alerts.update({f"a{n}": Alert(f"a{n}", at, "low", "x", host_id=KEY) for n in range(1100)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=Sentinel,
    simulator=SentinelSimulator,
    estate=estate,
    cases=[
        Case("siem.search_logs", {"query": "CommonSecurityLog | where DestinationPort == 443"}),
        Case("siem.search_logs_for", {"indicator": Indicator(kind="ipv4", value="203.0.113.9")}),
        Case("siem.list_detections", {}, fill=fill),
    ],
)
