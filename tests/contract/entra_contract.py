"""How the contract kit calls Entra ID."""

from datetime import UTC, datetime, timedelta

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi_connectors.entra import Entra
from hikeshi_connectors.entra.simulator import EntraSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MEI = "aaaaaaaa-0000-4000-8000-000000000001"
VPN = "bbbbbbbb-0000-4000-8000-000000000001"
USER = one("identity.find_users", name="mei@minato.example")
GROUPS = one("identity.groups_of", user=USER)
UPN = "mei@minato.example"


def estate() -> EstateState:
    mei = User(MEI, UPN, "mei", "Mei", "IT", "Planner", "tyo", BASE - timedelta(days=30), mail=UPN)
    return EstateState("small", BASE, users={MEI: mei}, groups={VPN: Group(VPN, "VPN Users", members={MEI})})


def disabled(estate: Estate) -> None:
    estate.users[MEI].enabled = False


def fill(estate: Estate) -> int:
    more = (f"cccccccc-0000-4000-8000-{n:012}" for n in range(1200))
    estate.groups.update({each: Group(each, f"Group {each[-4:]}", members={MEI}) for each in more})
    return len(estate.groups)


CONTRACT = Contract(
    connector=Entra,
    simulator=EntraSimulator,
    estate=estate,
    cases=[
        Case("identity.find_users", {"name": "MEI@minato.example"}),
        Case("identity.account_of", {"user": USER}),
        Case("identity.sessions_of", {"user": USER}),
        Case("identity.groups_of", {"user": USER}, fill=fill),
        Case("identity.membership_of", {"user": USER, "group": GROUPS}),
        Case("identity.disable_user", {"user": USER, "reason": "r"}, expect=lambda e: not e.users[MEI].enabled),
        Case(
            "identity.enable_user",
            {"user": USER, "reason": "r"},
            arrange=disabled,
            expect=lambda e: e.users[MEI].enabled,
        ),
        Case("identity.revoke_sessions", {"user": USER, "reason": "r"}),
        Case(
            "identity.remove_from_group",
            {"user": USER, "group": GROUPS, "reason": "r"},
            expect=lambda e: not e.groups[VPN].members,
        ),
        Case(
            "identity.add_to_group",
            {"user": USER, "group": GROUPS, "reason": "r"},
            after="identity.remove_from_group",
            expect=lambda e: e.groups[VPN].members == {MEI},
        ),
    ],
    exempt={
        "read_routes_are_minimal:GET /directoryRoles/*": "read only to say what is missing when a change fails",
    },
)
