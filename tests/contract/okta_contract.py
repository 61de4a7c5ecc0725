"""How the contract kit calls Okta."""

from datetime import UTC, datetime, timedelta

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi_connectors.okta import Okta
from hikeshi_connectors.okta.simulator import OktaSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MEI = "aaaaaaaa-0000-4000-8000-000000000001"
VPN = "bbbbbbbb-0000-4000-8000-000000000001"
UPN = "mei@minato.example"
USER = one("identity.find_users", name=UPN)
GROUPS = one("identity.groups_of", user=USER)


def estate() -> EstateState:
    mei = User(MEI, UPN, "mei", "Mei Kobayashi", "IT", "Planner", "tyo", BASE - timedelta(days=30), mail=UPN)
    return EstateState("small", BASE, users={MEI: mei}, groups={VPN: Group(VPN, "VPN Users", members={MEI})})


def disabled(estate: Estate) -> None:
    estate.users[MEI].enabled = False


def fill(estate: Estate) -> int:
    more = (f"cccccccc-0000-4000-8000-{n:012}" for n in range(450))
    estate.groups.update({each: Group(each, f"Group {each[-4:]}", members={MEI}) for each in more})
    return len(estate.groups)


# The unit tests try the other bodies.
EMPTY = "an empty list is what Okta answers where there is nothing"

CONTRACT = Contract(
    connector=Okta,
    simulator=OktaSimulator,
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
        Case(
            "identity.revoke_sessions",
            {"user": USER, "reason": "r"},
            expect=lambda e: e.users[MEI].sessions_valid_from >= BASE,
        ),
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
        "read_routes_are_minimal:POST /oauth2/v1/token where ['form:grant_type']": "only service apps fetch tokens",
        "strange_bodies:identity.find_users": EMPTY,
        "strange_bodies:identity.sessions_of": EMPTY,
        "strange_bodies:identity.groups_of": EMPTY,
        "strange_bodies:identity.membership_of": EMPTY,
    },
)
