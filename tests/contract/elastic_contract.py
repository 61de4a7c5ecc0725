"""How the contract kit calls Elasticsearch."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host
from hikeshi_connectors.elastic import Elastic
from hikeshi_connectors.elastic.simulator import ElasticSimulator

BASE = datetime.now(UTC).replace(microsecond=0)
KEY = "0" * 31 + "1"
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")


def before(minutes: float) -> datetime:
    return BASE - timedelta(minutes=minutes)


def traffic(minutes: float) -> Connection:
    return Connection(before(minutes), KEY, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl", domain="evil.example")


def estate() -> EstateState:
    host = Host(KEY, "PC-7", "windows", "11", "hq", "corp.example", ["10.0.0.7"], "00-00-00-00-00-07", BASE)
    return EstateState(
        "small",
        BASE,
        hosts={KEY: host},
        alerts={"a": Alert("a", before(10), "high", "Ransomware", host_id=KEY)},
        connections=[traffic(10)],
    )


def many_entries(estate: Estate) -> int:
    estate.connections = [traffic(1 + n // 3) for n in range(1100)]
    return len(estate.connections)


def many_alerts(estate: Estate) -> int:
    estate.alerts.update({f"a{n}": Alert(f"a{n}", before(5), "low", "x", host_id=KEY) for n in range(1100)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=Elastic,
    simulator=ElasticSimulator,
    estate=estate,
    cases=[
        Case("siem.search_logs", {"query": "destination.port:443"}),
        Case("siem.search_logs_for", {"indicator": ADDRESS, "limit": 5000}, fill=many_entries),
        Case("siem.list_detections", {}, fill=many_alerts),
        Case("siem.list_detections", {"severity": "high"}),
    ],
    exempt={
        "hostile_names_find_nothing:siem.search_logs": "a query is free text: what it finds is what was asked for",
        "rate_limit_hint": "neither product says for how long to wait; that it is RateLimited has a test of its own",
    },
)
