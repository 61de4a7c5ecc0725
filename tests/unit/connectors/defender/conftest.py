"""A Defender connector whose requests go to answers that a test laid out."""

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi_connectors.defender import Defender

TENANT = "11111111-2222-4333-8444-555555555555"
TOKEN_PATH = f"/{TENANT}/oauth2/v2.0/token"
MACHINE_ID = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"


class FakeDefender:
    """Answers in the order they were laid out for a method and path; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[httpx.Response]] = defaultdict(list)
        token = {"access_token": "an-invented-token", "expires_in": 3599, "token_type": "Bearer"}
        self.on("POST", TOKEN_PATH, httpx.Response(200, json=token))

    def on(self, method: str, path: str, *answers: httpx.Response) -> None:
        self._answers[method, path] = list(answers)

    def lists(self, path: str, *values: list[Any]) -> None:
        """Lay out one page for each list; all but the last lead on, by a link to the older host."""
        pages: list[dict[str, Any]] = [{"value": each} for each in values]
        for number, page in enumerate(pages[:-1], 1):
            page["@odata.nextLink"] = f"https://api.securitycenter.microsoft.com{path}?$skip={number}"
        self.on("GET", path, *(httpx.Response(200, json=page) for page in pages))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, path)]

    @property
    def changes(self) -> list[tuple[str, Any]]:
        """What was sent besides reads: path and JSON body."""
        reads = ("/run", "/token")
        sent = [each for each in self.requests if each.method == "POST" and not each.url.path.endswith(reads)]
        return [(each.url.path, json.loads(each.content)) for each in sent]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeDefender:
    return FakeDefender()


@pytest.fixture
def defender(fake: FakeDefender) -> Defender:
    settings = {"tenant_id": TENANT, "client_id": "app", "client_secret": Secret.of_value("an-invented-secret")}
    built = build(Defender, "mde", settings, Redactor(), transport=httpx.MockTransport(fake))
    assert isinstance(built, Defender)
    return built


@pytest.fixture
def host() -> Host:
    return Host(connector="mde", id=MACHINE_ID, name="pc-7.corp.example")


@pytest.fixture
def live() -> Callable[[Awaitable[None]], Awaitable[None]]:
    """Make a change as the engine does in a live run, after it has recorded its intent."""

    async def live(change: Awaitable[None]) -> None:
        with through(Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)):
            assert await change is None

    return live
