"""The installed `hikeshi` command, run as a person or a script runs it: a process of its own in a project's folder."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
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


@dataclass(frozen=True, slots=True)
class Begun:
    """A command that is running, or was."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def out(self) -> str:
        return self.stdout.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.stderr.read_text(encoding="utf-8")

    def until(self, text: str) -> str:
        """Wait until it has written this text to either output, and return everything that it wrote."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in (written := self.out + self.err):
            assert time.monotonic() < deadline, f"{text!r} was not written, but {written!r}"
            assert self.process.poll() is None or text in self.out + self.err, f"it ended with {written!r}"
            time.sleep(0.02)
        return written

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Press Ctrl-C, or send another signal to it and its children."""
        os.killpg(self.process.pid, number)

    def ended(self) -> Ended:
        """Wait until it has ended."""
        return Ended(self.process.wait(TIMEOUT_S), self.out, self.err)


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

    def begin(self, *arguments: str) -> Begun:
        """Start a command and leave it running; what it writes can be read while it runs."""
        place = self.folder / f".written-{len(list(self.folder.glob('.written-*-out')))}"
        out, err = Path(f"{place}-out"), Path(f"{place}-err")
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [COMMAND, *arguments],
                cwd=self.folder,
                env=self._environment({}),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_listen_to_ctrl_c,
            )
        return Begun(process, out, err)

    def on_a_terminal(self, *arguments: str, typed: tuple[str, str] | None = None, **more: str) -> Ended:
        """Run a command whose outputs are a terminal; `out` is everything that the terminal got.

        `typed`: when the first text has appeared there, somebody types the second one.
        """
        ours, theirs = pty.openpty()
        got: list[bytes] = []

        def listen() -> None:
            left = typed
            try:
                while data := os.read(ours, 65536):
                    got.append(data)
                    if left is not None and left[0] in b"".join(got).decode(errors="replace"):
                        os.write(ours, left[1].encode())
                        left = None
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

    def configure(self, connectors: Mapping[str, Mapping[str, Any]], more: str = "") -> None:
        """Write hikeshi.yaml, with `more` text in it; what is secret in the settings goes into the environment."""
        from hikeshi.cli.simulated_project import described

        project = described(connectors)
        self.environment.update(project.environment)
        (self.folder / "hikeshi.yaml").write_text(project.text + more, encoding="utf-8")

    def add_playbook(self, name: str, text: str) -> None:
        (self.folder / "playbooks").mkdir(exist_ok=True)
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text, encoding="utf-8")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _OF_THE_TESTER}
        return {**kept, **self.environment, **more}
