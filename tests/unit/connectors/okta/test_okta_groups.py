"""What the Okta connector asks for groups and administrator roles, and what it makes of the answers."""

from __future__ import annotations

import httpx
import pytest

from hikeshi.capabilities import Group, User
from hikeshi.connector import Conflict, Invalid, NotFound, Unsupported

ORG = "https://acme.okta.example"
API = f"{ORG}/api/v1"
UID, GID, RULED, ADMINS = "00u1ero7vZFVEIYLWPB1", "00gVpn00000000000001", "00gRuled000000000001", "00gAdmins00000000001"
USER = User(connector="okta", id=UID, name="mei@minato.example")
VPN = Group(connector="okta", id=GID, name="VPN")


def group(key=GID, name="VPN", kind="OKTA_GROUP"):
    return {"id": key, "type": kind, "profile": {"name": name, "description": None}}


def role(kind, key="IFIFAX2BIRGUSTQ", of_group=None, **targets):
    href = f"{ORG}/api/v1/groups/{of_group}" if of_group else f"{ORG}/api/v1/users/{UID}"
    return {
        "id": key,
        "label": kind.title(),
        "type": kind,
        "status": "ACTIVE",
        "assignmentType": "GROUP" if of_group else "USER",
        "_embedded": {"targets": targets},
        "_links": {"assignee": {"href": href}},
    }


@pytest.fixture
def listed(org):
    """Say what Okta lists for the account."""

    def listed(groups=(), roles=(), rules=(), apps=None):
        org.get(f"{API}/users/{UID}/groups").respond(json=list(groups))
        org.get(f"{API}/users/{UID}/roles", params={"expand": "targets/groups"}).respond(json=list(roles))
        limited = list(roles if apps is None else apps)
        org.get(f"{API}/users/{UID}/roles", params={"expand": "targets/catalog/apps"}).respond(json=limited)
        org.get(f"{API}/groups/rules").respond(json=list(rules))

    return listed


def rule(*groups, status="ACTIVE"):
    return {"id": "0pr1", "status": status, "actions": {"assignUserToGroups": {"groupIds": list(groups)}}}


async def test_groups_say_whether_they_are_privileged_and_who_fills_them(okta, listed):
    """A role assigned to a group makes it privileged; rules, applications and Okta itself fill groups."""
    kinds = [group(), group(RULED, "Staff"), group(ADMINS, "Admins")]
    app, everyone = (
        group("00gApp00000000000001", "AD", "APP_GROUP"),
        group("00gEvery000000000001", "Everyone", "BUILT_IN"),
    )
    listed([*kinds, app, everyone], [role("SUPER_ADMIN", of_group=ADMINS)], [rule(RULED), rule(GID, status="INACTIVE")])
    found = {each.name: (each.privileged, each.dynamic) for each in await okta.groups_of(USER)}
    assert found == {
        "VPN": (False, False),
        "Staff": (False, True),
        "Admins": (True, False),
        "AD": (False, True),
        "Everyone": (False, True),
    }


@pytest.mark.parametrize("named", ["vpn", "VPN", GID])
async def test_groups_are_privileged_by_configuration(make, listed, sent, named):
    """By whole name in any case, or by id; without roles if the settings say so."""
    listed([group()])
    (found,) = await make(privileged_groups=[named], admin_roles=False).groups_of(USER)
    assert found.privileged
    assert not any("/roles" in url for _, url, _ in sent())


async def test_roles_of_the_account_itself_are_privileged_groups(okta, listed):
    """Plain ones can be taken and given; custom ones and those with limits cannot."""
    limited = role("HELP_DESK_ADMIN", "IFIlimited000000", groups=[group()])
    custom = {**role("CUSTOM", "irb1q92TFAHzySt3x0g4"), "label": "Creators"}
    plain = [role("SUPER_ADMIN"), role("APP_ADMIN", "IFIapp0000000000")]
    apps = [{**each, "_embedded": {"targets": {"catalog": {"apps": [{"name": "x"}]}}}} for each in plain]
    listed(roles=[*plain, limited, custom], apps=apps)
    found = {each.id: (each.privileged, each.dynamic) for each in await okta.groups_of(USER)}
    assert found == {
        "role:SUPER_ADMIN": (True, False),
        "role:APP_ADMIN": (True, True),
        "role:HELP_DESK_ADMIN": (True, True),
        "role:irb1q92TFAHzySt3x0g4": (True, True),
    }


async def test_every_page_of_memberships_is_read(okta, org):
    """The link to the next page stands in one of two Link headers."""
    first = [("link", f'<{API}/users/{UID}/groups>; rel="self"'), ("content-type", "application/json")]
    more = ("link", f'<{API}/users/{UID}/groups?after=b>; rel="next"')
    url = f"{API}/users/{UID}/groups"
    org.get(url, params={"after": "b"}).respond(json=[group()])
    org.get(url).mock(return_value=httpx.Response(200, text="[]", headers=[*first, more]))
    assert (await okta.membership_of(USER, VPN)).member
    assert not (await okta.membership_of(USER, VPN.model_copy(update={"id": ADMINS}))).member


@pytest.mark.parametrize("body", ["", "null", "{}", '"x"', "[1]", "[{}]", '[{"id": "00gVpn00000000000001"}]'])
async def test_other_answers_are_no_groups(okta, org, listed, body):
    """A group without a name or a type is an error, never one without privileges."""
    listed()
    org.get(f"{API}/users/{UID}/groups").respond(text=body, headers={"content-type": "application/json"})
    with pytest.raises(Invalid):
        await okta.groups_of(USER)


@pytest.mark.parametrize("body", ["", "null", "{}", "[1]", "[{}]", '[{"id": "a", "type": "x", "assignmentType": "Z"}]'])
async def test_other_answers_are_no_roles(okta, org, listed, body):
    """Roles that cannot be understood do not become "no roles"."""
    org.get(f"{API}/users/{UID}/roles").respond(text=body, headers={"content-type": "application/json"})
    listed([group()])
    with pytest.raises(Invalid):
        await okta.groups_of(USER)


@pytest.mark.parametrize("body", ["", "null", "{}", "[1]", "[{}]", '[{"status": "ACTIVE"}]'])
async def test_other_answers_are_no_rules(okta, org, listed, body):
    """A rule that cannot be understood may fill the very group."""
    listed([group()])
    org.get(f"{API}/groups/rules").respond(text=body, headers={"content-type": "application/json"})
    with pytest.raises(Invalid):
        await okta.groups_of(USER)


async def test_a_membership_is_taken_and_given(okta, org, live, sent):
    """One request each, without a body."""
    path = f"/api/v1/groups/{GID}/users/{UID}"
    org.route(url=f"{ORG}{path}").respond(204)
    await live(okta.remove_from_group(USER, VPN, "r"))
    await live(okta.add_to_group(USER, VPN, "r"))
    assert sent() == [("DELETE", path, None), ("PUT", path, None)]


async def test_a_role_is_taken_by_its_assignment_and_given_by_its_type(okta, org, live, listed, sent):
    """The id of the assignment is read just before."""
    target = Group(connector="okta", id="role:SUPER_ADMIN", name="Super", privileged=True)
    listed(roles=[role("SUPER_ADMIN", "IFIgroup00000000", of_group=ADMINS), role("SUPER_ADMIN")])
    org.delete(f"{API}/users/{UID}/roles/IFIFAX2BIRGUSTQ").respond(204)
    org.post(f"{API}/users/{UID}/roles").respond(201, json={})
    await live(okta.remove_from_group(USER, target, "r"))
    await live(okta.add_to_group(USER, target, "r"))
    assert sent()[1:] == [
        ("DELETE", f"/api/v1/users/{UID}/roles/IFIFAX2BIRGUSTQ", None),
        ("POST", f"/api/v1/users/{UID}/roles", {"type": "SUPER_ADMIN"}),
    ]
    assert (await okta.membership_of(USER, target)).member


async def test_a_role_that_is_not_there_is_a_conflict_and_one_with_limits_is_refused(okta, live, listed, sent):
    """Given back without its limits it would be more than was taken."""
    target = Group(connector="okta", id="role:HELP_DESK_ADMIN", name="Help", privileged=True)
    listed()
    with pytest.raises(Conflict):
        await live(okta.remove_from_group(USER, target, "r"))
    listed(roles=[role("HELP_DESK_ADMIN", groups=[group()])])
    with pytest.raises(Unsupported, match="limit"):
        await live(okta.remove_from_group(USER, target, "r"))
    assert {method for method, *_ in sent()} == {"GET"}


@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_a_group_that_is_filled_from_elsewhere_is_refused_unsent(okta, org, live, verb):
    """Taking out who a rule put in would exclude them from the rule for good."""
    with pytest.raises(Unsupported, match="rule"):
        await live(getattr(okta, verb)(USER, VPN.model_copy(update={"dynamic": True}), "r"))
    assert not org.calls


@pytest.mark.parametrize("hostile", ["", "..", "rules", GID + "/../x", GID + "?x", "a", GID + "\n"])
async def test_no_other_id_of_a_group_enters_a_path(okta, org, live, hostile):
    """An id that is none of Okta's sends nothing."""
    for verb in ("remove_from_group", "add_to_group"):
        with pytest.raises(Invalid):
            await live(getattr(okta, verb)(USER, VPN.model_copy(update={"id": hostile}), "r"))
    assert not org.calls


async def test_a_missing_membership_is_a_conflict_and_a_missing_account_is_not_found(okta, org, live):
    """Okta answers 404 for both, so the connector looks which of them it is."""
    missing = httpx.Response(404, json={"errorCode": "E0000007", "errorSummary": "Not found"})
    org.delete(f"{API}/groups/{GID}/users/{UID}").mock(return_value=missing)
    user = org.get(f"{API}/users/{UID}").respond(json={})
    there = org.get(f"{API}/groups/{GID}").respond(json={})
    with pytest.raises(Conflict, match="not in VPN"):
        await live(okta.remove_from_group(USER, VPN, "r"))
    there.mock(return_value=missing)
    with pytest.raises(NotFound, match="group VPN does not exist"):
        await live(okta.remove_from_group(USER, VPN, "r"))
    user.mock(return_value=missing)
    with pytest.raises(NotFound, match=r"account mei@minato\.example does not exist"):
        await live(okta.remove_from_group(USER, VPN, "r"))
