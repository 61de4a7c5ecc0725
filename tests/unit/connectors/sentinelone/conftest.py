"""A SentinelOne console that answers what a test laid out, and remembers what it was asked."""

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Secret
from hikeshi.connector.door import Door
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.sentinelone import SentinelOne

BASE = "https://acme.sentinelone.net"
TOKEN = "unit-test-api-token"
AGENT_ID = "225494730938493804"
UUID = "ff819e70af13be381993075eb0ce5f2f6de05be2"


class FakeConsole:
    """Answers in the order they were laid out for a method and path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[httpx.Response]] = defaultdict(list)

    def on(self, method: str, path: str, *answers: httpx.Response) -> None:
        self._answers[method, path] = list(answers)

    def lists(self, path: str, *pages: list[Any]) -> None:
        """Lay out the pages of a list."""
        cursors = [f"page-{number}" for number in range(1, len(pages))] + [None]
        bodies = [
            {"data": page, "pagination": {"totalItems": len(page), "nextCursor": cursor}}
            for page, cursor in zip(pages, cursors, strict=True)
        ]
        self.on("GET", path, *(httpx.Response(200, json=body) for body in bodies))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, path)]

    def bodies(self, method: str, path: str) -> list[Any]:
        return [json.loads(each.content) for each in self.asked(method, path)]

    @property
    def changes(self) -> list[httpx.Request]:
        return [each for each in self.requests if each.method != "GET"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeConsole:
    return FakeConsole()


@pytest.fixture
def make(fake: FakeConsole) -> Callable[..., SentinelOne]:
    def build_one(**settings: Any) -> SentinelOne:
        given = {"base_url": BASE, "api_token": Secret.of_value(TOKEN), **settings}
        connector = build(SentinelOne, "s1", given, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(connector, SentinelOne)
        return connector

    return build_one


@pytest.fixture
def console(make: Callable[..., SentinelOne]) -> SentinelOne:
    return make()


@pytest.fixture
def host() -> Host:
    return Host(connector="s1", id=AGENT_ID, name="ws-001")


@pytest.fixture
def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)


@pytest.fixture
def plan() -> Door:
    return Door(mode="plan", effect=Effect.CHANGE, action="edr.change")
