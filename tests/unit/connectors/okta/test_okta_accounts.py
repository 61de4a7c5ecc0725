"""What the Okta connector asks for accounts and sessions, request by request."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import User
from hikeshi.connector import Invalid, Secret, Unauthorized, Unsupported

ORG = "https://acme.okta.example"
UID = "00u1ero7vZFVEIYLWPB1"
USER = User(connector="okta", id=UID, name="mei@minato.example")


def account(status="ACTIVE", **fields):
    profile = {"login": "Mei@minato.example", "email": "mei.k@minato.example", "firstName": "Mei", "lastName": None}
    return {"id": UID, "status": status, "profile": {**profile, "department": "IT"}, **fields}


@pytest.mark.parametrize("name", ["mei@MINATO.example", "MEI", "mei.k@minato.example"])
async def test_an_account_is_found_by_its_names(okta, org, sent, name):
    """The login, its part before the @, and the mail address; in one search, with the token in the header."""
    org.get(f"{ORG}/api/v1/users").respond(json=[account()])
    (found,) = await okta.find_users(name)
    assert (found.id, found.name, found.email) == (UID, "Mei@minato.example", "mei.k@minato.example")
    assert (found.display_name, found.department) == ("Mei", "IT")
    ((_, url, _),) = sent()
    asked = parse_qs(urlsplit(url).query)
    assert asked["limit"] == ["200"]
    assert asked["search"][0].startswith(f'profile.login eq "{name}" or profile.email eq "{name}"')
    assert org.calls.last.request.headers["authorization"] == "SSWS an-invented-api-token"


async def test_what_the_search_thinks_similar_is_not_found(okta, org):
    """A search that gives more than was asked for is not believed."""
    org.get(f"{ORG}/api/v1/users").respond(json=[account()])
    assert await okta.find_users("mei.kobayashi") == []


@pytest.mark.parametrize("hostile", ['"', "\\", '" or profile.login pr or profile.login eq "', 'x\\" or id pr or "'])
async def test_a_name_stays_one_string_of_the_search(okta, org, sent, hostile):
    """Quotes and backslashes are escaped as in JSON, so nothing of a name becomes part of the expression."""
    org.get(f"{ORG}/api/v1/users").respond(json=[])
    assert await okta.find_users(hostile) == []
    search = parse_qs(urlsplit(sent()[0][1]).query)["search"][0]
    text, end = json.JSONDecoder().raw_decode(search.removeprefix("profile.login eq "))
    assert text == hostile
    assert search.removeprefix("profile.login eq ")[end:].startswith(" or profile.email eq ")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "x" * 101])
async def test_what_can_be_no_name_is_not_asked_for(okta, org, name):
    """Empty, unprintable and too long names are refused before a request."""
    with pytest.raises(Invalid):
        await okta.find_users(name)
    assert not org.calls


async def test_an_account_is_found_by_id_and_a_login_is_no_id(okta, org):
    """Okta takes a login where an id stands; only the account with that very id counts."""
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account())
    assert [each.id for each in await okta.find_users(UID)] == [UID]
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account(id="00uOther000000000001"))
    org.get(f"{ORG}/api/v1/users").respond(json=[])
    assert await okta.find_users(UID) == []


IN = ("ACTIVE", "LOCKED_OUT", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY")


@pytest.mark.parametrize("status", [*IN, "SUSPENDED", "DEPROVISIONED", "STAGED"])
async def test_each_status_says_whether_the_account_may_sign_in(okta, org, status):
    """Who is locked out or has an expired password gets in again without an administrator."""
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account(status))
    assert (await okta.account_of(USER)).enabled is (status in IN)


@pytest.mark.parametrize("body", ["", "null", "{}", "[]", '"text"', '{"status": "NEW"}', '{"status": null}'])
async def test_an_account_without_a_known_status_is_an_error(okta, org, body):
    """Neither enabled nor disabled is guessed."""
    org.get(f"{ORG}/api/v1/users/{UID}").respond(text=body, headers={"content-type": "application/json"})
    with pytest.raises(Invalid):
        await okta.account_of(USER)


async def test_an_account_is_suspended_and_unsuspended(okta, org, live, sent):
    """Its status is read first; then one POST without a body."""
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account())
    org.post(f"{ORG}/api/v1/users/{UID}/lifecycle/suspend").respond(json={})
    org.post(f"{ORG}/api/v1/users/{UID}/lifecycle/unsuspend").respond(json={})
    await live(okta.disable_user(USER, "r"))
    await live(okta.enable_user(USER, "r"))
    path = f"/api/v1/users/{UID}"
    assert sent() == [
        ("GET", path, None),
        ("POST", f"{path}/lifecycle/suspend", None),
        ("POST", f"{path}/lifecycle/unsuspend", None),
    ]


@pytest.mark.parametrize("status", ["LOCKED_OUT", "PASSWORD_EXPIRED", "RECOVERY", "PROVISIONED"])
async def test_a_status_that_okta_does_not_suspend_is_named_before_anything_is_sent(okta, org, live, sent, status):
    """Such an account can still get in, so this is an error and no success."""
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account(status))
    with pytest.raises(Unsupported, match=status):
        await live(okta.disable_user(USER, "r"))
    assert [method for method, *_ in sent()] == ["GET"]


@pytest.mark.parametrize(("forget", "said"), [(True, "true"), (False, "false")])
async def test_sessions_and_tokens_end(make, org, live, sent, forget, said):
    """OAuth tokens too; remembered devices as the settings say."""
    org.delete(f"{ORG}/api/v1/users/{UID}/sessions").respond(204)
    await live(make(forget_devices=forget).revoke_sessions(USER, "r"))
    assert sent() == [("DELETE", f"/api/v1/users/{UID}/sessions?oauthTokens=true&forgetDevices={said}", None)]


async def test_the_system_log_says_when_sessions_were_cleared(okta, org, sent):
    """The latest event about this account counts; none is no moment."""
    log = org.get(f"{ORG}/api/v1/logs").respond(json=[{"published": "2026-03-02T09:00:01.250Z"}])
    assert (await okta.sessions_of(USER)).valid_from == datetime(2026, 3, 2, 9, 0, 1, 250000, UTC)
    asked = parse_qs(urlsplit(sent()[0][1]).query)
    wanted = f'eventType eq "user.session.clear" and outcome.result eq "SUCCESS" and target.id eq "{UID}"'
    assert asked == {"filter": [wanted], "sortOrder": ["DESCENDING"], "limit": ["1"]}
    log.respond(json=[])
    assert (await okta.sessions_of(USER)).valid_from is None


@pytest.mark.parametrize("body", ["", "null", "{}", '"x"', "[1]", "[{}]", '[{"published": "2026-03-02T09:00:01"}]'])
async def test_another_answer_of_the_log_is_an_error(okta, org, body):
    """It says nothing about sessions."""
    org.get(f"{ORG}/api/v1/logs").respond(text=body, headers={"content-type": "application/json"})
    with pytest.raises(Invalid):
        await okta.sessions_of(USER)


@pytest.mark.parametrize(
    "hostile", ["", "..", "me", UID + "/../x", UID + "?a", UID[:9], UID + "\n", "mei@minato.example"]
)
async def test_no_other_id_enters_a_path(okta, org, live, hostile):
    """Every verb that takes an account refuses an id that is none of Okta's."""
    strange = User(connector="okta", id=hostile, name="x")
    for verb in ("account_of", "sessions_of", "groups_of"):
        with pytest.raises(Invalid):
            await getattr(okta, verb)(strange)
    for verb in ("disable_user", "enable_user", "revoke_sessions"):
        with pytest.raises(Invalid):
            await live(getattr(okta, verb)(strange, "r"))
    assert not org.calls


@pytest.mark.parametrize(
    "settings", [{"client_id": "app"}, {"client_id": "app", "private_key": Secret.of_value("k"), "api_token": "t"}]
)
def test_settings_name_one_way_in(make, settings):
    """A token, or a service app with its key."""
    if "api_token" in settings:
        settings = {**settings, "api_token": Secret.of_value("t")}
    with pytest.raises((ValidationError, ValueError), match="api_token"):
        make(**settings)


async def test_a_service_app_signs_for_its_token(make, org):
    """The assertion names app, audience and a near end; the answer's token is used and asked for once."""
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    answer = {"access_token": "an-invented-access-token", "expires_in": 3600, "token_type": "Bearer"}
    token = org.post(f"{ORG}/oauth2/v1/token").respond(json=answer)
    org.get(f"{ORG}/api/v1/users/{UID}").respond(json=account())
    okta = make(client_id="0oaApp", private_key=Secret.of_value(pem), key_id="k1")
    await okta.account_of(USER)
    await okta.account_of(USER)
    assert token.call_count == 1
    assert org.calls.last.request.headers["authorization"] == "Bearer an-invented-access-token"
    form = parse_qs(token.calls.last.request.content.decode())
    assert form["scope"] == ["okta.users.manage okta.groups.manage okta.roles.manage okta.logs.read"]
    head, claims_text, signature = form["client_assertion"][0].split(".")
    key.public_key().verify(decoded(signature), f"{head}.{claims_text}".encode(), padding.PKCS1v15(), SHA256())
    claims = json.loads(decoded(claims_text))
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("0oaApp", "0oaApp", f"{ORG}/oauth2/v1/token")
    assert claims["exp"] - claims["iat"] == 300


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_key_that_is_none_is_said_without_showing_it(make, org):
    """A setting that holds something else is a problem of credentials."""
    okta = make(client_id="0oaApp", private_key=Secret.of_value("not-a-key"))
    with pytest.raises(Unauthorized) as caught:
        await okta.account_of(USER)
    assert "not-a-key" not in str(caught.value)
    assert not org.calls


async def test_a_refused_app_is_unauthorized(make, org):
    """The token service answers in an envelope of its own."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    org.post(f"{ORG}/oauth2/v1/token").mock(return_value=httpx.Response(401, json={"error": "invalid_client"}))
    with pytest.raises(Unauthorized, match="invalid_client"):
        await make(client_id="0oaApp", private_key=Secret.of_value(pem)).account_of(USER)
