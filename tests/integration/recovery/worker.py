"""A process that runs playbooks against a small product and is killed at a named point. Run by the tests beside it.

python worker.py PROJECT start PLAYBOOK      with KILL_AT="before intent" and the like
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path_

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Edr, Host, Isolation, Message, Messaging, Model, Recovery, Severity, change, read
from hikeshi.connector import Connector, Route
from hikeshi.connector.registry import Registry
from hikeshi.journal import Journal, Record, decode_record
from hikeshi.project import load_config
from hikeshi.runtime.clock import Clock
from hikeshi.testing.simulator import Simulator


class Tag(Model):
    """Whether a tag is there."""

    connector: str
    name: str
    there: bool


def is_there(state: Tag, _prior: Tag) -> bool:
    return state.there


class Box(Connector, Edr, Messaging, product="box"):
    """A product with an action of each recovery class."""

    read_routes = (Route("GET", "/**"),)

    async def find_hosts(self, name: str) -> list[Host]:
        await self.http.get("/hosts")
        return [Host(connector=self.name, id="h1", name=name)]

    async def isolation_of(self, host: Host) -> Isolation:
        state = (await self.http.get("/hosts")).json()["state"]
        return Isolation(connector=self.name, host_id=host.id, state=state)

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._send("isolate", reason)

    @read
    async def tag_of(self, name: str) -> Tag:
        """Read a tag."""
        found = (await self.http.get("/hosts")).json()["tags"]
        return Tag(connector=self.name, name=name, there=name in found)

    @change(
        target="name", undo=None, because="of the test", verify="tag_of", done=is_there, recovery=Recovery.IDEMPOTENT
    )
    async def tag(self, name: str) -> None:
        """Put a tag."""
        await self._send("tag", name)

    @change(target="name", undo=None, because="it cannot be taken back", recovery=Recovery.MANUAL)
    async def wipe(self, name: str) -> None:
        """Wipe something."""
        await self._send("wipe", name)

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        await self._send("post", text)
        return Message(connector=self.name, id="m", channel=channel)

    async def _send(self, what: str, text: str) -> None:
        while not may_send():  # noqa: ASYNC110 - another process says when
            await asyncio.sleep(0.01)
        await self.http.post(f"/{what}", json={"text": text}, last=True)
        die("after send")


class BoxSimulator(Simulator):
    """The product: one host, tags, and a list of what it was asked to do."""

    product = "box"
    instance_name = "box"
    demo_settings: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state = "normal"
        self.looks_left = 0
        self.tags: list[str] = []
        self.asked: list[str] = []

    def routes(self) -> list[BaseRoute]:
        return [Path_("/hosts", self.hosts), Path_("/{what}", self.act, methods=["POST"])]

    async def hosts(self, _: Request) -> Response:
        if self.state == "isolating":
            self.looks_left -= 1
            self.state = "isolating" if self.looks_left > 0 else "isolated"
        return JSONResponse({"state": self.state, "tags": self.tags})

    async def act(self, request: Request) -> Response:
        what = request.path_params["what"]
        self.asked.append(what)
        if what == "isolate":
            self.state = "isolating" if self.looks_left else "isolated"
        if what == "tag":
            self.tags = [*self.tags, (await request.json())["text"]]
        return JSONResponse({})


def may_send() -> bool:
    """Say whether the file is there that the test wants changes to wait for."""
    wait_for = os.environ.get("WAIT_FOR")
    return not wait_for or Path(wait_for).exists()


def die(point: str) -> None:
    """Die here as if the power had gone, if this is where the test wants it."""
    if os.environ.get("KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyJournal:
    """A journal around which the process dies."""

    def __init__(self, inner: Journal) -> None:
        self._inner = inner

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes], **more: Any) -> None:
        decoded = [decode_record(encoded) for encoded in records]
        intent = any(_is_intent(record) for record in decoded)
        ends = any(record.kind in ("ActionSucceeded", "ActionUnknown") for record in decoded)
        result = not intent and ends and any(_is_intent(record) for record in self._inner.read(run))
        if intent:
            die("before intent")
        if result:
            die("before result")
        await self._inner.append(run, expected_seq, records, **more)
        if intent:
            die("after intent")
        if result:
            die("after result")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _is_intent(record: Record) -> bool:
    """Say whether a record is what has to be stored before something is sent; of a message it is its request."""
    told = record.kind == "FannedOut" and record.data["action"] == "messaging.post"
    return told or record.kind == "ActionIntended"


def opened(folder: Path, clock: Clock | None = None) -> Hikeshi:
    """Open the project with this connector in it."""
    registry = Registry()
    registry.add(Box)
    return Hikeshi(load_config(folder), registry=registry, clock=clock)


async def main(folder: str, verb: str, name: str) -> None:
    app = opened(Path(folder))
    app.journal = DeadlyJournal(app.journal)  # type: ignore[assignment]  # the whole point
    try:
        state = await (app.start_run(name, {}, actor="tester", mode="live") if verb == "start" else app.go_on(name))
        print(json.dumps({"run": state.run, "status": state.status.value}))
    finally:
        await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
