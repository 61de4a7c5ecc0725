"""The process that is killed: it starts a run, or goes on with every run that nobody drives, and says how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from boundaries import Boundaries, CountedClock, CountedJournal, CountedTransport
from product import Box

from hikeshi.app import Hikeshi
from hikeshi.connector import http  # noqa: F401 - these are imported late by the engine, and again by each fork
from hikeshi.connector.registry import Registry
from hikeshi.journal import JournalError, Ownership
from hikeshi.playbook import check, evaluate, library  # noqa: F401
from hikeshi.project import load_config
from hikeshi.runtime import change, errands, instances  # noqa: F401
from hikeshi.runtime.clock import SystemClock
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.worker import Worker

__all__ = ["Task", "be_the_victim", "opened"]


@dataclass(frozen=True)
class Task:
    """What one process has to do. `path` and `happened` are for `resolve`, `at` is the boundary of the signal."""

    folder: str
    verb: str  # prepare (make the journal, and no more), start, go_on, resolve
    playbook: str
    trail: str
    result: str
    began_at: float
    times: float
    at: int | None = None
    with_signal: str = "SIGKILL"
    path: str = ""
    happened: bool = False
    stop_first: bool = False  # stop before anything is done, until whoever traces this process lets it go on
    largest_file_bytes: int | None = None
    lease_s: float | None = None  # real seconds; as long again for the longest attempt
    patience_s: float | None = None  # by the clock of the case: how long it waits for a journal that can't be written


def opened(folder: Path, clock: Any = None, boundaries: Boundaries | None = None) -> Hikeshi:
    """Open the project of a case, with boundaries around journal, clock and connections where they are given."""

    class CountedBox(Box, product="box"):
        def set_up(self) -> None:
            if boundaries is not None:
                counted = CountedTransport(self.http._transport, boundaries)
                self.http._transport, self.http.authorize = counted, counted.sign

    registry = Registry()
    registry.add(CountedBox)
    app = Hikeshi(load_config(folder), registry=registry, clock=clock or SystemClock())
    if boundaries is not None:
        app.journal = CountedJournal(app.journal, boundaries)  # type: ignore[assignment]  # the whole point
    return app


def be_the_victim(task: Task) -> NoReturn:
    """Do the task and end this process, whatever happens."""
    code = 1
    try:
        if task.stop_first:
            os.kill(os.getpid(), signal.SIGSTOP)
        if task.largest_file_bytes is not None:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (task.largest_file_bytes, hard))
        result = asyncio.run(_do(task))
        Path(task.result).write_text(json.dumps(result), encoding="utf-8")
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may leave this process for the lane it was forked from
        Path(task.result).write_text(json.dumps({"error": traceback.format_exc()}), encoding="utf-8")
    finally:
        os._exit(code)


async def _do(task: Task) -> dict[str, Any]:
    boundaries = Boundaries(Path(task.trail), task.at, signal.Signals[task.with_signal])
    clock = CountedClock(task.began_at, task.times, boundaries)
    try:
        app = opened(Path(task.folder), clock, boundaries)
        try:
            _arrange(app, task)
            return await _drive(app, task)
        finally:
            await app.aclose()
    except (RunHalted, JournalError) as exc:
        return {"halted": str(exc)}


async def _drive(app: Hikeshi, task: Task) -> dict[str, Any]:
    if task.verb == "prepare":
        return {"done": app.journal.query("SELECT count(*) FROM heads")[0][0]}
    if task.verb == "start":
        await app.start_run(task.playbook, {}, actor="tester", mode="live")
    elif task.verb == "resolve":
        (run,) = (row["run"] for row in app.runs())
        await app.resolve(run, task.path, happened=task.happened, actor="tester")
    else:
        await _work(app)
    return {"done": True}


async def _work(app: Hikeshi) -> None:
    """Do what is due, and what is due later, as whoever works for a project does."""
    failures: list[Exception] = []
    worker = Worker(app, app.clock, trouble=lambda _, exc: failures.append(exc))
    while True:
        await worker.run(stay=False)
        if failures:
            raise failures[0]
        next_at = app.due().next_at
        if next_at is None:
            return
        await app.clock.sleep_until(next_at)


def _arrange(app: Hikeshi, task: Task) -> None:
    """Set how long this process waits and for how long it owns its runs, and keep what it says of its troubles."""

    def keep(text: str) -> None:
        # Added to what was said before: a file that is written anew is empty for a moment, and somebody looks.
        with Path(task.result).with_suffix(".trouble").open("a", encoding="utf-8") as said:
            said.write(f"{text}\n")

    app.trouble = keep
    if task.patience_s is not None:
        app.patience_s = task.patience_s
    if task.lease_s is not None:
        folder = app.config.state_folder / "owners"
        app.ownership = Ownership(folder, lease_s=task.lease_s, longest_attempt_s=task.lease_s)
