"""Running the process of a task under strace, which is attached before the process does anything."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lane import Ended, fork, wait_for
from victim import Task

__all__ = ["calls_in", "traced", "why_not"]

_ATTACH_S = 10.0
_CALL = re.compile(r"^(\d+) +(\w+)\(")


def why_not() -> str | None:
    """Return why nothing can be traced here, or None if it can. Tries to install strace if it is not there."""
    if shutil.which("strace") is None and shutil.which("apt-get") is not None and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-qq", "strace"], check=False, stdout=subprocess.DEVNULL)
    if shutil.which("strace") is None:
        return "strace is not there, and can't be installed: as root, apt-get install strace"
    tried = subprocess.run(["strace", "-f", "-e", "trace=none", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()}"


def traced(task: Task, options: Sequence[str], log: Path | str = os.devnull) -> Ended:
    """Run a task in a process that strace has hold of, with these options of strace."""
    assert task.stop_first
    pid = fork(task)
    os.waitpid(pid, os.WUNTRACED)
    command = ["strace", "-f", "-qq", "-p", str(pid), "-o", str(log), *options]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_for_tracer(pid, tracer)
        os.kill(pid, signal.SIGCONT)
        return task, wait_for(pid)
    finally:
        tracer.communicate(timeout=_ATTACH_S)


def calls_in(log: Path) -> dict[str, int]:
    """Return how often each call was made, by the thread that made most of them."""
    counts = Counter(match.groups() for line in log.read_text().splitlines() if (match := _CALL.match(line)))
    most: dict[str, int] = {}
    for (_, name), count in counts.items():
        most[name] = max(count, most.get(name, 0))
    return most


def _wait_for_tracer(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    status, deadline = Path(f"/proc/{pid}/status"), time.monotonic() + _ATTACH_S
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"strace did not attach: {tracer.communicate()[1].decode()}")
        time.sleep(0.001)
