"""A lane of the harness: it forks processes that are killed, lets others go on, and judges. One case at a time.

The lane has everything imported and no threads, so a fork of it is a fresh process within milliseconds.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evidence import Told, read_ending, read_told
from playbooks import Playbook
from simulator import Product
from verdict import Moment, Verdict, judge
from victim import Task, be_the_victim

__all__ = ["TIMES", "Ended", "Lane", "Site", "finish", "fork", "has_ended", "next_verb", "run_forked", "wait_for"]

_PATIENCE_S = 30.0
_MOST_PROCESSES = 40
TIMES = 200.0  # how much faster than the machine's the clock of a case runs

Ended = tuple[Task, int | None]  # the status as waitpid gives it, None if the process had to be killed


@dataclass
class Site:
    """The project of one case, and the processes that work on it."""

    folder: Path
    playbook: Playbook
    product: Product
    name: str
    began_at: float
    processes: int = 0

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def task(self, verb: str, **more: Any) -> Task:
        """Return the task of the next process; `more` are further fields of it."""
        self.processes += 1
        trail, result = (str(self.folder / f"{name}-{self.processes}") for name in ("trail", "result"))
        return Task(str(self.project), verb, self.playbook.id, trail, result, self.began_at, TIMES, **more)

    def told(self) -> Told:
        """Return what the journal says."""
        return read_told(self.project)

    def moment(self, ended: Ended, *, alone: bool = True) -> Moment:
        """Return how things stand now that a process has ended; `alone` if no other process of the case lives."""
        how, detail = _how_it_ended(*ended)
        return Moment(how, self.product.arrivals(self.name, settled=alone), self.told(), detail)

    def now(self, how: str, detail: str = "") -> Moment:
        """Return how things stand while processes live."""
        return Moment(how, self.product.arrivals(self.name, settled=False), self.told(), detail)


class Lane:
    """Makes sites, one at a time, with a product of its own."""

    def __init__(self) -> None:
        self.product = Product()
        self._count = 0
        gc.collect()
        gc.freeze()  # else each fork copies what a collection touches

    def close(self) -> None:
        """End the product."""
        self.product.close()

    def boundaries(self, playbook: Playbook) -> list[str]:
        """Return the names of the boundaries of a playbook that nobody disturbs."""
        with self.site(playbook) as site:
            ended = run_forked(site.task("start"))
            how, detail = _how_it_ended(*ended)
            assert how == "done", detail
            return Path(ended[0].trail).read_text(encoding="utf-8").splitlines()

    @contextmanager
    def site(self, playbook: Playbook) -> Iterator[Site]:
        """Make the project of a case and its world in the product, and throw the project away at the end."""
        self._count += 1
        name = f"case{self._count}"
        with _temporary_folder() as folder:
            self.product.open(name, [dict(fault) for fault in playbook.faults], **playbook.behaviour)
            _write_project(folder / "project", playbook, f"{self.product.url}/{name}")
            yield Site(folder, playbook, self.product, name, time.time())


def next_verb(site: Site) -> str:
    """Return what the next process has to do: a run that never came into the journal is started."""
    return "go_on" if site.told().run else "start"


def finish(site: Site, processes: Iterator[Ended], moments: list[Moment] | None = None) -> Verdict:
    """Let one process after the other work on the run until it is over, and judge. A person answers truthfully.

    Each process is run when it is taken from `processes`; `moments` are those that have been before.
    """
    moments = [] if moments is None else moments
    told = moments[-1].told if moments else Told()
    while not _is_over(site, told) and len(moments) < _MOST_PROCESSES:
        moments.append(site.moment(_resolve(site, told) if told.unknown else next(processes)))
        before, told = told, moments[-1].told
        if moments[-1].how in ("failed", "hangs") or (moments[-1].how == "done" and told == before):
            break
    ending = read_ending(site.project, told) if _is_over(site, told) else None
    return judge(site.playbook, moments, ending)


def _is_over(site: Site, told: Told) -> bool:
    """Say whether nothing is left to do, what comes after the end of the run included."""
    later = all(effect in told.outcomes for effect in site.playbook.later)
    return told.finished is not None and told.open_runs == 0 and (later or bool(told.denied))


def _resolve(site: Site, told: Told) -> Ended:
    """Do what a person does: look into the product, and say what is there."""
    path, effects = next(iter(told.unknown.items()))
    applied = {each.effect for each in site.product.arrivals(site.name) if each.result == "applied"}
    return run_forked(site.task("resolve", path=path, happened=bool(effects & applied)))


def run_forked(task: Task) -> Ended:
    """Run a task in a forked process until that has ended."""
    return task, wait_for(fork(task))


def fork(task: Task) -> int:
    """Start the process of a task and return its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a thread here would make every fork doubtful
        pid = os.fork()
    if pid == 0:
        be_the_victim(task)
    return pid


def wait_for(pid: int) -> int | None:
    """Wait for the end of a process of ours. Return its status, or None if it took too long and had to be killed."""
    if has_ended(pid, _PATIENCE_S):
        return os.waitpid(pid, 0)[1]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def has_ended(pid: int, within_s: float) -> bool:
    """Say whether a process of ours ends within this time."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(within_s * 1000))
    finally:
        os.close(descriptor)


def _how_it_ended(task: Task, status: int | None) -> tuple[str, str]:
    if status is None:
        trail = Path(task.trail).read_text(encoding="utf-8").splitlines()
        return "hangs", f"{task.verb} after {trail[-1:]}"
    if os.WIFSIGNALED(status):
        ended_by = signal.Signals(os.WTERMSIG(status))
        return ("killed", "") if ended_by is signal.SIGKILL else ("failed", f"ended by {ended_by.name}")
    result = json.loads(Path(task.result).read_text(encoding="utf-8"))
    if "halted" in result:
        return "halted", result["halted"]
    return ("failed", result["error"]) if "error" in result else ("done", "")


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Give a folder in memory where there is one: whoever is killed loses nothing it wrote, on no file system."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="hikeshi-crash-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _write_project(project: Path, playbook: Playbook, url: str) -> None:
    (project / "playbooks").mkdir(parents=True)
    for name, text in playbook.files().items():
        (project / "playbooks" / name).write_text(text, encoding="utf-8")
    lines = [f"  {name}: {{product: box, base_url: '{url}/{name}'}}" for name in ("west", "east")]
    (project / "hikeshi.yaml").write_text("connectors:\n" + "\n".join(lines) + "\n", encoding="utf-8")
