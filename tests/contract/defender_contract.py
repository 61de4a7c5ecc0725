"""How the contract kit calls Microsoft Defender for Endpoint."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host, Logon, Sighting, User
from hikeshi_connectors.defender import Defender
from hikeshi_connectors.defender.simulator import DefenderSimulator

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
        alerts={"a": Alert("a", earlier, "high", "Ransomware", host_id=KEY, sha256=SHA)},
        connections=[Connection(earlier, KEY, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl", domain="evil.example")],
        sightings=[Sighting(earlier, KEY, SHA, "C:\\bad.exe")],
        logons=[Logon(earlier, KEY, "u")],
        product_state={"defender": {"software": {KEY: [["apache", "log4j", "2.14.1"]]}}},
    )


def fill(estate: Estate) -> int:
    estate.hosts.update({f"{n:032}": host(f"{n:032}") for n in range(2, 10_050)})
    return len(estate.hosts)


def fill_assets(estate: Estate) -> int:
    more = {f"{n:032}": host(f"{n:032}") for n in range(2, 100)}
    estate.hosts.update(more)
    estate.product_state["defender"]["software"].update({key: [["apache", "log4j", "2.14.1"]] for key in more})
    return len(estate.hosts)


def fill_alerts(estate: Estate) -> int:
    at = BASE - timedelta(minutes=5)
    estate.alerts.update({f"a{n}": Alert(f"a{n}", at, "low", "x", host_id=KEY) for n in range(10_050)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=Defender,
    simulator=DefenderSimulator,
    estate=estate,
    settings={"requests_per_minute": 1_000_000},
    # A list that only grows: what was asked of machines.
    volatile=("product_state.defender.actions",),
    cases=[
        Case("edr.find_hosts", {"name": "pc-7"}, fill=fill),
        Case("edr.isolation_of", {"host": HOST}),
        Case(
            "edr.isolate_host",
            {"host": HOST, "reason": "r"},
            expect=lambda estate: estate.hosts[KEY].isolation == "contained",
        ),
        Case("edr.release_host", {"host": HOST, "reason": "r"}, after="edr.isolate_host"),
        Case("edr.list_alerts", {}, fill=fill_alerts),
        Case("edr.search_connections", {"address": "203.0.113.9"}),
        Case("edr.search_hash", {"sha256": SHA}),
        Case("edr.users_of_host", {"host": HOST}),
        Case("edr.hash_blocks_of", {"hashes": HASHES}),
        Case("edr.block_hashes", {"hashes": HASHES, "reason": "r", "expires_in_s": 3600}),
        Case("edr.unblock_hashes", {"hashes": HASHES, "reason": "r"}, after="edr.block_hashes"),
        Case("assets.find_assets", {"name": "pc-7.corp.example"}),
        Case("assets.search_assets", {"software": "Log4j", "versions": ["2.14.1"]}, fill=fill_assets),
    ],
    exempt={"undo_restores_the_estate:edr.unblock_hashes": "Defender gives the indicator that is made again a new ID"},
)
