"""The processes of a benchmark: the server, a worker for each system, and commands that are timed from their start."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


class MeasureFailed(Exception):
    """A system could not do what was asked of it. The message is its traceback."""


class Server:
    """The server that answers every call."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / "server.py")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def first_post_ns(self) -> int | None:
        """Return the monotonic time of the first POST since this was last asked, in nanoseconds, or None."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/first")
            first_ns: int | None = json.loads(connection.getresponse().read())["first_ns"]
        finally:
            connection.close()
        return first_ns

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Worker:
    """A system in its own process. It stands still while nobody measures it."""

    def __init__(self, system: str, url: str, folder: Path) -> None:
        folder.mkdir()
        self.system = system
        self._process = subprocess.Popen(
            [sys.executable, str(_HERE / "worker.py"), system, url, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def measure(self, measure: str, **arguments: Any) -> float:
        """Return the seconds that a measure took. Raises MeasureFailed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"measure": measure, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._read())
        if "error" in answer:
            raise MeasureFailed(f"{self.system}: {measure} {arguments}\n{answer['error']}")
        return float(answer["seconds"])

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise MeasureFailed(f"the process of {self.system} ended with {self._process.wait()}")
        return line

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def seconds_to_first_post(command: Sequence[str], server: Server, folder: Path) -> float:
    """Return the seconds from starting a command to the first POST that the server sees. Raises MeasureFailed."""
    server.first_post_ns()
    began_ns = time.monotonic_ns()
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"BENCH_TOKEN": "xoxb-0123456789"}, capture_output=True, text=True
    )
    first_ns = server.first_post_ns()
    if first_ns is None:
        raise MeasureFailed(f"{' '.join(command)} posted nothing (exit {done.returncode})\n{done.stdout}{done.stderr}")
    return (first_ns - began_ns) / 1e9
