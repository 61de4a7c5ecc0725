"""What each refusal of Okta stands for."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from hikeshi.capabilities import User
from hikeshi.connector import (
    Applied,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)

ORG = "https://acme.okta.example"
UID = "00u1ero7vZFVEIYLWPB1"
USER = User(connector="okta", id=UID, name="mei@minato.example")
SUSPEND = f"{ORG}/api/v1/users/{UID}/lifecycle/unsuspend"


def refused(status, code, summary="as documented", headers=()):
    """Return an error in Okta's envelope. Source: https://developer.okta.com/docs/reference/error-codes/."""
    body = {"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae1", "errorCauses": []}
    return httpx.Response(status, json=body, headers=[*headers])


@pytest.mark.parametrize(
    ("status", "code", "kind", "applied"),
    [
        (400, "E0000001", Conflict, Applied.NO),
        (400, "E0000003", Invalid, Applied.NO),
        (401, "E0000011", Unauthorized, Applied.NO),
        (403, "E0000006", Forbidden, Applied.NO),
        (404, "E0000007", NotFound, Applied.NO),
        (404, "E0000008", Invalid, Applied.NO),
        (409, "E0000090", Conflict, Applied.NO),
        (500, "E0000009", Unavailable, Applied.MAYBE),
        (503, "E0000010", Unavailable, Applied.MAYBE),
    ],
)
async def test_each_refusal_is_its_own_error(okta, org, live, status, code, kind, applied):
    """By status and code, with Okta's words and the number that its support asks for."""
    org.post(SUSPEND).mock(return_value=refused(status, code))
    with pytest.raises(kind) as caught:
        await live(okta.enable_user(USER, "r"))
    assert type(caught.value) is kind
    assert caught.value.applied is applied
    assert f"{code}: as documented (errorId oae1)" in caught.value.message


async def test_of_several_limits_the_last_to_end_counts(okta, org):
    """The header is there for the org and for the caller; it is compared with Okta's own clock."""
    there = time.time() - 86_400  # Okta's clock, or ours, is wrong by a day
    resets = [("x-rate-limit-reset", str(int(there) + wait)) for wait in (5, 42, 17)]
    headers = [*resets, ("x-rate-limit-remaining", "0"), ("date", formatdate(there, usegmt=True))]
    org.get(f"{ORG}/api/v1/users/{UID}").mock(return_value=refused(429, "E0000047", headers=headers))
    with pytest.raises(RateLimited) as caught:
        await okta.account_of(USER)
    assert caught.value.retry_after_s == 43


async def test_a_limit_without_an_end_has_no_hint(okta, org):
    """Then the engine's own delays apply."""
    org.get(f"{ORG}/api/v1/users/{UID}").mock(return_value=refused(429, "E0000047"))
    with pytest.raises(RateLimited) as caught:
        await okta.account_of(USER)
    assert caught.value.retry_after_s is None


async def test_a_page_of_somebody_else_is_no_success(okta, org, live):
    """A proxy's page with status 200 may stand for anything."""
    org.post(SUSPEND).respond(200, html="<h1>Sign in</h1>")
    with pytest.raises(Invalid) as caught:
        await live(okta.enable_user(USER, "r"))
    assert caught.value.applied is Applied.MAYBE
