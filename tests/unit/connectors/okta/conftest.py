"""An Okta connector whose requests go to a router of expected requests."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import respx

from hikeshi.capabilities import Effect
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.okta import Okta

ORG = "https://acme.okta.example"
TOKEN = "an-invented-api-token"


@pytest.fixture
def org() -> respx.MockRouter:
    return respx.MockRouter(assert_all_called=False)


@pytest.fixture
def make(org: respx.MockRouter) -> Callable[..., Okta]:
    def make(**settings: Any) -> Okta:
        token = {} if "client_id" in settings else {"api_token": Secret.of_value(TOKEN)}
        given = {"base_url": ORG, **token, **settings}
        built = build(Okta, "okta", given, Redactor(), transport=httpx.MockTransport(org.async_handler))
        assert isinstance(built, Okta)
        return built

    return make


@pytest.fixture
def okta(make: Callable[..., Okta]) -> Okta:
    return make()


@pytest.fixture
def live() -> Callable[[Awaitable[None]], Awaitable[None]]:
    """Make a change as the engine does in a live run, after it has recorded its intent."""

    async def live(change: Awaitable[None]) -> None:
        with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
            assert await change is None

    return live


@pytest.fixture
def sent(org: respx.MockRouter) -> Callable[[], list[tuple[str, str, Any]]]:
    """Return what was sent: method, URL below the org, and the JSON body or None."""

    def sent() -> list[tuple[str, str, Any]]:
        requests = [call.request for call in org.calls]
        return [
            (each.method, str(each.url).removeprefix(ORG), json.loads(each.content) if each.content else None)
            for each in requests
        ]

    return sent
