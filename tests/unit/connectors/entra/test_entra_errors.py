"""Errors, credentials, routes and settings."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, User
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    RouteRefused,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through

GRAPH = "https://graph.microsoft.com/v1.0"
LOGIN = "https://login.microsoftonline.com"
TENANT = "11111111-2222-4333-8444-555555555555"
USER_ID = "aaaaaaaa-0000-4000-8000-000000000001"
SECRET = "an-invented-client-secret"
TOKEN = "an-invented-access-token"
USER = User(connector="entra", id=USER_ID, name="mei@minato.example")


def graph_error(status, code, message="as documented", **headers):
    """Return an error in Graph's envelope. Source: https://learn.microsoft.com/graph/errors."""
    inner = {"date": "2026-01-01T00:00:00", "request-id": "req-1", "client-request-id": "req-1"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def missing():
    return graph_error(404, "Request_ResourceNotFound", "Resource does not exist")


CASES = [
    (graph_error(400, "Request_BadRequest", "One or more values are invalid"), Invalid, None, Applied.NO),
    (graph_error(403, "Authorization_RequestDenied"), Forbidden, None, Applied.NO),
    (missing(), NotFound, None, Applied.NO),
    (graph_error(409, "Conflict"), Conflict, None, Applied.NO),
    (graph_error(429, "TooManyRequests", Retry_After="17"), RateLimited, 17.0, Applied.NO),
    (graph_error(500, "InternalServerError"), Unavailable, None, Applied.MAYBE),
    (graph_error(503, "ServiceUnavailable", Retry_After="5"), Unavailable, 5.0, Applied.MAYBE),
    (graph_error(504, "GatewayTimeout"), Timeout, None, Applied.MAYBE),
    (httpx.Response(502, text="<html>"), Unavailable, None, Applied.MAYBE),
    (httpx.Response(404, text="<html>"), Invalid, None, Applied.NO),
    (httpx.Response(400, json=["?"]), Invalid, None, Applied.NO),
]


@pytest.mark.parametrize(("answer", "error", "retry_after_s", "applied"), CASES)
async def test_each_refusal_of_a_change_has_its_class(entra, graph, answer, error, retry_after_s, applied, live):
    """Class, hint for the next attempt, and whether the change can have happened follow from status and code."""
    graph.patch(f"{GRAPH}/users/{USER_ID}").mock(return_value=answer)
    with pytest.raises(ConnectorError) as caught:
        await live(entra.disable_user(USER, "phishing"))
    assert type(caught.value) is error
    assert (caught.value.retry_after_s, caught.value.applied) == (retry_after_s, applied)


@pytest.mark.parametrize(("answer", "error", "retry_after_s", "_applied"), CASES)
async def test_a_failed_read_applied_nothing(entra, graph, answer, error, retry_after_s, _applied):
    """The same classes for reads, which never have an effect."""
    graph.get(f"{GRAPH}/users/{USER_ID}").mock(return_value=answer)
    with pytest.raises(ConnectorError) as caught:
        await entra.account_of(USER)
    assert type(caught.value) is error
    assert (caught.value.retry_after_s, caught.value.applied) == (retry_after_s, Applied.NO)


async def test_an_error_carries_what_graph_said(entra, graph):
    """Code, message and request id help whoever has to ask the vendor; a very long message is cut."""
    graph.get(f"{GRAPH}/users/{USER_ID}").mock(
        return_value=graph_error(403, "Authorization_RequestDenied", "no\n" * 999)
    )
    with pytest.raises(Forbidden, match=r"Authorization_RequestDenied: no no .*request-id req-1") as caught:
        await entra.account_of(USER)
    assert len(caught.value.message) < 600


async def test_a_missing_page_of_a_proxy_is_not_a_missing_account(entra, graph):
    """A 404 that is not Graph's own never means that the directory knows nobody."""
    graph.get(f"{GRAPH}/users/{USER_ID}").mock(return_value=graph_error(404, "SomethingElse"))
    with pytest.raises(Invalid, match="base_url"):
        await entra.find_users(USER_ID)


async def test_the_token_is_fetched_once_and_masked(entra, graph, redactor):
    """The request for a token has the documented form; token and secret are masked from then on."""
    graph.get(f"{GRAPH}/users/{USER_ID}").respond(json={"accountEnabled": True})
    for _ in range(2):
        await entra.account_of(USER)
    assert graph["token"].call_count == 1
    request = graph["token"].calls.last.request
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["app"],
        "client_secret": [SECRET],
        "scope": ["https://graph.microsoft.com/.default"],
    }
    assert "authorization" not in request.headers
    assert redactor.text(f"{SECRET} {TOKEN}") == "[secret] [secret]"


async def test_an_expired_token_is_renewed_once(entra, graph, live):
    """A 401 fetches a new token and repeats the request; a second 401 is a matter of the credentials."""
    expired = graph_error(401, "InvalidAuthenticationToken")
    route = graph.patch(f"{GRAPH}/users/{USER_ID}")
    route.side_effect = [expired, httpx.Response(204)]
    await live(entra.disable_user(USER, "phishing"))
    assert graph["token"].call_count == 2
    route.side_effect = [expired, expired]
    with pytest.raises(Unauthorized) as caught:
        await live(entra.disable_user(USER, "phishing"))
    assert caught.value.applied is Applied.NO


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(401, json={"error": "invalid_client", "error_codes": [7000215]}), Unauthorized),
        (httpx.Response(400, json={"error": "unauthorized_client", "error_codes": [700016]}), Unauthorized),
        (httpx.Response(400, json={"error": "invalid_request"}), Unauthorized),
        (httpx.Response(429, json={"error": "temporarily_unavailable"}, headers={"Retry-After": "3"}), RateLimited),
        (httpx.Response(503, json={"error": "temporarily_unavailable"}), Unavailable),
        (httpx.Response(200, json={"token_type": "Bearer"}), Unauthorized),
        (httpx.Response(200, json={"access_token": TOKEN, "expires_in": "3599"}), Unauthorized),
        (httpx.Response(200, html="<html>"), Invalid),
        (httpx.ReadTimeout("late"), Timeout),
    ],
)
async def test_without_a_token_the_change_was_not_sent(entra, graph, answer, error, live):
    """Whatever goes wrong at the token service, the change behind it was not applied, and no secret is told."""
    graph["token"].mock(side_effect=[answer])
    with pytest.raises(ConnectorError) as caught:
        await live(entra.disable_user(USER, "phishing"))
    assert type(caught.value) is error
    assert caught.value.applied is Applied.NO
    assert SECRET not in str(caught.value)


async def test_the_reason_of_a_refused_sign_in_is_a_number(entra, graph):
    """The description may repeat what was sent, so only the kind and the AADSTS number are told."""
    said = {"error": "invalid_client", "error_codes": [7000215], "error_description": f"wrong: {SECRET}"}
    graph["token"].respond(401, json=said)
    with pytest.raises(Unauthorized, match=r"invalid_client AADSTS7000215; check tenant_id") as caught:
        await entra.account_of(USER)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"/users/{USER_ID}"),
        ("PATCH", f"/users/{USER_ID}"),
        ("POST", f"/users/{USER_ID}/revokeSignInSessions"),
        ("POST", "/users"),
        ("GET", f"/users/{USER_ID}/messages"),
        ("GET", f"/users/{USER_ID}/memberOf/x"),
        ("POST", "/$batch"),
        ("POST", f"/{TENANT}/oauth2/v2.0/token"),
    ],
)
async def test_only_the_reads_that_are_needed_are_read_routes(entra, graph, method, path):
    """A read action cannot send anything else."""
    with (
        through(Door(mode="live", effect=Effect.READ, action="identity.account_of")),
        pytest.raises(RouteRefused),
    ):
        await entra.http.request(method, path, auth=False)
    assert not graph.calls


async def test_only_client_credentials_are_a_read_of_the_token_service(entra, graph):
    """Another kind of grant is not declared, and refused."""
    with pytest.raises(RouteRefused):
        await entra.http.post(f"/{TENANT}/oauth2/v2.0/token", base="login", auth=False, form={"grant_type": "password"})
    assert not graph.calls


async def test_a_page_elsewhere_is_not_followed(entra, graph):
    """A link to a next page on another host never gets the token."""
    graph.get(f"{GRAPH}/users").respond(json={"value": [], "@odata.nextLink": "https://evil.example/v1.0/users"})
    with pytest.raises(RouteRefused):
        await entra.find_users("mei")


async def test_national_clouds_are_settings(make, graph):
    """Addresses and scope come from the settings, for reads, tokens and references alike."""
    base, login, scope = "https://graph.microsoft.us/v1.0/", "https://login.microsoftonline.us", "https://x/.default"
    token = graph.post(f"{login}/{TENANT}/oauth2/v2.0/token")
    token.respond(json={"access_token": TOKEN, "expires_in": 60})
    graph.get(f"https://graph.microsoft.us/v1.0/users/{USER_ID}").respond(json={"accountEnabled": True})
    await make(base_url=base, login_url=login, scope=scope).account_of(USER)
    assert parse_qs(token.calls.last.request.content.decode())["scope"] == [scope]


@pytest.mark.parametrize(
    "wrong", [{"tenant_id": "../common"}, {"tenant_id": ""}, {"client_id": ""}, {"client_secret": "plain"}, {"x": 1}]
)
def test_wrong_settings_are_refused(make, wrong):
    """A tenant that could leave its place in the path, a secret in plain text, and unknown keys are errors."""
    with pytest.raises(ValidationError):
        make(**wrong)


def test_the_defaults_are_the_public_cloud(entra):
    """Without addresses in the settings, the public cloud is used."""
    assert dict(entra.bases(entra.settings)) == {"": GRAPH, "login": LOGIN}
