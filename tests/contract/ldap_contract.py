"""How the contract kit calls a directory: Active Directory, as the simulator is one.

The kit finds the request that a fault shall hit by what went over HTTP, and a read over LDAP has none; so reads have no
cases here. tests/integration/connectors/test_ldap_simulator.py tries them, faults and hostile names included.
"""

from datetime import UTC, datetime, timedelta

from hikeshi.capabilities import Group as GroupEntity
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi_connectors.ldap import Ldap
from hikeshi_connectors.ldap.simulator import LdapSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MEI = "aaaaaaaa-0000-4000-8000-000000000001"
VPN = "bbbbbbbb-0000-4000-8000-000000000001"
UPN = "mei@minato.example"
USER = one("identity.find_users", name=UPN)
GROUP = GroupEntity(connector="directory", id=VPN, name="VPN Users")
NO_HTTP = "no HTTP; tried in tests/integration/connectors/test_ldap_simulator.py"


def estate() -> EstateState:
    mei = User(MEI, UPN, "mei", "Mei", "IT", "Planner", "tyo", BASE - timedelta(days=30), mail=UPN)
    state = EstateState("small", BASE, users={MEI: mei}, groups={VPN: Group(VPN, "VPN Users", members={MEI})})
    state.product_state["ldap"] = {"control": {MEI: 0x10000}}
    return state


def disabled(estate: Estate) -> None:
    estate.users[MEI].enabled = False


CONTRACT = Contract(
    connector=Ldap,
    simulator=LdapSimulator,
    estate=estate,
    cases=[
        Case("identity.disable_user", {"user": USER, "reason": "r"}, expect=lambda e: not e.users[MEI].enabled),
        Case(
            "identity.enable_user",
            {"user": USER, "reason": "r"},
            arrange=disabled,
            expect=lambda e: e.users[MEI].enabled,
        ),
        Case(
            "identity.remove_from_group",
            {"user": USER, "group": GROUP, "reason": "r"},
            expect=lambda e: not e.groups[VPN].members,
        ),
        Case(
            "identity.add_to_group",
            {"user": USER, "group": GROUP, "reason": "r"},
            after="identity.remove_from_group",
            expect=lambda e: e.groups[VPN].members == {MEI},
        ),
    ],
    exempt={
        "actions_run:identity.find_users": NO_HTTP,
        "actions_run:identity.account_of": NO_HTTP,
        "actions_run:identity.groups_of": NO_HTTP,
        "actions_run:identity.membership_of": NO_HTTP,
        "pages_are_complete": NO_HTTP,
        "rate_limit_hint": "a busy directory does not say when to come back",
    },
)
