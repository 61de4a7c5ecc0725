"""A MISP that answers in turn, and the connector in front of it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.misp import Misp


class FakeMisp:
    """Keeps requests; `answers` are given in turn, and empty pages when there are none."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        return self.events() if "/events/" in request.url.path else self.attributes()

    def asked(self, at: int) -> tuple[str, str, Any]:
        """Return method, path and body of a request."""
        request = self.requests[at]
        return request.method, request.url.path, json.loads(request.content)

    @staticmethod
    def attributes(*found: dict[str, Any], counted: int = 1) -> httpx.Response:
        return httpx.Response(200, json={"response": {"Attribute": found}}, headers={"X-Result-Count": str(counted)})

    @staticmethod
    def events(*found: tuple[str, str]) -> httpx.Response:
        return httpx.Response(
            200,
            json={"response": [{"Event": {"id": each, "uuid": "u", "info": info}} for each, info in found]},
            headers={"X-Result-Count": "2"},  # of the whole list, on every page
        )

    @staticmethod
    def refusal(status: int, message: str, **more: Any) -> httpx.Response:
        return httpx.Response(status, json={"name": message, "message": message, "url": "/", **more})


@pytest.fixture
def fake() -> FakeMisp:
    return FakeMisp()


@pytest.fixture
def misp(fake: FakeMisp) -> Misp:
    given = {"base_url": "https://misp.example", "api_key": Secret.of_value("misp-key")}
    connector = build(Misp, "misp", given, Redactor(), transport=httpx.MockTransport(fake.respond))
    assert isinstance(connector, Misp)
    return connector


@pytest.fixture
def live() -> Callable[[Awaitable[Any]], Awaitable[Any]]:
    """Await a notification as a live run does."""

    async def call(doing: Awaitable[Any]) -> Any:
        door = Door(mode="live", effect=Effect.NOTIFY, action="intel.share_indicators", intended=True, key="k")
        with through(door):
            return await doing

    return call
