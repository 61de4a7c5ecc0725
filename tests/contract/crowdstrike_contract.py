"""How the contract kit calls CrowdStrike Falcon."""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Alert, Connection, Estate, EstateState, Host, Logon, Sighting, User
from hikeshi_connectors.crowdstrike import Falcon
from hikeshi_connectors.crowdstrike.simulator import CrowdStrikeSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHA = "a" * 64
AID = "0" * 31 + "1"
HOST = one("edr.find_hosts", name="PC-7")
HASHES = [Indicator(kind="sha256", value=SHA)]


def host(aid: str, name: str = "PC-7", ip: str = "10.0.0.7") -> Host:
    return Host(aid, name, "windows", "11", "hq", "corp", [ip], "00-00-00-00-00-07", BASE)


def estate() -> EstateState:
    earlier = BASE - timedelta(minutes=10)
    return EstateState(
        "small",
        BASE,
        hosts={AID: host(AID)},
        users={"u": User("u", "jo@corp.example", "jo", "Jo", "IT", "Admin", "hq", BASE)},
        alerts={"a": Alert("a", earlier, "high", "Ransomware", host_id=AID, host_name="PC-7")},
        connections=[Connection(earlier, AID, "10.0.0.7", "203.0.113.9", 443, 1, 1, "ssl")],
        sightings=[Sighting(earlier, AID, SHA, "C:\\bad.exe")],
        logons=[Logon(earlier, AID, "u")],
    )


def contained(estate: Estate) -> None:
    estate.hosts[AID].isolation = "contained"


def fill(estate: Estate) -> int:
    estate.hosts.update({f"{n:032}": host(f"{n:032}") for n in range(2, 1200)})
    return len(estate.hosts)


def fill_alerts(estate: Estate) -> int:
    at = BASE - timedelta(minutes=5)
    estate.alerts.update({f"a{n}": Alert(f"a{n}", at, "low", "x", host_id=AID) for n in range(1100)})
    return len(estate.alerts)


CONTRACT = Contract(
    connector=Falcon,
    simulator=CrowdStrikeSimulator,
    estate=estate,
    cases=[
        Case("edr.find_hosts", {"name": "pc-7"}, fill=fill),
        Case("edr.isolation_of", {"host": HOST}),
        Case(
            "edr.isolate_host",
            {"host": HOST, "reason": "r"},
            expect=lambda estate: estate.hosts[AID].isolation == "contained",
        ),
        Case("edr.release_host", {"host": HOST, "reason": "r"}, arrange=contained),
        Case("edr.list_alerts", {}, fill=fill_alerts),
        Case("edr.search_connections", {"address": "203.0.113.9"}),
        Case("edr.search_hash", {"sha256": SHA}),
        Case("edr.users_of_host", {"host": HOST}),
        Case("edr.hash_blocks_of", {"hashes": HASHES}),
        Case("edr.block_hashes", {"hashes": HASHES, "reason": "r", "expires_in_s": 3600}),
        Case("edr.unblock_hashes", {"hashes": HASHES, "reason": "r"}, after="edr.block_hashes"),
    ],
    exempt={"undo_restores_the_estate:edr.unblock_hashes": "Falcon gives the indicator that is made again a new ID"},
)
