"""The installed `hikeshi` command, run as a person or a script runs it: a process of its own in a project's folder."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).parent / "hikeshi")
TIMEOUT_S = 60
_OF_THE_TESTER = {"NO_COLOR", "TERM", "COLUMNS", "PYTHONDONTWRITEBYTECODE"}


def _listen_to_ctrl_c() -> None:
    """Undo what a shell does to the jobs that it starts in the background, these tests among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Return the standard output, which has to be one JSON document and nothing else."""
        return json.loads(self.out)


@dataclass(slots=True)
class CommandLine:
    """A shell that stands in a folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str | bytes | None = None, **more: str) -> Ended:
        """Run a command to its end."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self._environment(more),
            input=given if given is not None else b"",
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self._environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_listen_to_ctrl_c,
        )

    def on_a_terminal(self, *arguments: str, **more: str) -> Ended:
        """Run a command whose outputs are a terminal; `out` is everything that the terminal got."""
        ours, theirs = pty.openpty()
        got: list[bytes] = []

        def listen() -> None:
            try:
                while data := os.read(ours, 65536):
                    got.append(data)
            except OSError:  # the other side is closed
                return

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            environment = self._environment({"TERM": "xterm-256color", **more})
            done = subprocess.run(
                [COMMAND, *arguments],
                cwd=self.folder,
                env=environment,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                timeout=TIMEOUT_S,
                check=False,
            )
        finally:
            os.close(theirs)
            listener.join(TIMEOUT_S)
            os.close(ours)
        return Ended(done.returncode, b"".join(got).decode(), "")

    def configure(self, connectors: Mapping[str, Mapping[str, Any]]) -> None:
        """Write hikeshi.yaml; what is secret in the settings goes into the environment."""
        from hikeshi.cli.simulated_project import described

        project = described(connectors)
        self.environment.update(project.environment)
        (self.folder / "hikeshi.yaml").write_text(project.text, encoding="utf-8")

    def add_playbook(self, name: str, text: str) -> None:
        (self.folder / "playbooks").mkdir(exist_ok=True)
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _OF_THE_TESTER}
        return {**kept, **self.environment, **more}
