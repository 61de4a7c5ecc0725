"""How the contract kit calls Trend Vision One."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host, Logon, Sighting, User
from hikeshi_connectors.vision_one import VisionOne
from hikeshi_connectors.vision_one.simulator import VisionOneSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHA = "a" * 64
KEY = "0" * 31 + "1"
HOST = one("edr.find_hosts", name="PC-7")
HASHES = [Indicator(kind="sha256", value=SHA)]


def host(key: str, name: str = "PC-7", ip: str = "10.0.0.7") -> Host:
    return Host(key, name, "windows", "11", "hq", "corp.example", [ip], "00-00-00-00-00-07", BASE)


def estate() -> EstateState:
    earlier = BASE - timedelta(minutes=10)
    return EstateState(
        "small",
        BASE,
        hosts={KEY: host(KEY)},
        users={"u": User("u", "jo@corp.example", "jo", "Jo", "IT", "Admin", "hq", BASE)},
        alerts={"a": Alert("a", earlier, "critical", "Ransomware", host_id=KEY, sha256=SHA)},
        connections=[Connection(earlier, KEY, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl", domain="evil.example")],
        sightings=[Sighting(earlier, KEY, SHA, "C:\\bad.exe")],
        logons=[Logon(earlier, KEY, "u")],
        product_state={"vision_one": {"tasks": {}}},
    )


def contained(estate: Estate) -> None:
    estate.hosts[KEY].isolation = "contained"


def fill(estate: Estate) -> int:
    estate.hosts.update({f"{n:032}": host(f"{n:032}") for n in range(2, 130)})
    return len(estate.hosts)


def fill_alerts(estate: Estate) -> int:
    at = BASE - timedelta(minutes=5)
    estate.alerts.update({f"a{n}": Alert(f"a{n}", at, "low", "x", host_id=KEY) for n in range(120)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=VisionOne,
    simulator=VisionOneSimulator,
    estate=estate,
    settings={"requests_per_minute": 1_000_000, "task_wait_s": 0},
    # A list that only grows: what was asked of endpoints.
    volatile=("product_state.vision_one.tasks",),
    cases=[
        Case("edr.find_hosts", {"name": "pc-7"}, fill=fill),
        Case("edr.isolation_of", {"host": HOST}),
        Case(
            "edr.isolate_host",
            {"host": HOST, "reason": "r"},
            expect=lambda estate: estate.hosts[KEY].isolation == "contained",
        ),
        Case("edr.release_host", {"host": HOST, "reason": "r"}, arrange=contained),
        Case("edr.list_alerts", {"severity": "low"}, fill=fill_alerts),
        Case("edr.search_connections", {"address": "203.0.113.9"}),
        Case("edr.search_hash", {"sha256": SHA}),
        Case("edr.users_of_host", {"host": HOST}),
        Case("edr.hash_blocks_of", {"hashes": HASHES}),
        Case("edr.block_hashes", {"hashes": HASHES, "reason": "r", "expires_in_s": 86_400}),
        Case("edr.unblock_hashes", {"hashes": HASHES, "reason": "r"}, after="edr.block_hashes"),
    ],
    exempt={
        "rate_limit_hint": "Vision One gives no hint; its window of 60 seconds is waited for instead",
    },
    plain_headers=("tmv1-query", "tmv1-filter"),
)
