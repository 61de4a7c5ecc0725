"""Groups and directory roles: what is read, what is sent, and what cannot be said."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

import hikeshi_connectors.entra
from hikeshi.capabilities import Effect, Group, User
from hikeshi.connector import Conflict, Forbidden, Invalid, NotFound, RouteRefused, Unavailable, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi_connectors.entra.paths import GroupPath, path_of_group, path_of_user

GRAPH = "https://graph.microsoft.com/v1.0"
USER_ID = "aaaaaaaa-0000-4000-8000-000000000001"
GROUP_ID = "bbbbbbbb-0000-4000-8000-000000000001"
ROLE_ID = "cccccccc-0000-4000-8000-000000000001"
USER = User(connector="entra", id=USER_ID, name="mei@minato.example")
GROUP = Group(connector="entra", id=GROUP_ID, name="VPN Users")
ROLE = Group(connector="entra", id=f"role:{ROLE_ID}", name="Global Administrator", privileged=True)


def graph_error(status, code, message="as documented", **headers):
    """Return an error in Graph's envelope. Source: https://learn.microsoft.com/graph/errors."""
    inner = {"date": "2026-01-01T00:00:00", "request-id": "req-1", "client-request-id": "req-1"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def missing():
    return graph_error(404, "Request_ResourceNotFound", "Resource does not exist")


PLAIN = {"id": GROUP_ID, "groupTypes": [], "mailEnabled": False, "onPremisesSyncEnabled": None}
READ_GROUP = ("GET", f"/groups/{GROUP_ID}?%24select=id%2CgroupTypes%2CmailEnabled%2ConPremisesSyncEnabled", None)
HOSTILE_IDS = [
    "", "..", ".", "../..", "/", "x", "me", "*", "$ref", USER_ID[:-1], f"{USER_ID}/", f"{USER_ID}/..", f"/{USER_ID}",
    f"{USER_ID}?", f"{USER_ID}#", f"{USER_ID}\n", f" {USER_ID}", f"{{{USER_ID}}}", f"urn:uuid:{USER_ID}", "role:",
    f"{USER_ID}/$ref?", f"{USER_ID}%2F..", f"{USER_ID};a", USER_ID.replace("-", ""), "mei@minato.example",
    USER_ID.replace("0", "０"), f"role:{USER_ID}/x", f"role:role:{USER_ID}",
]  # fmt: skip


def listed(graph, *members):
    graph.get(f"{GRAPH}/users/{USER_ID}/memberOf").respond(json={"value": list(members)})


def group_json(name, **fields):
    return {"@odata.type": "#microsoft.graph.group", "id": GROUP_ID, "displayName": name, "groupTypes": [], **fields}


async def test_groups_and_roles_are_told_apart(make, graph, sent):
    """Roles have their own kind of id and are privileged; administrative units are neither and left out."""
    role = {"@odata.type": "#microsoft.graph.directoryRole", "id": ROLE_ID, "displayName": "Global Administrator"}
    unit = {"@odata.type": "#microsoft.graph.administrativeUnit", "id": USER_ID, "displayName": "Tallinn"}
    listed(graph, group_json("VPN Users"), role, unit)
    assert await make().groups_of(USER) == [GROUP, ROLE]
    assert sent() == [
        (
            "GET",
            f"/users/{USER_ID}/memberOf?%24select=id%2CdisplayName%2CgroupTypes%2CisAssignableToRole&%24top=999",
            None,
        )
    ]


@pytest.mark.parametrize(
    ("fields", "settings", "privileged", "dynamic"),
    [
        ({}, {}, False, False),
        ({"isAssignableToRole": True}, {}, True, False),
        ({"groupTypes": ["Unified", "DynamicMembership"]}, {}, False, True),
        ({}, {"privileged_groups": ["vpn USERS"]}, True, False),
        ({}, {"privileged_groups": [GROUP_ID.upper()]}, True, False),
        ({}, {"privileged_groups": ["VPN"]}, False, False),
    ],
)
async def test_privileged_and_dynamic_groups_are_marked(make, graph, fields, settings, privileged, dynamic):
    """Privileged: assignable to roles, or listed by whole name or id. Dynamic: filled by a rule."""
    listed(graph, group_json("VPN Users", **fields))
    (found,) = await make(**settings).groups_of(USER)
    assert (found.privileged, found.dynamic) == (privileged, dynamic)


async def test_every_page_of_memberships_is_read(entra, graph):
    """A membership on the second page counts."""
    url = f"{GRAPH}/users/{USER_ID}/memberOf"
    graph.get(url, params={"$skiptoken": "b"}).respond(json={"value": [{"id": GROUP_ID.upper()}]})
    graph.get(url, params={"$top": "999"}).respond(
        json={"value": [{"id": ROLE_ID}], "@odata.nextLink": f"{url}?$skiptoken=b"}
    )
    assert (await entra.membership_of(USER, GROUP)).member
    assert (await entra.membership_of(USER, ROLE)).member
    assert not (await entra.membership_of(USER, GROUP.model_copy(update={"id": USER_ID}))).member


async def test_membership_of_an_unknown_account_is_an_error(entra, graph):
    """An account that is not there is not an account without groups."""
    graph.get(f"{GRAPH}/users/{USER_ID}/memberOf").mock(return_value=missing())
    with pytest.raises(NotFound):
        await entra.membership_of(USER, GROUP)


async def test_a_member_is_removed_by_reference(entra, graph, live, sent):
    """The kind of the group is read first; then the reference to the member is deleted, never the member."""
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json=PLAIN)
    graph.delete(f"{GRAPH}/groups/{GROUP_ID}/members/{USER_ID}/$ref").respond(204)
    await live(entra.remove_from_group(USER, GROUP, "phishing"))
    assert sent() == [READ_GROUP, ("DELETE", f"/groups/{GROUP_ID}/members/{USER_ID}/$ref", None)]


async def test_a_member_is_added_by_reference(entra, graph, live, sent):
    """The reference names the account below the same base address."""
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json={**PLAIN, "groupTypes": ["Unified"], "mailEnabled": True})
    graph.post(f"{GRAPH}/groups/{GROUP_ID}/members/$ref").respond(204)
    await live(entra.add_to_group(USER, GROUP, "over"))
    body = {"@odata.id": f"{GRAPH}/directoryObjects/{USER_ID}"}
    assert sent() == [READ_GROUP, ("POST", f"/groups/{GROUP_ID}/members/$ref", body)]


async def test_roles_go_to_their_own_collection(entra, graph, live, sent):
    """The prefix of the id routes to directoryRoles, with references alike."""
    graph.delete(f"{GRAPH}/directoryRoles/{ROLE_ID}/members/{USER_ID}/$ref").respond(204)
    graph.post(f"{GRAPH}/directoryRoles/{ROLE_ID}/members/$ref").respond(204)
    await live(entra.remove_from_group(USER, ROLE, "phishing"))
    await live(entra.add_to_group(USER, ROLE, "over"))
    assert sent() == [
        ("DELETE", f"/directoryRoles/{ROLE_ID}/members/{USER_ID}/$ref", None),
        (
            "POST",
            f"/directoryRoles/{ROLE_ID}/members/$ref",
            {"@odata.id": f"{GRAPH}/directoryObjects/{USER_ID}"},
        ),
    ]


@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_a_plan_shows_the_request_and_sends_none(entra, graph, verb, sent):
    """A preview holds the whole change; nothing but reads went out."""
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json=PLAIN)
    with through(Door(mode="plan", effect=Effect.CHANGE, action="identity.change")) as door:
        await getattr(entra, verb)(USER, GROUP, "phishing")
    assert sent() == [READ_GROUP]
    (previewed,) = door.captured
    assert previewed.url.removeprefix(GRAPH).endswith("/$ref")


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_no_id_can_reach_past_the_reference(entra, graph, verb, hostile, live):
    """An id that is no object id sends nothing, so that no member is deleted instead of its membership."""
    strange_user = User(connector="entra", id=hostile, name="x")
    strange_group = Group(connector="entra", id=hostile, name="x")
    graph.route(url__startswith=GRAPH).respond(json=PLAIN)
    with pytest.raises(Invalid):
        GroupPath("groups", hostile)
    for user, group in ((strange_user, ROLE), (USER, strange_group), (strange_user, strange_group)):
        with pytest.raises(Invalid, match="not a directory object id"):
            await live(getattr(entra, verb)(user, group, "x"))
    assert not graph.calls


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
async def test_no_account_verb_takes_another_id(entra, graph, hostile, live):
    """Every verb that puts an account's id into a path refuses one that is no object id."""
    strange = User(connector="entra", id=hostile, name="x")
    for verb in ("account_of", "sessions_of", "groups_of"):
        with pytest.raises(Invalid):
            await getattr(entra, verb)(strange)
    for verb in ("disable_user", "enable_user", "revoke_sessions"):
        with pytest.raises(Invalid):
            await live(getattr(entra, verb)(strange, "x"))
    assert not graph.calls


def test_there_is_one_place_that_deletes_and_it_deletes_references():
    """The connector's source has a single DELETE beside those it never sends, and it ends in $ref."""
    here = Path(hikeshi_connectors.entra.__file__).parent
    source = "".join((here / name).read_text() for name in ("connector.py", "paths.py", "answers.py"))
    assert re.findall(r"\.delete\((.*)\)", source) == ["path.member_reference(user.id)"]
    assert [str(route.path) for route in hikeshi_connectors.entra.Entra.never if route.path.endswith("/$ref")] == []
    assert source.count('"DELETE"') == len(hikeshi_connectors.entra.Entra.never)
    assert re.findall(r"/members[^\"]*", source.partition("@dataclass")[2]) == [
        "/members/$ref",
        "/members/{object_id(user_id, 'account')}/$ref",
    ]
    assert path_of_group(GROUP_ID.upper()).member_reference(USER_ID.upper()).endswith(f"/members/{USER_ID}/$ref")
    assert path_of_user(USER_ID) == f"/users/{USER_ID}"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"groupTypes": ["DynamicMembership"]}, "dynamic"),
        ({"onPremisesSyncEnabled": True}, "on-premises"),
        ({"mailEnabled": True}, "Exchange"),
    ],
)
@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_groups_that_graph_cannot_edit_are_refused_before_sending(entra, graph, verb, fields, why, live, sent):
    """Dynamic, on-premises and Exchange groups are an error that says where to change them instead."""
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json={**PLAIN, **fields})
    with pytest.raises(Unsupported, match=why):
        await live(getattr(entra, verb)(USER, GROUP, "phishing"))
    assert [method for method, _, _ in sent()] == ["GET"]


async def test_a_group_known_as_dynamic_is_refused_without_a_request(entra, graph, live):
    """What the entity says already need not be read again."""
    dynamic = GROUP.model_copy(update={"dynamic": True})
    with pytest.raises(Unsupported, match="rule"):
        await live(entra.remove_from_group(USER, dynamic, "phishing"))
    assert not graph.calls


@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_a_refused_reference_means_read_the_state(entra, graph, verb, live):
    """Graph's 400 for "already so", in any wording, is a conflict."""
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json=PLAIN)
    for method in ("POST", "DELETE"):
        graph.route(method=method).mock(return_value=graph_error(400, "Request_BadRequest", "déjà membre"))
    with pytest.raises(Conflict, match="déjà membre"):
        await live(getattr(entra, verb)(USER, GROUP, "phishing"))


@pytest.mark.parametrize("verb", ["remove_from_group", "add_to_group"])
async def test_a_missing_membership_is_a_conflict_and_a_missing_account_is_not_found(entra, graph, verb, live):
    """Graph answers 404 for both, so the connector looks which of them it is."""
    account = graph.get(f"{GRAPH}/users/{USER_ID}")
    graph.get(f"{GRAPH}/groups/{GROUP_ID}").respond(json=PLAIN)
    for method in ("POST", "DELETE"):
        graph.route(method=method).mock(return_value=missing())
    account.respond(json={"id": USER_ID})
    with pytest.raises(Conflict, match="not there"):
        await live(getattr(entra, verb)(USER, GROUP, "x"))
    account.mock(return_value=missing())
    with pytest.raises(NotFound, match=r"account mei@minato\.example does not exist"):
        await live(getattr(entra, verb)(USER, GROUP, "x"))
    account.mock(return_value=graph_error(503, "ServiceUnavailable"))
    with pytest.raises(Conflict):
        await live(getattr(entra, verb)(USER, GROUP, "x"))


async def test_a_missing_role_is_named(entra, graph, live):
    """A role that was never activated, or is gone, is not found; the account is not blamed."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={"id": USER_ID})
    graph.get(f"{GRAPH}/directoryRoles/{ROLE_ID}").mock(return_value=missing())
    graph.delete(f"{GRAPH}/directoryRoles/{ROLE_ID}/members/{USER_ID}/$ref").mock(return_value=missing())
    with pytest.raises(NotFound, match=f"group /directoryRoles/{ROLE_ID} does not exist"):
        await live(entra.remove_from_group(USER, ROLE, "x"))


async def test_a_group_that_cannot_be_read_is_not_changed(entra, graph, live, sent):
    """Without knowing what kind of group it is, nothing is sent."""
    read = graph.get(f"{GRAPH}/groups/{GROUP_ID}")
    for answer, error in (
        (graph_error(403, "Authorization_RequestDenied"), Forbidden),
        (graph_error(503, "ServiceUnavailable"), Unavailable),
        (missing(), NotFound),
    ):
        read.mock(return_value=answer)
        with pytest.raises(error):
            await live(entra.remove_from_group(USER, GROUP, "x"))
    assert {method for method, _, _ in sent()} == {"GET"}


@pytest.mark.parametrize(
    "path",
    [
        f"/groups/{GROUP_ID}/members/{USER_ID}",
        f"/directoryRoles/{ROLE_ID}/members/{USER_ID}",
        f"/users/{USER_ID}",
        f"/groups/{GROUP_ID}",
    ],
)
async def test_what_would_delete_an_account_or_a_group_cannot_be_sent(entra, graph, live, path):
    """A membership without `/$ref` at its end is the member itself: the client refuses it, intended or not."""
    with pytest.raises(RouteRefused, match="never sent"):
        await live(entra.http.delete(path))
    assert [call.request.method for call in graph.calls if call.request.method == "DELETE"] == []
