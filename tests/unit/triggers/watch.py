"""A project in memory with triggers at work: each process is an application of its own over the same journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.runtime.projections import standard_projections
from hikeshi.runtime.worker import Worker
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.memory_journal import MemoryJournal
from hikeshi.triggers import Triggers

__all__ = ["SETTINGS", "SettableClock", "Watch"]

SETTINGS = """
connectors: {fake: {product: fake}}
people:
  mei: {login: mei, name: Mei, roles: [lead]}
  kei: {login: k.ito, name: Kei, roles: [analyst]}
webhooks:
  edr: {verify: standard-webhooks, secret: "${env:EDR_WEBHOOK}"}
"""


class SettableClock(FakeClock):
    """A clock that can be set: the time that has passed since the machine started does not change by that."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def boot_s(self) -> float:
        return self.passed_s

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.advance(seconds)
        self.passed_s += seconds

    def set_to(self, at: datetime) -> None:
        """Set the clock. No time passes."""
        self._now = at


@dataclass
class Watch:
    """The folder of a project, one journal, one clock, one product; and every text that people were told."""

    folder: Path
    world: FakeWorld = field(default_factory=FakeWorld)
    clock: SettableClock = field(default_factory=SettableClock)
    journal: MemoryJournal = field(default_factory=lambda: MemoryJournal(standard_projections()))
    told: list[str] = field(default_factory=list)
    woken: int = 0
    registry: Registry = field(default_factory=Registry)
    apps: list[Hikeshi] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.add_host("pc1")
        self.registry.add(fake_connector(self.world))
        (self.folder / "playbooks").mkdir()
        self.settings(SETTINGS)

    def settings(self, text: str) -> None:
        (self.folder / "hikeshi.yaml").write_text(text, encoding="utf-8")

    def write(self, text: str, name: str = "it") -> Path:
        """Write a playbook of the project."""
        path = self.folder / "playbooks" / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def triggers(self) -> Triggers:
        """Start a process."""
        app = Hikeshi(load_config(self.folder), clock=self.clock, registry=self.registry)
        app.journal = self.journal  # type: ignore[assignment]  # it keeps the same promises
        self.apps.append(app)

        def wake() -> None:
            self.woken += 1

        return Triggers(app, alert=self.told.append, wake=wake)

    async def close(self) -> None:
        for app in self.apps:
            app.__dict__.pop("journal", None)
            await app.aclose()
        self.journal.close()

    async def work(self) -> None:
        """Let a process do everything that is due now."""
        app = self.triggers().app
        app.park_after_s = 1.0
        await Worker(app, self.clock).run(stay=False)

    async def turn(self, triggers: Triggers, seconds: float = 0.0) -> None:
        """Let time pass, and a process do what is due then."""
        self.clock.pass_by(seconds)
        await triggers.turn()
        await triggers.settled()

    def at(self, text: str) -> None:
        """Set the clock to a time of 2026-03-02, or to any other in UTC."""
        whole = text if "-" in text else f"2026-03-02T{text}"
        self.clock.set_to(datetime.fromisoformat(whole).replace(tzinfo=UTC))

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs there are, oldest first."""
        rows = self.journal.query("SELECT run, playbook, mode, actor FROM runs ORDER BY started_at, run")
        return [dict(row) for row in rows]

    def outcomes(self) -> list[tuple[str, str]]:
        """Return the ID of each judged event and what became of it, in the order of the journal."""
        rows = self.journal.query(
            "SELECT e.id, f.outcome FROM trigger_fires f JOIN trigger_events e USING (event) ORDER BY f.rowid"
        )
        return [(row["id"], row["outcome"]) for row in rows]

    def reasons(self) -> list[str]:
        rows = self.journal.query("SELECT reason FROM trigger_fires ORDER BY rowid")
        return [row["reason"] for row in rows]
