"""Acme keeps the contract of every connector, against its simulator."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Host
from hikeshi.testing.starters.edr.connector import Acme
from hikeshi.testing.starters.edr.simulator import PAGE, AcmeSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOST = one("edr.find_hosts", name="pc-7")


def host(id_: str, name: str) -> Host:
    return Host(id_, name, "windows", "11", "hq", "corp", ["10.0.0.7"], "00-00-00-00-00-07", BASE)


def estate() -> EstateState:
    return EstateState("small", BASE, settle_s=0.05, hosts={"h-1": host("h-1", "PC-7")})


def isolated(estate: Estate) -> None:
    estate.hosts["h-1"].isolation = "contained"


def fill(estate: Estate) -> int:
    """Put more hosts whose names contain the one that is meant in front of it than fit on a page."""
    others = {f"a-{n}": host(f"a-{n}", f"PC-7{n:02}") for n in range(PAGE + 5)}
    estate.hosts = {**others, **estate.hosts}
    return 1


CONTRACT = Contract(
    connector=Acme,
    simulator=AcmeSimulator,
    estate=estate,
    cases=[
        Case("edr.find_hosts", {"name": "pc-7"}, fill=fill),
        Case("edr.isolation_of", {"host": HOST}),
        Case("edr.isolate_host", {"host": HOST, "reason": "r"}, expect=lambda e: e.hosts["h-1"].isolation != "normal"),
        Case("edr.release_host", {"host": HOST, "reason": "r"}, arrange=isolated),
    ],
)
