"""Processes that try one defect each, a few at the same time, and what came of them."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from defective import MUTANT
from mutants import NO_DEFECT, Mutant

__all__ = ["Outcome", "Place", "Pool", "forked"]

Outcome = Literal["a test failed", "the tests broke off", "it took too long", "not noticed", "no test reaches it"]
_BROKE_OFF = 70  # none that pytest ends with
_MEMORY_BYTES = 6 * 1024**3  # a defect may make a loop endless that collects something


@dataclass(frozen=True)
class Place:
    """One defect: its module with the path of the source, its number there, and what it is."""

    module: str
    path: str
    at: int
    mutant: Mutant
    has_defect: bool = True

    @property
    def name(self) -> str:
        return f"{self.module}:{self.at}"

    @property
    def defect(self) -> str:
        """What the module is loaded with."""
        return f"{self.module}:{self.at if self.has_defect else NO_DEFECT}"


@dataclass(frozen=True)
class _Run:
    place: Place
    folder: Path
    until: float
    is_reached: bool


@dataclass
class Pool:
    """Runs at most `jobs` processes. `told` gets each outcome as soon as it is known; each process has a folder."""

    jobs: int
    folder: Path
    told: Callable[[Place, Outcome], None]
    _running: dict[int, _Run] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    def start(self, place: Place, action: Callable[[], int], *, limit_s: float, is_reached: bool) -> None:
        """Start a process for a place when there is room. The action returns 0 if all tests pass, 1 if one fails."""
        self._wait_until(self.jobs - 1)
        self._count += 1
        folder = self.folder / str(self._count)
        os.environ[MUTANT] = place.defect
        pid = forked(folder, action, cpu_s=int(limit_s))
        del os.environ[MUTANT]
        self._running[pid] = _Run(place, folder, time.monotonic() + 2 * limit_s, is_reached)

    def finish(self) -> None:
        """Wait for all."""
        self._wait_until(0)

    def _wait_until(self, most: int) -> None:
        while len(self._running) > most:
            for pid, run in list(self._running.items()):
                ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is not None or time.monotonic() > run.until:
                    self._end(pid)
            time.sleep(0.002)

    def _end(self, pid: int) -> None:
        run = self._running.pop(pid)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # and with it what its tests have left behind
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(run.folder, ignore_errors=True)
        self.told(run.place, _outcome(os.waitstatus_to_exitcode(status), run.is_reached))


def _outcome(code: int, is_reached: bool) -> Outcome:
    if code == _BROKE_OFF:
        raise RuntimeError("a process could not try its defect")  # which must not count as noticed
    if code == 0:
        return "not noticed" if is_reached else "no test reaches it"
    if code in (-signal.SIGALRM, -signal.SIGXCPU, -signal.SIGKILL):
        return "it took too long"
    return "a test failed" if code == 1 else "the tests broke off"


def forked(folder: Path, action: Callable[[], int], cpu_s: int | None = None) -> int:
    """Start an action in a process and a session of its own, with a folder for its temporary files."""
    folder.mkdir()
    pid = os.fork()
    if pid == 0:
        _act(folder, action, cpu_s)
    return pid


def _act(folder: Path, action: Callable[[], int], cpu_s: int | None) -> NoReturn:
    try:
        os.setsid()
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(silent, descriptor)
        os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        tempfile.tempdir = None
        if cpu_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        os._exit(action())
    except BaseException:  # noqa: BLE001 - it is another process, and has to say so
        os._exit(_BROKE_OFF)
