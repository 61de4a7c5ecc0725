"""Tokens, the tenant and its region: asked once, carried by every request, and never somebody else's."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from hikeshi.capabilities import Host
from hikeshi.connector import ConnectorError, Invalid, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sophos import Sophos

TOKEN, WHOAMI = "/api/v2/oauth2/token", "/whoami/v1"
ENDPOINTS = "/endpoint/v1/endpoints"
TENANT, OTHER = "57ca9a6b-885f-4e36-95ec-290548c26059", "9c1f3b58-0000-4000-8000-000000000000"
DATA = "https://api-eu01.central.sophos.com"


async def test_a_token_and_the_tenant_are_asked_for_once(fake: Any, central: Sophos) -> None:
    """The form goes to Sophos ID, whoami to the global address, the rest to the region with both headers."""
    fake.lists(ENDPOINTS, [])
    for name in ("a", "b"):
        assert await central.find_hosts(name) == []
    assert [f"{each.method} {each.url.host}{each.url.path}" for each in fake.requests] == [
        f"POST id.sophos.com{TOKEN}",
        f"GET api.central.sophos.com{WHOAMI}",
        f"GET api-eu01.central.sophos.com{ENDPOINTS}",
        f"GET api-eu01.central.sophos.com{ENDPOINTS}",
    ]
    assert parse_qs(fake.requests[0].content.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client-1"],
        "client_secret": ["unit-test-client-secret"],
        "scope": ["token"],
    }
    assert "x-tenant-id" not in fake.requests[1].headers
    assert {each.headers["authorization"] for each in fake.requests[1:]} == {"Bearer unit-test-bearer-token"}
    assert {each.headers["x-tenant-id"] for each in fake.data_requests} == {TENANT}


async def test_another_region_is_named_before_data_is_asked_for(fake: Any, central: Sophos) -> None:
    """Sophos says where the data is; the setting has to agree."""
    fake.is_of("tenant", TENANT, "https://api-us03.central.sophos.com")
    with pytest.raises(Invalid, match=r"api-us03\.central\.sophos\.com; set region"):
        await central.find_hosts("x")
    assert fake.data_requests == []


async def test_a_region_is_an_address(fake: Any, make: Callable[..., Sophos]) -> None:
    """The setting becomes the host; what is no region is refused."""
    fake.is_of("tenant", TENANT, "http://api-us03.central.sophos.com")
    fake.lists(ENDPOINTS, [])
    await make(region="us03").find_hosts("x")
    assert fake.requests[-1].url.host == "api-us03.central.sophos.com"
    with pytest.raises(Exception, match="region"):
        make(region="evil.example/")


@pytest.mark.parametrize("kind", ["partner", "organization"])
async def test_credentials_of_many_tenants_need_to_be_told_which(
    fake: Any, make: Callable[..., Sophos], kind: str
) -> None:
    """Without tenant_id nothing is asked; with it, that tenant is."""
    fake.is_of(kind, OTHER, None)
    fake.lists(ENDPOINTS, [])
    with pytest.raises(Invalid, match=f"{kind}; set tenant_id"):
        await make().find_hosts("x")
    assert fake.data_requests == []
    await make(tenant_id=TENANT).find_hosts("x")
    assert fake.data_requests[0].headers["x-tenant-id"] == TENANT


async def test_credentials_of_another_tenant_are_not_used(fake: Any, make: Callable[..., Sophos]) -> None:
    """tenant_id says what is meant; credentials that belong elsewhere isolate nobody."""
    with pytest.raises(Invalid, match="not to"):
        await make(tenant_id=OTHER).find_hosts("x")
    assert fake.data_requests == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(400, json={"errorCode": "oauth.client_app_does_not_exist", "message": "no"}), Unauthorized),
        (httpx.Response(401, json={"errorCode": "oauth.invalid_client_secret", "message": "no"}), Unauthorized),
        (httpx.Response(200, json={"errorCode": "customer.validation", "message": "no"}), Unauthorized),
        (httpx.Response(200, json={"errorCode": "success"}), Invalid),
        (httpx.Response(200, html="<html>portal</html>"), Invalid),
        (httpx.Response(503), Unavailable),
    ],
)
async def test_a_token_that_is_refused_leads_nowhere(
    fake: Any, central: Sophos, answer: httpx.Response, kind: type[ConnectorError]
) -> None:
    """The error has its class and no secret; no data is asked for."""
    fake.on("POST", TOKEN, answer)
    with pytest.raises(kind) as caught:
        await central.find_hosts("x")
    assert "unit-test-client-secret" not in str(caught.value) + repr(caught.value)
    assert fake.data_requests == []


async def test_an_expired_token_is_fetched_anew_once(fake: Any, central: Sophos, host: Host, live: Door) -> None:
    """Then the request is sent again; whose the credentials are is known already."""
    path = f"{ENDPOINTS}/isolation"
    refused = httpx.Response(401, json={"error": "Unauthorized", "message": "expired"})
    fake.on("POST", path, refused, httpx.Response(202, json={"items": [{}]}))
    with through(live):
        await central.isolate_host(host, "r")
    assert (len(fake.asked("POST", TOKEN)), len(fake.asked("GET", WHOAMI)), len(fake.changes)) == (2, 1, 2)


async def test_fresh_credentials_that_are_refused_are_the_answer(
    fake: Any, central: Sophos, host: Host, live: Door
) -> None:
    """There is no third attempt."""
    fake.on("POST", f"{ENDPOINTS}/isolation", httpx.Response(401, json={"error": "Unauthorized", "message": "no"}))
    with through(live), pytest.raises(Unauthorized):
        await central.isolate_host(host, "r")
    assert len(fake.changes) == 2


@pytest.mark.parametrize(
    "body", [{}, {"id": TENANT, "idType": "tenant"}, {"id": TENANT, "idType": "tenant", "apiHosts": 3}]
)
async def test_a_whoami_of_another_form_is_invalid(fake: Any, central: Sophos, body: dict[str, Any]) -> None:
    """Without the tenant and its region nothing is asked."""
    fake.on("GET", WHOAMI, httpx.Response(200, json=body))
    with pytest.raises(Invalid, match="unexpected form"):
        await central.find_hosts("x")
    assert fake.data_requests == []
