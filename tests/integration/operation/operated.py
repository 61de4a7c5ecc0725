"""A project without connectors, operated by processes of their own: commands, and a writer that never stops."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Command", "Operated", "make_project"]

NOTE = """id: note
steps:
  - {id: one, set: {number: 1}}
"""
# Appends as fast as it can, and says how far it has come.
_WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from hikeshi.app import Hikeshi
from hikeshi.journal import encode_record

async def write(folder):
    app = Hikeshi.open(Path(folder))
    runs = [f"load-{number}" for number in range(8)]
    async def one(run):
        seq = 1
        while True:
            at = datetime.now(UTC)
            batch = [
                encode_record(run=run, seq=seq + n, at=at, kind="Noted", path="s", data={"text": "x" * 400})
                for n in range(10)
            ]
            await app.journal.append(run, seq, batch)
            seq += 10
            if seq % 500 == 1:
                print(run, seq - 1, flush=True)
    await asyncio.gather(*map(one, runs))

asyncio.run(write(sys.argv[1]))
"""


@dataclass(frozen=True, slots=True)
class Command:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Operated:
    """A project in a folder."""

    folder: Path

    @property
    def journal(self) -> Path:
        return self.folder / ".hikeshi" / "journal.db"

    def __call__(self, *arguments: str) -> Command:
        """Run a command in a process of its own."""
        command = [sys.executable, "-m", "hikeshi.cli", *arguments, "--project", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        return Command(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def under_load(self) -> Iterator[subprocess.Popen[str]]:
        """Let another process append all the time; it is killed at the end."""
        command = [sys.executable, "-c", _WRITER, str(self.folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "the writer ended"
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def make_project(folder: Path) -> Operated:
    """Return a project whose checkpoints go to a file beside it."""
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "note.yaml").write_text(NOTE, encoding="utf-8")
    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: ../anchor}]}\n", encoding="utf-8")
    return Operated(folder)


def wait_for(look: Callable[[], Any], within_s: float = 20.0) -> Any:
    """Return what `look` gives as soon as that is something true."""
    end = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < end, "this did not come about in time"
        time.sleep(0.05)
    return found
