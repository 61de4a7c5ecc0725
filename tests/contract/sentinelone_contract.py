"""How the contract kit calls SentinelOne."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host, Logon, Sighting, User
from hikeshi_connectors.sentinelone import SentinelOne
from hikeshi_connectors.sentinelone.simulator import SentinelOneSimulator

BASE = datetime.now(UTC)  # threats and events are asked for by the time of day
SHA = "a" * 64
HOST = one("edr.find_hosts", name="PC-7")
HASHES = [Indicator(kind="sha256", value=SHA), Indicator(kind="sha1", value="b" * 40)]


def host(host_id: str, name: str = "PC-7", ip: str = "10.0.0.7") -> Host:
    return Host(host_id, name, "windows", "11", "hq", "corp", [ip], "00-00-00-00-00-07", BASE)


def estate() -> EstateState:
    earlier = BASE - timedelta(minutes=10)
    return EstateState(
        "small",
        BASE,
        hosts={"h1": host("h1")},
        users={"u": User("u", "jo@corp.example", "jo", "Jo", "IT", "Admin", "hq", BASE)},
        alerts={"a": Alert("a", earlier, "high", "evil.exe", host_id="h1", host_name="PC-7")},
        connections=[Connection(earlier, "h1", "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl")],
        sightings=[Sighting(earlier, "h1", SHA, "C:\\bad.exe")],
        logons=[Logon(earlier, "h1", "u")],
    )


def contained(estate: Estate) -> None:
    estate.hosts["h1"].isolation = "contained"


def fill(estate: Estate) -> int:
    estate.hosts.update({f"h{n}": host(f"h{n}") for n in range(1, 1200)})
    return len(estate.hosts)


def fill_alerts(estate: Estate) -> int:
    at = BASE - timedelta(minutes=5)
    estate.alerts.update({f"a{n}": Alert(f"a{n}", at, "low", "x", host_id="h1") for n in range(1100)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=SentinelOne,
    simulator=SentinelOneSimulator,
    estate=estate,
    settings={"os_types": ("windows", "linux")},
    cases=[
        Case("edr.find_hosts", {"name": "pc-7"}, fill=fill),
        Case("edr.isolation_of", {"host": HOST}),
        Case(
            "edr.isolate_host",
            {"host": HOST, "reason": "r"},
            expect=lambda estate: estate.hosts["h1"].isolation == "contained",
        ),
        Case("edr.release_host", {"host": HOST, "reason": "r"}, arrange=contained),
        Case("edr.list_alerts", {}, fill=fill_alerts),
        Case("edr.search_connections", {"address": "203.0.113.9"}),
        Case("edr.search_hash", {"sha256": SHA}),
        Case("edr.users_of_host", {"host": HOST}),
        Case("edr.hash_blocks_of", {"hashes": HASHES}),
        Case(
            "edr.block_hashes",
            {"hashes": HASHES[:1], "reason": "r"},
            expect=lambda estate: len(estate.product_state["sentinelone"]["restrictions"]) == 2,
        ),
        Case("edr.unblock_hashes", {"hashes": HASHES[:1], "reason": "r"}, after="edr.block_hashes"),
    ],
    exempt={
        "native_expiry_ends_a_change:edr.block_hashes": "SentinelOne's blocklist has no expiry; the hold ends it",
        "undo_restores_the_estate:edr.unblock_hashes": "SentinelOne gives the entry that is made again a new ID",
    },
)
