"""Finding accounts, and what is sent to disable them and to end their sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx
import pytest

from hikeshi.capabilities import User
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, Unsupported

GRAPH = "https://graph.microsoft.com/v1.0"
USER_ID = "aaaaaaaa-0000-4000-8000-000000000001"
USER = User(connector="entra", id=USER_ID, name="mei@minato.example")


def graph_error(status, code, message="as documented", **headers):
    """Return an error in Graph's envelope. Source: https://learn.microsoft.com/graph/errors."""
    inner = {"date": "2026-01-01T00:00:00", "request-id": "req-1", "client-request-id": "req-1"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def missing():
    return graph_error(404, "Request_ResourceNotFound", "Resource does not exist")


MEI = {
    "id": USER_ID.upper(),
    "userPrincipalName": "mei@minato.example",
    "mail": "Mei.Kato@minato.example",
    "onPremisesSamAccountName": "mei",
    "displayName": "Mei Kato",
    "department": "IT",
    "userType": "Member",
    "creationType": None,
}


def filter_sent(graph):
    return parse_qs(graph.calls.last.request.url.query.decode())["$filter"]


@pytest.mark.parametrize("name", ["mei@minato.example", "MEI.KATO@minato.example", "mei"])
async def test_an_account_is_found_by_each_of_its_names(entra, graph, name):
    """Sign-in name, mail address and on-premises name are asked for in one advanced query, in any case."""
    graph.get(f"{GRAPH}/users").respond(json={"value": [MEI]})
    (found,) = await entra.find_users(name)
    assert found.model_dump() == {
        "connector": "entra",
        "id": USER_ID,
        "name": "mei@minato.example",
        "display_name": "Mei Kato",
        "email": "Mei.Kato@minato.example",
        "department": "IT",
        "guest": False,
        "logins": ("mei",),
    }
    request = graph.calls.last.request
    assert request.headers["consistencylevel"] == "eventual"
    assert request.headers["authorization"] == "Bearer an-invented-access-token"
    assert parse_qs(request.url.query.decode()) == {
        "$filter": [f"userPrincipalName eq '{name}' or mail eq '{name}' or onPremisesSamAccountName eq '{name}'"],
        "$select": ["id,userPrincipalName,mail,onPremisesSamAccountName,displayName,department,userType,creationType"],
        "$count": ["true"],
        "$top": ["999"],
    }


@pytest.mark.parametrize("name", ["a' or 'x'='x", "o'neil@minato.example", "*", '"', "</entry>", "a+b#EXT#@x & y%27"])
async def test_a_name_stays_a_literal(entra, graph, name):
    """Quotes are doubled, and nothing in a name becomes part of the filter."""
    graph.get(f"{GRAPH}/users").respond(json={"value": []})
    assert await entra.find_users(name) == []
    quoted = name.replace("'", "''")
    assert filter_sent(graph) == [
        f"userPrincipalName eq '{quoted}' or mail eq '{quoted}' or onPremisesSamAccountName eq '{quoted}'"
    ]


async def test_an_answer_that_has_another_name_is_dropped(entra, graph):
    """Whatever the directory thinks is close, only an equal name is a match."""
    graph.get(f"{GRAPH}/users").respond(json={"value": [MEI]})
    assert await entra.find_users("mei.k") == []


@pytest.mark.parametrize("name", ["", "  ", "mei\nkato", "mei\x00"])
async def test_a_text_that_names_nothing_is_refused(entra, graph, name):
    """An empty name or one with control characters is an error before anything is sent."""
    with pytest.raises(Invalid, match="names no account"):
        await entra.find_users(name)
    assert not graph.calls


async def test_an_account_is_found_by_its_object_id(entra, graph):
    """An object id is read directly, and an unknown one is an empty list."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json=MEI)
    (found,) = await entra.find_users(USER_ID.upper())
    assert found.id == USER_ID
    graph.get(f"{GRAPH}/users/{USER_ID}").mock(return_value=missing())
    assert await entra.find_users(USER_ID) == []


async def test_every_page_is_read_and_every_match_returned(entra, graph):
    """Pages are followed to their end, with the header that makes the query an advanced one."""
    graph.get(f"{GRAPH}/users", params={"$skiptoken": "two"}).respond(json={"value": [{**MEI, "id": "2"}]})
    graph.get(f"{GRAPH}/users", params={"$top": "999"}).respond(
        json={"value": [{**MEI, "id": "1"}], "@odata.nextLink": f"{GRAPH}/users?$skiptoken=two"}
    )
    assert [each.id for each in await entra.find_users("mei")] == ["1", "2"]
    assert graph.calls.last.request.headers["consistencylevel"] == "eventual"


@pytest.mark.parametrize("link", [f"{GRAPH}/users?$skiptoken=same", 7])
async def test_pages_that_lead_in_a_circle_are_an_error(entra, graph, link):
    """A link that repeats, or is none, ends in an error instead of a part of the answer."""
    graph.get(f"{GRAPH}/users").respond(json={"value": [], "@odata.nextLink": link})
    with pytest.raises(Invalid, match="next page"):
        await entra.find_users("mei")


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": ["x"]}, [], {"value": [{"id": "x"}]}])
async def test_an_answer_of_another_shape_is_an_error(entra, graph, body):
    """What is no list of accounts is never taken for an empty one."""
    graph.get(f"{GRAPH}/users").respond(json=body)
    if body == {"value": [{"id": "x"}]}:
        assert await entra.find_users("mei") == []
        graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={"id": USER_ID})
        with pytest.raises(Invalid, match="without userPrincipalName"):
            await entra.find_users(USER_ID)
        return
    with pytest.raises(Invalid):
        await entra.find_users("mei")


@pytest.mark.parametrize(
    "fields",
    [
        {"userType": "Guest"},
        {"userType": "Member", "creationType": "Invitation"},
        {"userPrincipalName": "ada_audit.example#EXT#@minato.example"},
    ],
)
async def test_guests_are_marked(entra, graph, fields):
    """A guest is one by type, by invitation or by the form of the sign-in name."""
    graph.get(f"{GRAPH}/users").respond(json={"value": [{**MEI, **fields}]})
    (found,) = await entra.find_users("mei")
    assert found.guest


@pytest.mark.parametrize("enabled", [True, False])
async def test_the_state_of_an_account_is_read(entra, graph, enabled, sent):
    """accountEnabled comes only when it is selected, so it is."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={"id": USER_ID, "accountEnabled": enabled})
    assert (await entra.account_of(USER)).enabled is enabled
    assert sent() == [("GET", f"/users/{USER_ID}?%24select=id%2CaccountEnabled", None)]


async def test_an_unknown_state_is_not_disabled(entra, graph):
    """An answer that does not say whether the account is enabled is an error."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={"id": USER_ID, "accountEnabled": None})
    with pytest.raises(Invalid, match="does not say"):
        await entra.account_of(USER)


@pytest.mark.parametrize(("verb", "enabled"), [("disable_user", False), ("enable_user", True)])
async def test_an_account_is_disabled_and_enabled_by_one_patch(entra, graph, verb, enabled, live, sent):
    """One PATCH of one property, addressed by object id."""
    graph.patch(f"{GRAPH}/users/{USER_ID}").respond(204)
    await live(getattr(entra, verb)(USER, "phishing"))
    assert sent() == [("PATCH", f"/users/{USER_ID}", {"accountEnabled": enabled})]


async def test_the_start_of_valid_sessions_is_read(entra, graph):
    """The moment carries its zone, fractions of a second included; none is None."""
    route = graph.get(f"{GRAPH}/users/{USER_ID}")
    route.respond(json={"signInSessionsValidFromDateTime": "2026-01-02T03:04:05.1234567Z"})
    assert (await entra.sessions_of(USER)).valid_from == datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
    route.respond(json={"signInSessionsValidFromDateTime": None})
    assert (await entra.sessions_of(USER)).valid_from is None
    for wrong in ("yesterday", "2026-01-02T03:04:05", 7):
        route.respond(json={"signInSessionsValidFromDateTime": wrong})
        with pytest.raises(Invalid):
            await entra.sessions_of(USER)


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, json={"value": True}), httpx.Response(204), httpx.Response(201)]
)
async def test_sessions_are_revoked(entra, graph, answer, live, sent):
    """Whether the account is at home here is read first; then one POST without a body. Any 2xx is a success."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json=MEI)
    graph.post(f"{GRAPH}/users/{USER_ID}/revokeSignInSessions").mock(return_value=answer)
    await live(entra.revoke_sessions(USER, "phishing"))
    assert sent() == [
        ("GET", f"/users/{USER_ID}?%24select=id%2CuserPrincipalName%2CcreationType", None),
        ("POST", f"/users/{USER_ID}/revokeSignInSessions", None),
    ]
    assert graph.calls.last.request.headers["content-length"] == "0"


async def test_a_revocation_that_says_false_failed(entra, graph, live):
    """A 200 whose value is false is a refusal, not a success."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json=MEI)
    graph.post(f"{GRAPH}/users/{USER_ID}/revokeSignInSessions").respond(json={"value": False})
    with pytest.raises(Conflict, match="not ended"):
        await live(entra.revoke_sessions(USER, "phishing"))


async def test_sessions_of_an_invited_account_cannot_be_ended_here(entra, graph, live, sent):
    """An external account signs in at home, so a revocation that would do nothing is refused before it is sent."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={**MEI, "creationType": "Invitation"})
    with pytest.raises(Unsupported, match="home organisation"):
        await live(entra.revoke_sessions(USER, "phishing"))
    assert [method for method, _, _ in sent()] == ["GET"]


async def test_a_page_of_a_proxy_is_no_success(entra, graph, live):
    """A login page with status 200 in answer to a change is an error that leaves the outcome open."""
    graph.patch(f"{GRAPH}/users/{USER_ID}").respond(200, html="<html>Please sign in</html>")
    with pytest.raises(Invalid, match="not Graph's") as caught:
        await live(entra.disable_user(USER, "phishing"))
    assert caught.value.applied is Applied.MAYBE


async def test_an_unreadable_group_is_not_an_unprivileged_one(entra, graph):
    """An object that Graph gives without a name means a missing permission, and says which."""
    role = {"@odata.type": "#microsoft.graph.directoryRole", "id": USER_ID, "displayName": None}
    graph.get(f"{GRAPH}/users/{USER_ID}/memberOf").respond(json={"value": [role]})
    with pytest.raises(Forbidden, match=r"RoleManagement\.Read\.Directory"):
        await entra.groups_of(USER)
