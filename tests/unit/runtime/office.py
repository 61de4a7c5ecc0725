"""A project in memory, and processes that work on it: each is an application of its own over the same journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.core import RunState
from hikeshi.project import load_config
from hikeshi.runtime.projections import standard_projections
from hikeshi.runtime.worker import Worker
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.memory_journal import MemoryJournal

__all__ = ["Office", "until"]

_SETTINGS = """
connectors: {fake: {product: fake}}
people:
  mei: {login: mei, name: Mei, roles: [lead]}
  kei: {login: k.ito, name: Kei, roles: [lead]}
"""


@dataclass
class Office:
    """The folder of a project, one journal, one clock, and one product that knows three computers."""

    folder: Path
    world: FakeWorld = field(default_factory=FakeWorld)
    clock: FakeClock = field(default_factory=FakeClock)
    journal: MemoryJournal = field(default_factory=lambda: MemoryJournal(standard_projections()))
    processes: list[Hikeshi] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("pc1", "pc2", "pc3"):
            self.world.add_host(name)
        (self.folder / "playbooks").mkdir()
        (self.folder / "hikeshi.yaml").write_text(_SETTINGS, encoding="utf-8")

    def write(self, text: str, name: str = "t") -> None:
        """Write a playbook of the project."""
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def process(self, *, park_after_s: float = 1.0) -> Hikeshi:
        """Start a process."""
        registry = Registry()
        registry.add(fake_connector(self.world))
        app = Hikeshi(load_config(self.folder), clock=self.clock, registry=registry)
        app.journal = self.journal  # type: ignore[assignment]  # it keeps the same promises
        app.park_after_s = park_after_s
        self.processes.append(app)
        return app

    async def end(self, app: Hikeshi) -> None:
        """End a process: what it owned is free, and the journal stays."""
        self.processes.remove(app)
        app.__dict__.pop("journal", None)
        await app.aclose()

    async def close(self) -> None:
        for app in list(self.processes):
            await self.end(app)
        self.journal.close()

    async def start(self, app: Hikeshi, inputs: Mapping[str, Any] | None = None, name: str = "t") -> RunState:
        """Run a playbook in a process until it is over or left alone."""
        return await app.start_run(name, inputs or {}, actor="ana", mode="live")

    async def work(self, app: Hikeshi) -> list[RunState]:
        """Let a process do everything that is due now, and return what it went on with."""
        ended: list[RunState] = []
        troubles: list[tuple[str, Exception]] = []
        worker = Worker(app, self.clock, ended=ended.append, trouble=lambda name, exc: troubles.append((name, exc)))
        await worker.run(stay=False)
        assert troubles == []
        return ended

    def sent(self, verb: str | None = None) -> list[str]:
        """Return what was sent, each change with the name of its host."""
        calls = self.world.sent(verb)
        return [f"{call.verb} {getattr(call.arguments.get('host'), 'name', '')}".strip() for call in calls]

    def hold_statuses(self) -> list[str]:
        """Return the status of each hold, in the order in which they were opened."""
        rows = self.journal.query("SELECT status FROM holds ORDER BY opened_at, hold")
        return [str(row["status"]) for row in rows]


async def until(condition: Callable[[], object]) -> None:
    """Let others run until something is so."""
    while not condition():  # noqa: ASYNC110 - nobody tells when it is
        await asyncio.sleep(0)
