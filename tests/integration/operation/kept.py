"""A project with two hosts in which a year has passed: runs that hold nothing, and runs that belong together."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.audit.verification import Verdict, verify_journal
from hikeshi.connector.registry import Registry
from hikeshi.core import RunState
from hikeshi.project import load_config
from hikeshi.runtime.clock import SystemClock
from hikeshi.testing.fake_connector import FakeWorld, fake_connector

__all__ = ["DAY_S", "Kept", "tables"]

DAY_S = 86_400.0
_NOTE = "id: note\nsteps:\n  - {id: one, set: {text: \"'a-word-to-find'\"}}\n"
_CONTAIN = """id: contain
inputs: {hostname: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: 12000h}
"""
_LIMITS = "guardrails: {limits: [{actions: [edr.*], per: window, within: 90m, at_most: 50}]}\n"


class ShiftedClock(SystemClock):
    """The system's clock, so many days ago."""

    days_ago = 0.0

    def now(self) -> datetime:
        return super().now() - timedelta(days=self.days_ago)


@dataclass
class Kept:
    """The project, its one product and its clock."""

    folder: Path
    world: FakeWorld = field(default_factory=FakeWorld)
    clock: ShiftedClock = field(default_factory=ShiftedClock)

    def __post_init__(self) -> None:
        for name in ("pc1", "pc2"):
            self.world.add_host(name)
        (self.folder / "playbooks").mkdir(parents=True)
        (self.folder / "playbooks" / "note.yaml").write_text(_NOTE, encoding="utf-8")
        (self.folder / "playbooks" / "contain.yaml").write_text(_CONTAIN, encoding="utf-8")
        self.configure("audit: {anchors: [{type: file, path: ../anchor}]}\n")

    def configure(self, audit: str) -> None:
        """Write hikeshi.yaml."""
        text = "connectors: {fake: {product: fake}}\n" + _LIMITS + audit
        (self.folder / "hikeshi.yaml").write_text(text, encoding="utf-8")

    @property
    def journal(self) -> Path:
        return self.folder / ".hikeshi" / "journal.db"

    @property
    def anchor(self) -> Path:
        return self.folder.parent / "anchor"

    @property
    def archive(self) -> Path:
        return self.folder.parent / "archive"

    @asynccontextmanager
    async def app(self, days_ago: float = 0.0) -> Any:
        """Open the project at a day."""
        self.clock.days_ago = days_ago
        registry = Registry()
        registry.add(fake_connector(self.world))
        app = Hikeshi(load_config(self.folder), clock=self.clock, registry=registry)
        try:
            yield app
        finally:
            await app.aclose()

    async def run(self, playbook: str, days_ago: float, **inputs: Any) -> RunState:
        """Run a playbook on a day."""
        async with self.app(days_ago) as app:
            state: RunState = await app.start_run(playbook, inputs, actor="mei", mode="live")
        return state

    async def verdict(self) -> Verdict:
        """Judge the journal with the anchor."""
        async with self.app() as app:
            found: Verdict = app.verify()
        return found

    @contextmanager
    def tampered(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Give a copy of the journal without its speed bumps."""
        with sqlite3.connect(self.journal) as source, sqlite3.connect(path) as target:
            source.backup(target)
        source.close()
        target.execute("PRAGMA journal_mode = DELETE")
        for (name,) in target.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            target.execute(f"DROP TRIGGER {name}")
        yield target
        target.commit()
        target.close()

    def judge(self, path: Path, key: Any) -> Verdict:
        """Judge a copy with the anchor."""
        return verify_journal(path, key, [self.anchor])


def tables(app: Hikeshi) -> dict[str, list[tuple[Any, ...]]]:
    """Return what stands in every derived table."""
    names = [row["name"] for row in app.journal.query("SELECT name FROM projection_objects WHERE type = 'table'")]
    return {name: sorted(map(tuple, app.journal.query(f"SELECT * FROM {name}")), key=repr) for name in names}


def copied(source: Path, target: Path) -> Path:
    """Copy a file."""
    shutil.copyfile(source, target)
    return target
