"""How the contract kit calls Sumo Logic."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host
from hikeshi_connectors.sumo_logic import SumoLogic
from hikeshi_connectors.sumo_logic.simulator import SumoLogicSimulator

# Searches reach up to the present, so the estate is of the present.
BASE = datetime.now(UTC).replace(microsecond=0)
KEY = "0" * 31 + "1"


def before(minutes: float) -> datetime:
    return BASE - timedelta(minutes=minutes)


def traffic(minutes: float) -> Connection:
    return Connection(before(minutes), KEY, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl", domain="evil.example")


def estate() -> EstateState:
    host = Host(KEY, "PC-7", "windows", "11", "hq", "corp.example", ["10.0.0.7"], "00-00-00-00-00-07", BASE)
    return EstateState(
        "small",
        BASE,
        settle_s=0.05,
        hosts={KEY: host},
        alerts={"a": Alert("a", before(10), "high", "Ransomware", host_id=KEY, technique="T1486")},
        connections=[traffic(10)],
    )


def many_entries(estate: Estate) -> int:
    estate.connections = [traffic(1 + n / 100) for n in range(350)]
    return len(estate.connections)


def many_alerts(estate: Estate) -> int:
    estate.alerts.update({f"a{n}": Alert(f"a{n}", before(5), "low", "x", host_id=KEY) for n in range(120)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=SumoLogic,
    simulator=SumoLogicSimulator,
    settings={"requests_per_minute": 60_000},
    estate=estate,
    cases=[
        Case("siem.search_logs", {"query": "_sourceCategory=firewall | count by dst"}),
        Case("siem.search_logs_for", {"indicator": Indicator(kind="ipv4", value="203.0.113.9")}, fill=many_entries),
        Case("siem.list_detections", {}, fill=many_alerts),
        Case("siem.list_detections", {"severity": "high"}),
    ],
    exempt={
        "hostile_names_find_nothing:siem.search_logs": "a query is free text: what it finds is what was asked for",
        "rate_limit_hint": "Sumo Logic does not say for how long to wait; that it is RateLimited has a test of its own",
        "secrets_are_never_shown": "the HTTP library's debug log, which Hikeshi keeps off, shows the cookies of "
        "answers before they could be masked; that keys and cookies are shown nowhere else has a test of its own",
    },
)
