"""A Vision One connector whose requests go to answers that a test laid out."""

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
from hikeshi_connectors.vision_one import VisionOne

GUID = "72436165-b5a5-471a-9389-0bdc3647bc33"
KEY = "an-invented-api-key"


class FakeVisionOne:
    """Answers in the order they were laid out for a method and path below /v3.0; the last one stays."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[httpx.Response]] = defaultdict(list)
        self.lists("/response/tasks", [])

    def on(self, method: str, path: str, *answers: httpx.Response) -> None:
        self._answers[method, path] = list(answers)

    def gets(self, path: str, *bodies: dict[str, Any]) -> None:
        self.on("GET", path, *(httpx.Response(200, json=body) for body in bodies))

    def lists(self, path: str, *pages: list[Any]) -> None:
        """Lay out one page for each list; all but the last lead on."""
        bodies: list[dict[str, Any]] = [{"items": each} for each in pages]
        for number, body in enumerate(bodies[:-1], 1):
            body["nextLink"] = f"https://api.xdr.trendmicro.com/v3.0{path}?skipToken={number}"
        self.gets(path, *bodies)

    def multi(self, path: str, *entries: dict[str, Any]) -> None:
        self.on("POST", path, httpx.Response(207, json=list(entries)))

    def asked(self, method: str, path: str) -> list[httpx.Request]:
        return [each for each in self.requests if (each.method, each.url.path) == (method, f"/v3.0{path}")]

    @property
    def changes(self) -> list[tuple[str, Any]]:
        """What was sent besides reads: path and JSON body."""
        sent = [each for each in self.requests if each.method != "GET"]
        return [(each.url.path.removeprefix("/v3.0"), json.loads(each.content)) for each in sent]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._answers[request.method, request.url.path.removeprefix("/v3.0")]
        assert answers, f"nothing laid out for {request.method} {request.url}"
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def fake() -> FakeVisionOne:
    return FakeVisionOne()


@pytest.fixture
def make(fake: FakeVisionOne) -> Callable[..., VisionOne]:
    def make(**settings: Any) -> VisionOne:
        given = {"api_key": Secret.of_value(KEY), "task_wait_s": 0.0, **settings}
        built = build(VisionOne, "v1", given, Redactor(), transport=httpx.MockTransport(fake))
        assert isinstance(built, VisionOne)
        return built

    return make


@pytest.fixture
def vision_one(make: Callable[..., VisionOne]) -> VisionOne:
    return make()


@pytest.fixture
def host() -> Host:
    return Host(connector="v1", id=GUID, name="PC-7")


@pytest.fixture
def live() -> Callable[[Awaitable[None]], Awaitable[None]]:
    """Make a change as the engine does in a live run, after it has recorded its intent."""

    async def live(change: Awaitable[None]) -> None:
        with through(Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)):
            assert await change is None

    return live
