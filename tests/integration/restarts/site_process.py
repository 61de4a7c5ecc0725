"""A project whose processes are killed: each is an interpreter of its own, over one journal and one product.

Run as `python site_process.py FOLDER VERB ARGUMENTS`. The product is a file of lines, one for each thing that was done
to it, so that it survives every process and tells what really happened.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Edr, Host, Isolation, Model, read
from hikeshi.connector import Connector, Forbidden, PreviewedRequest
from hikeshi.connector.registry import Registry
from hikeshi.core import RunState
from hikeshi.core.events import Event
from hikeshi.project import load_config
from hikeshi.runtime.clock import SystemClock
from hikeshi.runtime.worker import Worker

SETTINGS = """
connectors: {plant: {product: plant, base_url: 'http://127.0.0.1:1'}}
people:
  mei: {roles: [lead]}
  kei: {roles: [lead]}
  ciso: {roles: [chief]}
"""


class MovedClock(SystemClock):
    """The machine's clock, set forward by what the file `clock` in the project's folder says, in seconds."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"

    def now(self) -> datetime:
        moved_s = float(self._file.read_text()) if self._file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=moved_s)


class Looked(Model):
    """What a look at one thing gave."""

    name: str


class Plant(Connector, Edr, product="plant"):
    """A product that is a file. Each line says what was done, and to what."""

    def _path(self) -> Path:
        return Path(os.environ["PLANT"])

    def _done(self) -> list[str]:
        return self._path().read_text().splitlines() if self._path().exists() else []

    def _do(self, line: str) -> None:
        with self._path().open("a") as file:
            file.write(line + "\n")

    async def find_hosts(self, name: str) -> list[Host]:
        return [Host(connector=self.name, id=f"id-{name}", name=name)]

    async def isolation_of(self, host: Host) -> Isolation:
        own = [line for line in self._done() if line.endswith(f" {host.name}")]
        isolated = bool(own) and own[-1].startswith("isolate")
        return Isolation(connector=self.name, host_id=host.id, state="isolated" if isolated else "normal")

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._send("isolate", host)

    async def release_host(self, host: Host, reason: str) -> None:
        await self._send("release", host)

    async def _send(self, what: str, host: Host) -> None:
        async def do() -> None:
            self._do(f"{what} {host.name}")

        await self.commit(PreviewedRequest("DO", f"plant:{what}", {"host": host.name}), do)

    @read
    async def look(self, name: str) -> Looked:
        """Look at something; three of them may not be looked at."""
        self._do(f"look {name}")
        await asyncio.sleep(0.002)
        if name in ("n7", "n500", "n993"):
            raise Forbidden(f"nobody may look at {name}")
        return Looked(name=name)


def opened(folder: Path) -> Hikeshi:
    """Open the project as a process does."""
    os.environ["PLANT"] = str(folder / "plant")
    registry = Registry()
    registry.add(Plant)
    return Hikeshi(load_config(folder), registry=registry, clock=MovedClock(folder))


async def run(app: Hikeshi, playbook: str, inputs: str, kill_at: str) -> Any:
    """Run a playbook; die when an event of a kind comes at a path, such as `QuestionAsked:ok`."""
    kind, _, path = kill_at.partition(":")

    def watch(event: Event, state: RunState) -> None:
        if type(event).__name__ == kind and event.path == path:
            # Not here: what is folded is not yet stored, and nobody would be there to be killed.
            asyncio.get_running_loop().call_later(0.15, os.kill, os.getpid(), signal.SIGKILL)

    state = await app.start_run(playbook, json.loads(inputs), actor="ana", mode="live", watchers=[watch])
    return state.run, state.status


async def vote(app: Hikeshi, run: str, kind: str, path: str, person: str, digest: str, kill: str) -> Any:
    """Vote as a person; die right after the vote was taken, if `kill` says so."""

    def watch(event: Event, _: RunState) -> None:
        if kill == "kill" and type(event).__name__ == "VoteCast":
            asyncio.get_running_loop().call_later(0.15, os.kill, os.getpid(), signal.SIGKILL)

    state = await app.tell(run, kind, {"path": path, "digest": digest}, actor=person, watchers=[watch])
    return state.run, state.status


async def work(app: Hikeshi) -> Any:
    """Go on with whatever is due."""
    ended: list[tuple[str, str]] = []
    worker = Worker(app, app.clock, ended=lambda state: ended.append((state.run, state.status)))
    app.park_after_s = 1.0
    await worker.run(stay=False)
    return ended


async def cancel(app: Hikeshi, run: str) -> Any:
    """Cancel a run."""
    state = await app.tell(run, "cancel", {"reason": "a test"}, actor="mei")
    return state.run, state.status


async def main(folder: str, verb: str, *arguments: str) -> None:
    app = opened(Path(folder))
    try:
        print(json.dumps(await {"run": run, "vote": vote, "work": work, "cancel": cancel}[verb](app, *arguments)))
    finally:
        await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
