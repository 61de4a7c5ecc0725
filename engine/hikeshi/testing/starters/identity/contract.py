"""Acme keeps the contract of every connector, against its simulator."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, User
from hikeshi.testing.starters.identity.connector import Acme
from hikeshi.testing.starters.identity.simulator import PAGE, AcmeSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
USER = one("identity.find_users", name="mei@corp.example")


def user(id_: str, upn: str) -> User:
    return User(id_, upn, upn.partition("@")[0], "Mei", "IT", "Planner", "hq", BASE, mail=upn)


def estate() -> EstateState:
    return EstateState("small", BASE, users={"u-1": user("u-1", "mei@corp.example")})


def locked(estate: Estate) -> None:
    estate.users["u-1"].enabled = False


def fill(estate: Estate) -> int:
    """Put more accounts whose names contain the one that is meant in front of it than fit on a page."""
    others = {f"a-{n}": user(f"a-{n}", f"{n}.mei@corp.example") for n in range(PAGE + 5)}
    estate.users = {**others, **estate.users}
    return 1


CONTRACT = Contract(
    connector=Acme,
    simulator=AcmeSimulator,
    estate=estate,
    cases=[
        Case("identity.find_users", {"name": "MEI@corp.example"}, fill=fill),
        Case("identity.account_of", {"user": USER}),
        Case("identity.disable_user", {"user": USER, "reason": "r"}, expect=lambda e: not e.users["u-1"].enabled),
        Case("identity.enable_user", {"user": USER, "reason": "r"}, arrange=locked),
    ],
)
