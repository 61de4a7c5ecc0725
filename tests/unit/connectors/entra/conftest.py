"""An Entra connector whose requests go to a router of expected requests."""

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
from hikeshi_connectors.entra import Entra

GRAPH = "https://graph.microsoft.com/v1.0"
LOGIN = "https://login.microsoftonline.com"
TENANT = "11111111-2222-4333-8444-555555555555"
SECRET = "an-invented-client-secret"
TOKEN = "an-invented-access-token"


@pytest.fixture
def graph() -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    answer = {"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}
    router.post(f"{LOGIN}/{TENANT}/oauth2/v2.0/token", name="token").respond(json=answer)
    return router


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def make(graph: respx.MockRouter, redactor: Redactor) -> Callable[..., Entra]:
    def make(**settings: Any) -> Entra:
        given = {"tenant_id": TENANT, "client_id": "app", "client_secret": Secret.of_value(SECRET), **settings}
        built = build(Entra, "entra", given, redactor, transport=httpx.MockTransport(graph.async_handler))
        assert isinstance(built, Entra)
        return built

    return make


@pytest.fixture
def entra(make: Callable[..., Entra]) -> Entra:
    return make()


@pytest.fixture
def live() -> Callable[[Awaitable[None]], Awaitable[None]]:
    """Make a change as the engine does in a live run, after it has recorded its intent."""

    async def live(change: Awaitable[None]) -> None:
        with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
            assert await change is None

    return live


@pytest.fixture
def sent(graph: respx.MockRouter) -> Callable[[], list[tuple[str, str, Any]]]:
    """Return what was sent to Graph itself: method, URL below the base address, and the JSON body or None."""

    def sent() -> list[tuple[str, str, Any]]:
        requests = [call.request for call in graph.calls if str(call.request.url).startswith(GRAPH)]
        return [
            (each.method, str(each.url).removeprefix(GRAPH), json.loads(each.content) if each.content else None)
            for each in requests
        ]

    return sent
