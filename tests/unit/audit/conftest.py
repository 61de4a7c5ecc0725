"""A journal with a project's state folder, and anchors that remember."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchors import Sheet
from hikeshi.audit.errors import AuditError
from hikeshi.journal import SqliteJournal, encode_record

sys.path.append(str(Path(__file__).parent))  # what stands beside the tests: they are no package

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@dataclass
class RememberingAnchor:
    """Keeps what it is sent, unless it is out of reach."""

    name: str = "memory"
    problem: Exception | None = None
    notes: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def send(self, sheet: Sheet) -> bytes:
        if self.problem is not None:
            raise self.problem
        self.positions += [each.position for page in sheet.pages() for each in page]
        self.notes.append(sheet.checkpoint.note)
        return b"got it"


@dataclass
class Log:
    """A journal and what belongs to it."""

    journal: SqliteJournal
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "journal.db"

    async def add(self, run: str, count: int) -> None:
        """Append records to a run."""
        rows = self.journal.query("SELECT seq FROM heads WHERE run = ?", (run,))
        end = rows[0][0] if rows else 0
        seqs = range(end + 1, end + count + 1)
        records = [encode_record(run=run, seq=seq, at=AT, kind="Noted", path="s", data={"n": seq}) for seq in seqs]
        await self.journal.append(run, end + 1, records)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty journal."""
    folder = tmp_path / ".hikeshi"
    journal = SqliteJournal.open(folder / "journal.db")
    yield Log(journal, folder)
    journal.close()


@pytest.fixture
def now() -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: AT


@pytest.fixture
def anchor() -> RememberingAnchor:
    """An anchor that can be reached."""
    return RememberingAnchor()


@pytest.fixture
def unreachable() -> RememberingAnchor:
    """An anchor that can't."""
    return RememberingAnchor("far away", AuditError("No way there", "far away", "Wait"))


@pytest.fixture
def pack(log: Log, now: Callable[[], datetime], tmp_path: Path) -> Any:
    """A pack, and copies of it to be edited."""
    from pack_editor import Pack

    return Pack(log, now, tmp_path)
