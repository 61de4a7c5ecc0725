"""A guarded client whose requests end in a list."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from hikeshi.connector import Route
from hikeshi.connector.http import HttpClient

Answer = httpx.Response | Exception


class Wire(httpx.AsyncBaseTransport):
    """Takes down every request that leaves, and answers from a list, then with `{}`."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[Answer] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={})
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def seen(self) -> list[str]:
        return [f"{request.method} {request.url}" for request in self.requests]


ROUTES = (
    Route("GET", "/hosts/*"),
    Route("GET", "/deep/**"),
    Route("POST", "/search"),
    Route("GET", "/api/", where={"query:type": "op", "query:cmd": "show*"}),
    Route("POST", "/form", where={"form:type": "op"}),
    Route("POST", "/header", where={"header:X-Mode": "read"}),
    Route("GET", "/token", base="login"),
)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def client(wire: Wire) -> HttpClient:
    return make(wire)


@pytest.fixture
def at(wire: Wire) -> Callable[[str], HttpClient]:
    """Return a client for another base address."""
    return lambda base: make(wire, base)


def make(wire: Wire, base: str = "http://product.example/api1", **options: Any) -> HttpClient:
    bases = {"": base, "login": "https://login.example"}
    return HttpClient(name="fake", bases=bases, read_routes=ROUTES, transport=wire, **options)
