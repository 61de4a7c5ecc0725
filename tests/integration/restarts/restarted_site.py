"""A folder, what processes did in it, and a look into it from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from site_process import SETTINGS, opened

from hikeshi.app import Hikeshi

__all__ = ["RestartedSite"]

SCRIPT = Path(__file__).parent / "site_process.py"


@dataclass
class RestartedSite:
    """A project whose processes come and go."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> RestartedSite:
        (folder / "hikeshi.yaml").write_text(SETTINGS)
        (folder / "playbooks").mkdir()
        return cls(folder)

    def write(self, name: str, text: str) -> None:
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text)

    def call(self, *arguments: str) -> Any:
        """Let a process do something; return what it says, or None if it was killed."""
        command = [sys.executable, str(SCRIPT), str(self.folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == -9:
            return None
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    def move_clock(self, seconds: float) -> None:
        (self.folder / "clock").write_text(str(seconds))

    def done(self, what: str = "") -> list[str]:
        """Return what was done to the product, in order."""
        plant = self.folder / "plant"
        lines = plant.read_text().splitlines() if plant.exists() else []
        return [line for line in lines if line.startswith(what)]

    def look(self) -> Hikeshi:
        return opened(self.folder)
