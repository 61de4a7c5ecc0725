"""A Sophos Central that answers what a test laid out, and remembers what it was asked."""

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import Secret
from hikeshi.connector.door import Door
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.sophos import Sophos

ID_HOST, GLOBAL_HOST = "id.sophos.com", "api.central.sophos.com"
DATA = "https://api-eu01.central.sophos.com"
SECRET = "unit-test-client-secret"
ENDPOINT = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
TENANT = "57ca9a6b-885f-4e36-95ec-290548c26059"


class FakeCentral:
    """Answers in the order they were laid out for a method and path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[httpx.Response]] = defaultdict(list)
        token = {"access_token": "unit-test-bearer-token", "errorCode": "success", "expires_in": 3600}
        self.on("POST", "/api/v2/oauth2/token", httpx.Response(200, json=token))
        self.is_of("tenant", TENANT, DATA)

    def is_of(self, kind: str, own_id: str, data_url: str | None) -> None:
        """Lay out whose the credentials are."""
        hosts = {"global": f"https://{GLOBAL_HOST}", **({"dataRegion": data_url} if data_url else {})}
        self.on("GET", "/whoami/v1", httpx.Response(200, json={"id": own_id, "idType": kind, "apiHosts": hosts}))

    def on(self, method: str, path: str, *answers: httpx.Response) -> None:
        self._answers[method, path] = list(answers)

    def lists(self, path: str, *pages: list[Any]) -> None:
        """Lay out the pages of a list, with keys and with numbers."""
        keys = [f"key-{number}" for number in range(1, len(pages))] + [None]
        bodies = [
            {"items": page, "pages": {"size": len(page), "total": len(pages), **({"nextKey": key} if key else {})}}
            for page, key in zip(pages, keys, strict=True)
        ]
        self.on("GET", path, *(httpx.Response(200, json=body) for body in bodies))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, path)]

    def bodies(self, method: str, path: str) -> list[Any]:
        return [json.loads(each.content) for each in self.asked(method, path)]

    @property
    def data_requests(self) -> list[httpx.Request]:
        """Requests that went where the tenant's data is."""
        return [each for each in self.requests if each.url.host == urlsplit(DATA).hostname]

    @property
    def changes(self) -> list[httpx.Request]:
        return [each for each in self.data_requests if each.method != "GET"]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeCentral:
    return FakeCentral()


@pytest.fixture
def make(fake: FakeCentral) -> Callable[..., Sophos]:
    def build_one(**settings: Any) -> Sophos:
        given = {
            "client_id": "client-1",
            "client_secret": Secret.of_value(SECRET),
            "requests_per_minute": 60_000,
            **settings,
        }
        connector = build(Sophos, "sophos", given, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(connector, Sophos)
        return connector

    return build_one


@pytest.fixture
def central(make: Callable[..., Sophos]) -> Sophos:
    return make()


@pytest.fixture
def host() -> Host:
    return Host(connector="sophos", id=ENDPOINT, name="ws-001")


@pytest.fixture
def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)


@pytest.fixture
def plan() -> Door:
    return Door(mode="plan", effect=Effect.CHANGE, action="edr.change")
