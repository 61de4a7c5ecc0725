"""A Falcon that answers what a test laid out, and remembers what it was asked."""

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Secret
from hikeshi.connector.door import Door
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.crowdstrike import Falcon

BASE = "https://api.crowdstrike.com"
SECRET = "unit-test-client-secret"
TOKEN = "unit-test-access-token"
AID = "0123456789abcdef0123456789abcdef"


class FakeFalcon:
    """Answers in the order they were laid out for a method and path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[httpx.Response]] = defaultdict(list)
        token = {"access_token": TOKEN, "expires_in": 1799, "token_type": "bearer"}
        self.on("POST", "/oauth2/token", httpx.Response(201, json=token))

    def on(self, method: str, path: str, *answers: httpx.Response) -> None:
        self._answers[method, path] = list(answers)

    def ok(self, method: str, path: str, *pages: list[Any], status: int = 200, **pagination: Any) -> None:
        """Lay out one successful answer for each list of resources."""
        bodies = [{"meta": {"pagination": pagination}, "errors": [], "resources": page} for page in pages]
        self.on(method, path, *(httpx.Response(status, json=body) for body in bodies))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, path)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


def query_of(request: httpx.Request) -> list[tuple[str, str]]:
    return parse_qsl(request.url.query.decode(), keep_blank_values=True)


@pytest.fixture
def fake() -> FakeFalcon:
    return FakeFalcon()


@pytest.fixture
def make(fake: FakeFalcon) -> Callable[..., Falcon]:
    def build_one(**settings: Any) -> Falcon:
        given = {"client_id": "id-1", "client_secret": Secret.of_value(SECRET), **settings}
        connector = build(Falcon, "falcon", given, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(connector, Falcon)
        return connector

    return build_one


@pytest.fixture
def falcon(make: Callable[..., Falcon]) -> Falcon:
    return make()


@pytest.fixture
def host() -> Host:
    return Host(connector="falcon", id=AID, name="ws-001")


@pytest.fixture
def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)


@pytest.fixture
def plan() -> Door:
    return Door(mode="plan", effect=Effect.CHANGE, action="edr.change")
