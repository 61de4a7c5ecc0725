"""A served project that asks in chat: simulated Slack and Matrix, an invented EDR, processes that can be restarted."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Role
from hikeshi.app import Hikeshi
from hikeshi.chat import Chat, chat_routes
from hikeshi.connector.registry import Registry
from hikeshi.journal import encode_record
from hikeshi.project import load_config
from hikeshi.service.service import Service
from hikeshi.service.shift import worker_for
from hikeshi.testing.estate import Channel, Estate, EstateState, Message
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.loopback_server import QuickServer
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.matrix import Matrix
from hikeshi_connectors.matrix.simulator import MatrixSimulator
from hikeshi_connectors.slack.simulator import SlackSimulator

__all__ = ["SIGNING_SECRET", "Place", "Server", "place_in", "signed", "wait_until"]

T = TypeVar("T")
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PEOPLE = {
    "mei": {
        "name": "Mei Kobayashi",
        "roles": ["soc"],
        "access": ["responder"],
        "slack": "U0MEI00001",
        "matrix": "@mei:hikeshi.test",
    },
    "ken": {
        "name": "Ken Sato",
        "roles": ["lead"],
        "access": ["responder", "approver"],
        "slack": "U0KEN00001",
        "matrix": "@ken:hikeshi.test",
    },
    "aya": {
        "name": "Aya Mori",
        "roles": ["lead"],
        "access": ["approver"],
        "slack": "U0AYA00001",
        "matrix": "@aya:hikeshi.test",
    },
    "rin": {
        "name": "Rin Ito",
        "roles": ["lead"],
        "access": ["viewer"],
        "slack": "U0RIN00001",
        "matrix": "@rin:hikeshi.test",
    },
    "leo": {
        "name": "Leo Silva",
        "roles": ["soc"],
        "access": ["approver"],
        "slack": "U0LEO00001",
        "matrix": "@leo:hikeshi.test",
    },
}
ISOLATE = """
id: isolate
inputs: {names: {type: list, items: {type: string}}}
steps:
  - {id: find, for_each: inputs.names, action: edr.get_host, with: {name: "{{ item }}"}}
  - {id: sure, approve: "Isolate <!channel> & friends?", by: [role:lead], within: 1h, quorum: QUORUM}
  - id: isolate
    for_each: "steps.find | map(attribute='output')"
    as: host
    action: edr.isolate_host
    with: {host: "{{ host }}", reason: test}
"""


def wait_until(look: Callable[[], T], *, within_s: float = 10.0) -> T:
    """Return what `look` gives as soon as it gives something true. Fails when it does not in time."""
    end = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, "this did not come about in time"
        time.sleep(0.02)


def signed(payload: Any, *, at_s: float | None = None, secret: str = SIGNING_SECRET) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers with which Slack would send a payload."""
    body = payload if isinstance(payload, bytes) else urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time() if at_s is None else at_s))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return body, {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": f"v0={digest}",
    }


@dataclass
class Place:
    """A project in a folder, the chats that it asks in, and what was told to those who clicked."""

    folder: Path
    simulation: Simulation
    base_url: str
    world: FakeWorld = field(default_factory=FakeWorld)
    matrix_url: str | None = None
    people: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(PEOPLE)))

    def write(self, chat: dict[str, Any], **connectors: Any) -> None:
        """Write hikeshi.yaml."""
        slack = {
            **SlackSimulator.connector_settings(self.base_url),
            "bot_token": f"${{file:{self._file('token', SlackSimulator)}}}",
        }
        matrix = {
            **MatrixSimulator.connector_settings(self.matrix_url or self.base_url),
            "access_token": f"${{file:{self._file('matrix-token', MatrixSimulator)}}}",
            **({"base_url": self.matrix_url} if self.matrix_url else {}),
        }
        document = {
            "connectors": {"fake": {"product": "fake"}, "slack": slack, "matrix": matrix, **connectors},
            "people": self.people,
            "console": {"url": "https://hikeshi.example"},
            "chat": chat,
        }
        (self.folder / "hikeshi.yaml").write_text(json.dumps(document), encoding="utf-8")

    def _file(self, name: str, simulator: Any) -> Path:
        path = self.folder.parent / name
        if not path.exists():
            path.write_text(next(iter(simulator.demo_settings.values())), encoding="utf-8")
        return path

    def write_playbook(self, *, quorum: int = 1) -> None:
        """Write the playbook that asks."""
        (self.folder / "playbooks").mkdir(exist_ok=True)
        text = ISOLATE.replace("QUORUM", str(quorum))
        (self.folder / "playbooks" / "isolate.yaml").write_text(text, encoding="utf-8")

    @property
    def matrix(self) -> MatrixSimulator:
        """The simulated homeserver."""
        found = self.simulation.simulators["matrix"]
        assert isinstance(found, MatrixSimulator)
        return found

    @property
    def messages(self) -> Sequence[Message]:
        """What was posted."""
        return self.simulation.estate.messages

    @contextmanager
    def served(self) -> Iterator[Server]:
        """Serve the project by a process of its own: an application, its worker, its chat and a port."""
        server = Server(self)
        server.start()
        try:
            yield server
        finally:
            server.stop()


class Server:
    """One process of a project."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.told: list[str] = []
        self.responses: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._clicks = 0

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:  # noqa: BLE001 - the test is told
            self._failure = exc
            self._ready.set()

    async def _main(self) -> None:
        registry = Registry()
        for product in (fake_connector(self.place.world), Matrix):
            registry.add(product)
        self.app = Hikeshi(load_config(self.place.folder), registry=registry)
        self._loop = asyncio.get_running_loop()
        worker = worker_for(
            self.app, [], ended=lambda _: None, trouble=lambda name, exc: self.told.append(f"{name}: {exc}")
        )
        self.service = Service(self.app, wake=worker.wake)
        self.chat = Chat(self.service, alert=self.told.append, wake=worker.wake)
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        site = Starlette(
            routes=[
                *chat_routes(self.service, responses_at=self.url),
                Route("/actions/{id}", self._hear, methods=["POST"]),
            ]
        )
        self._server = QuickServer(uvicorn.Config(site, ws="none", lifespan="off", log_config=None, access_log=False))
        jobs = [asyncio.create_task(worker.run(stay=True)), asyncio.create_task(self.chat.run())]
        serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.005)
        self._ready.set()
        try:
            await serving
        finally:
            worker.stop()
            self.chat.stop()
            await asyncio.gather(*jobs)
            await self.app.aclose()

    async def _hear(self, request: Request) -> Response:
        self.responses.append({"to": request.path_params["id"], **(await request.json())})
        return Response("ok")

    # --- what people do ---------------------------------------------------------------------------------------

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something in the process, and return what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def ask(self, *names: str, by: str = "mei") -> str:
        """Begin a run that asks, and return its ID."""
        roles = frozenset({Role.RESPONDER})
        who = Identity(by, "test", roles, by, by)
        for name in names:
            if not any(host.name == name for host in self.place.world.hosts["fake"]):
                self.place.world.add_host(name)
        return self.call(self.service.start(who, "isolate", {"names": list(names)}, live=True)).run

    def cancel(self, run: str) -> None:
        """Cancel a run."""
        who = Identity("mei", "test", frozenset({Role.RESPONDER}), "mei", "Mei")
        self.call(self.service.tell(who, run, "cancel", {"reason": "a drill"}))

    def asked(self, run: str) -> dict[str, str]:
        """Return what a run asks, once it does."""

        async def look() -> Any:
            return self.app.questions(run)

        row = wait_until(lambda: self.call(look()))[0]
        return {key: row[key] for key in ("run", "path", "digest")}

    def status(self, run: str) -> str:
        """Return the status of a run."""

        async def look() -> str:
            return str(self.app.journal.query("SELECT status FROM runs WHERE run = ?", (run,))[0]["status"])

        return self.call(look())

    def runs(self, playbook: str) -> list[str]:
        """Return the runs of a playbook that have succeeded."""

        async def look() -> list[str]:
            rows = self.app.journal.query(
                "SELECT run FROM runs WHERE playbook = ? AND status = 'succeeded' ORDER BY started_at", (playbook,)
            )
            return [row["run"] for row in rows]

        return self.call(look())

    def records(self, stream: str) -> list[Any]:
        """Return the records of a run or stream."""

        async def look() -> list[Any]:
            return list(self.app.journal.read(stream))

        return self.call(look())

    def claim(self, event: str, owner: str, *, connector: str = "matrix") -> None:
        """Note that a process has taken a reply, and stopped right after that."""
        parts = json.dumps([connector, "!approvals:hikeshi.test", event])
        stream = f"chat-reply-{hashlib.sha256(parts.encode()).hexdigest()[:24]}"
        data = {"owner": owner, "sender": "@ken:hikeshi.test", "event": event}
        now = self.app.clock.now()
        record = encode_record(run=stream, seq=1, at=now, kind="ReplyClaimed", path="", data=data)
        self.call(self.app.journal.append(stream, 1, [record]))

    def message_about(self, run: str) -> Message:
        """Return the message of Slack that asks for a run's approval, once it is there."""
        look = self.place
        try:
            return wait_until(lambda: next((each for each in look.messages if run in str(each.blocks)), None))
        except AssertionError:
            raise AssertionError(f"nothing was announced; {self.told}") from None

    def payload(self, member: str, asked: dict[str, str], decision: str = "approve", **more: Any) -> dict[str, Any]:
        """Return what Slack sends when somebody clicks."""
        self._clicks += 1
        action = {"type": "button", "action_id": f"hikeshi_{decision}", "value": json.dumps(asked)}
        return {
            "type": "block_actions",
            "user": {"id": member, "team_id": "T1"},
            "trigger_id": f"13345224609.738474920.{member}.{self._clicks}",
            "response_url": f"{self.url}/actions/{member}",
            "actions": [action],
            **more,
        }

    def post(self, message: tuple[bytes, dict[str, str]], method: str = "POST") -> httpx.Response:
        """Send a request to the door, as Slack does."""
        body, headers = message
        return httpx.request(method, f"{self.url}/chat/slack", content=body, headers=headers, timeout=30)

    def click(self, member: str, asked: dict[str, str], decision: str = "approve") -> str:
        """Click as a member, and return what they are told."""
        before = len(self.responses)
        answer = self.post(signed(self.payload(member, asked, decision)))
        assert answer.status_code == 200, answer.text
        told = wait_until(lambda: self.responses[before:])[0]
        assert (told["to"], told["response_type"], told["replace_original"]) == (member, "ephemeral", False)
        return str(told["text"])


@contextmanager
def place_in(folder: Path) -> Iterator[Place]:
    """Serve Slack, and give a project that asks in it."""
    channels = {"C0APPROVE1": Channel("C0APPROVE1", "approvals"), "C0SOC00001": Channel("C0SOC00001", "soc")}
    estate = Estate(EstateState("small", datetime.now(UTC), channels=channels))
    simulation = Simulation(estate, [SlackSimulator, MatrixSimulator])
    with running(simulation) as url:
        place = Place(folder / "project", simulation, url)
        place.folder.mkdir()
        place.write({"announce": ["#approvals"], "slack": {"signing_secret": "${env:CHAT_SIGNING_SECRET}"}})
        place.write_playbook()
        yield place
