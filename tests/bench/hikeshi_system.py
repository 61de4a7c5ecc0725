"""Hikeshi itself: playbooks in YAML, started through the application service, over a real journal."""

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Message, Messaging, Recovery, Severity, change, read
from hikeshi.capabilities.entities import Model
from hikeshi.cli import start_quickly
from hikeshi.connector import Connector, Route
from hikeshi.connector.registry import Registry
from hikeshi.core import RunState
from hikeshi.core.events import Event
from hikeshi.project import load_config
from hikeshi.runtime.worker import Worker


class Switch(Model):
    """Whether something is on."""

    name: str
    on: bool


def _is_on(state: Switch, prior: Switch) -> bool:
    return state.on


class Bench(Connector, Messaging, product="bench"):
    """One notification, one read and one change that is read before and after."""

    read_routes = (Route("GET", "/on/*"),)

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        answer = await self.http.post("/post", json={"channel": channel, "text": text}, last=True)
        return Message(connector=self.name, id=answer.json()["id"], channel=channel)

    @read
    async def state_of(self, name: str) -> Switch:
        answer = await self.http.get(f"/on/{name}")
        return Switch(name=name, on=answer.json()["on"])

    @change(
        target="name",
        undo=None,
        because="nothing depends on it",
        verify="state_of",
        done=_is_on,
        recovery=Recovery.VERIFIABLE,
    )
    async def turn_on(self, name: str) -> None:
        await self.http.post(f"/on/{name}", json={"on": True}, last=True)


NOTIFY = 'action: messaging.post, with: {channel: soc, text: "message {{ %s }} of {{ inputs.tag }}"}'
READ = 'action: bench.state_of, with: {name: "{{ inputs.tag }}-{{ %s }}"}'
CHANGE = 'action: bench.turn_on, with: {name: "{{ inputs.tag }}-{{ %s }}"}'


class HikeshiSystem:
    """One project with one journal for all measures, as in a process that runs for long."""

    def __init__(self, url: str, folder: Path) -> None:
        start_quickly()  # as every process of Hikeshi does
        self._playbooks = folder / "playbooks"
        self._playbooks.mkdir()
        (folder / "hikeshi.yaml").write_text(f"connectors:\n  bench: {{product: bench, base_url: '{url}'}}\n")
        self._registry = Registry()
        self._registry.add(Bench)
        self._app = Hikeshi(load_config(folder), registry=self._registry)
        self._runs = 0

    async def prepare(self, lengths: list[int], loops: list[tuple[int, int]]) -> float:
        """Write every playbook that is measured, and return the seconds that reading and checking the longest takes.

        A process reads and checks a playbook once, when it first runs it.
        """
        for steps in lengths:
            for kind, step in (("notify", NOTIFY), ("read", READ), ("change", CHANGE)):
                lines = (f"  - {{id: s{number}, {step % number}}}" for number in range(steps))
                self._write(f"{kind}-{steps}", "steps:\n" + "\n".join(lines))
        for steps, at_once in loops:
            loop = f"id: each, for_each: 'range({steps})', concurrency: {at_once}"
            self._write(f"loop-{steps}-{at_once}", f"steps:\n  - {{{loop}, {NOTIFY % 'item'}}}")
        began = time.perf_counter()
        self._app.program(f"notify-{max(lengths)}")
        return time.perf_counter() - began

    def _write(self, name: str, steps: str) -> None:
        (self._playbooks / f"{name}.yaml").write_text(f"id: {name}\ninputs:\n  tag: {{type: string}}\n{steps}\n")

    async def sequential(self, steps: int) -> float:
        """Return the seconds that one run takes with this many notifications, one after the other."""
        return await self._timed_run(f"notify-{steps}")

    async def reads(self, steps: int) -> float:
        """Return the seconds that one run takes with this many reads, one after the other."""
        return await self._timed_run(f"read-{steps}")

    async def changes(self, steps: int) -> float:
        """Return the seconds of one run with this many changes, one after the other; each makes three calls."""
        return await self._timed_run(f"change-{steps}")

    async def items(self, steps: int) -> float:
        """Return the seconds that one run takes with a loop over this many items, one after the other."""
        return await self._timed_run(f"loop-{steps}-1")

    async def concurrent(self, steps: int, at_once: int) -> float:
        """Return the seconds that one run takes with this many notifications, some at a time."""
        return await self._timed_run(f"loop-{steps}-{at_once}")

    async def many_runs(self, runs: int, steps: int, at_once: int) -> float:
        """Return the seconds that this many runs take, some at a time."""
        playbook = f"notify-{steps}"
        self._app.program(playbook)
        limit = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with limit:
                await self._run(playbook)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(runs)))
        return time.perf_counter() - began

    async def recover(self, runs: int) -> float:
        """Return the seconds that a new process needs for runs of 5 steps that another one left after the second."""
        folder = self._playbooks.parent
        config = replace(load_config(folder), folder=folder / f"left-{self._runs}")
        before = Hikeshi(config, registry=self._registry)
        await asyncio.gather(*(self._leave(before, f"left-{number}") for number in range(runs)))
        await before.aclose()
        began = time.perf_counter()
        after = Hikeshi(config, registry=self._registry)
        ended: list[str | None] = []
        await Worker(after, after.clock, ended=lambda state: ended.append(state.finished)).run(stay=False)
        took = time.perf_counter() - began
        await after.aclose()
        if ended != ["succeeded"] * runs:
            raise RuntimeError(f"{len(ended)} of {runs} runs ended")
        self._runs += 1
        return took

    async def _leave(self, app: Hikeshi, tag: str) -> None:
        """Begin a run and drop it in the middle, as a process does that is killed."""

        def watch(_: Event, state: RunState) -> None:
            if state.seq == 5:
                task.cancel()

        run = app.start_run("notify-5", {"tag": tag}, actor="bench", mode="live", watchers=[watch])
        task = asyncio.ensure_future(run)
        with contextlib.suppress(asyncio.CancelledError):
            await task
            raise RuntimeError(f"{tag} was not left")

    async def _timed_run(self, playbook: str) -> float:
        self._app.program(playbook)
        began = time.perf_counter()
        await self._run(playbook)
        return time.perf_counter() - began

    async def _run(self, playbook: str) -> None:
        self._runs += 1
        state: RunState = await self._app.start_run(playbook, {"tag": f"r{self._runs}"}, actor="bench", mode="live")
        if state.finished != "succeeded":
            raise RuntimeError(f"{playbook} ended {state.finished}: {state.failures[:3]}")

    async def aclose(self) -> None:
        await self._app.aclose()
