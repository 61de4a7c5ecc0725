"""A real homeserver and a real client of somebody else's, for tests of encrypted rooms."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "integration" / "chat"))  # tests are no package

import homeserver  # noqa: E402 - it is found only after the line above

__all__ = ["Reader", "homeserver_in", "reading", "why_not"]


def _python() -> str:
    """Return an interpreter that has matrix-synapse and matrix-nio, "" if there is none."""
    named = os.environ.get("HIKESHI_SYNAPSE_PYTHON", "")
    if named:
        return named
    return sys.executable if all(map(importlib.util.find_spec, ("synapse", "nio"))) else ""


def why_not() -> str | None:
    """Return what is missing here, or None."""
    if not _python():
        return "neither this interpreter nor HIKESHI_SYNAPSE_PYTHON has matrix-synapse and matrix-nio[e2e]"
    check = "import synapse, nio, nio.crypto; assert nio.crypto.ENCRYPTION_ENABLED"
    done = subprocess.run([_python(), "-c", check], capture_output=True, text=True)
    if done.returncode != 0:
        return f"{_python()} has not both of matrix-synapse and matrix-nio[e2e]: {done.stderr.strip()[-100:]}"
    if importlib.util.find_spec("vodozemac") is None:
        return "the Python package vodozemac is not there (pip install 'hikeshi[matrix-e2ee]')"
    return None


@contextlib.contextmanager
def homeserver_in(folder: Path) -> Iterator[Any]:
    """Run a homeserver for the time of the block."""
    homeserver.PYTHON = _python()
    with homeserver.homeserver_in(folder) as running:
        yield running


class Reader:
    """A client that runs."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def line(self, within_s: float = 60.0) -> str:
        """Return the next line that it prints. Fails the test if none comes."""
        try:
            return self._lines.get(timeout=within_s).strip()
        except queue.Empty:
            raise AssertionError(f"the client said nothing: {self._errors.read_text()[-2000:]}") from None

    def message(self) -> dict[str, Any]:
        """Return the next message that it reads."""
        found: dict[str, Any] = json.loads(self.line())
        return found

    def _collect(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)


@contextlib.contextmanager
def reading(server: Any, name: str, folder: Path) -> Iterator[Reader]:
    """Run a client of an account for the time of the block."""
    who = server.call("GET", "/_matrix/client/v3/account/whoami", by=name)
    (folder / "store").mkdir(parents=True)
    command = [
        _python(),
        str(HERE / "nio_reader.py"),
        server.url,
        who["user_id"],
        who["device_id"],
        str(folder / "store"),
    ]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(server.tokens[name] + "\n")
        process.stdin.flush()
        reader = Reader(process, folder / "errors")
        assert reader.line() == "ready"
        yield reader
    finally:
        process.stdin.close()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)
        process.stdout.close()
