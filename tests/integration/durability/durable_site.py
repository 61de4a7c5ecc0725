"""A project on disk, and the processes that were started for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from durable_process import ShiftedClock, opened
from fleet_vendor import FleetSimulator

from hikeshi.app import Hikeshi

__all__ = ["Site"]

T = TypeVar("T")
PROCESS = Path(__file__).parent / "durable_process.py"
_SETTINGS = """
connectors:
  fleet: {{product: fleet, base_url: '{url}'}}
people:
  mei: {{login: mei, roles: [lead]}}
  kei: {{login: k.ito, roles: [lead]}}
  ken: {{login: ken, roles: [lead]}}
  ciso: {{login: ciso, roles: [board]}}
"""


@dataclass
class Site:
    """One project; `fleet` is what its connector talks to."""

    folder: Path
    fleet: FleetSimulator
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def configure(self, url: str) -> None:
        (self.folder / "playbooks").mkdir(parents=True)
        (self.folder / "hikeshi.yaml").write_text(_SETTINGS.format(url=url), encoding="utf-8")

    def write(self, text: str, name: str = "t") -> None:
        """Write a playbook of the project."""
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def start(
        self, *arguments: str, ahead_s: float = 0.0, park_after_s: float = 0.0, before: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start a process; `before` is a command that starts it with other rights."""
        environment = {
            **os.environ,
            "PYTHONPATH": ":".join(path for path in sys.path if path),
            "AHEAD_S": str(ahead_s),
            "PARK_AFTER_S": str(park_after_s),
        }
        command = [*before, sys.executable, str(PROCESS), str(self.folder), *arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
        self.processes.append(process)
        return process

    def end_of(self, process: subprocess.Popen[str], within_s: float = 120.0) -> dict[str, Any]:
        """Return what a process says when it ends by itself."""
        output, errors = process.communicate(timeout=within_s)
        assert process.returncode == 0, errors
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
        return told

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a process as if the power had gone."""
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.processes.remove(process)

    def kill_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def until(self, process: subprocess.Popen[str], look: Callable[[], T], within_s: float = 60.0) -> T:
        """Return what `look` gives as soon as it gives anything, while a process goes on."""
        deadline = time.monotonic() + within_s
        while not (found := look()):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "it did not come to that in time"
            time.sleep(0.02)
        return found

    @asynccontextmanager
    async def app(self, ahead_s: float = 0.0, *, longest_s: float | None = None) -> AsyncIterator[Hikeshi]:
        """Give the application in this process. No wait of its clock lasts longer than `longest_s`."""
        made = opened(self.folder, ShiftedClock(ahead_s, longest_s))
        made.park_after_s = 1.0
        try:
            yield made
        finally:
            await made.aclose()
