"""How the contract kit calls a directory: Active Directory, as the simulator is one.

The kit strikes reads where they go over HTTP, which these do not; tests/integration/connectors/test_ldap_simulator.py
breaks reads, sign-ins and pages over LDAP.
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
READS = [f"identity.{verb}" for verb in ("find_users", "account_of", "groups_of", "membership_of")]
STRIKING_ALL = ("status_401", "status_403", "status_404", "status_409", "status_500", "status_503")
STRIKING_ALL += ("html_is_no_answer", "strange_bodies")
STRIKING_ONE = ("connection_dropped_before", "connection_dropped_after")
STRIKING_ONE += ("no_answer_in_time", "half_a_body", "large_body")


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
        Case("identity.find_users", {"name": UPN}),
        Case("identity.account_of", {"user": USER}),
        Case("identity.groups_of", {"user": USER}),
        Case("identity.membership_of", {"user": USER, "group": GROUP}),
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
        **{f"{check}:{action}": NO_HTTP for check in STRIKING_ALL for action in READS},
        **{f"{check}:{READS[0]}": NO_HTTP for check in STRIKING_ONE},
        "pages_are_complete": NO_HTTP,
        "rate_limit_hint": "a busy directory does not say when to come back",
    },
)
