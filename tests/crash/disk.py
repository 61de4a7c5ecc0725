"""`make crash-disk`: the journal's disk runs full at one page after another, and has room again later.

In one half of the cases the process may wait only for a moment: it halts, and another goes on when there is room. In
the other half it waits for the room itself. The disk is a small tmpfs where root can mount one; everywhere, a limit on
the size of files is tried as well.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lane import Ended, Lane, Site, finish, fork, has_ended, next_verb, run_forked, wait_for
from lanes import lanes, own_lane, report
from playbooks import PLAYBOOKS
from report import Tally
from verdict import Verdict
from victim import Task

_PAGE = 4096
_LARGE_BYTES = 64 * 1024 * 1024
_SMALLEST_FILE_PAGES = 9  # SQLite's shared memory, and the trail of the harness, have to fit
_NAMES = ("isolate", "tag", "wipe", "post", "sweep", "mixed")
_HALTS, _WAITS = "halts", "waits"
_PATIENCE_S = {_HALTS: 5.0, _WAITS: 100_000.0}  # by the clock of the case
_NOTICES_S = 20.0
_IS_WAITING_S = 0.1


@dataclass(frozen=True)
class Disk:
    """What limits the journal, and how many pages it lets be written before it is full."""

    kind: str  # tmpfs or limit
    pages: int

    @contextmanager
    def at(self, site: Site) -> Iterator[None]:
        """Put the project's state on this disk, with its journal made."""
        state = site.project / ".hikeshi"
        state.mkdir()
        if self.kind == "limit":
            run_forked(site.task("prepare"))
            yield
            return
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_LARGE_BYTES}", "hikeshi-crash", state], check=True)
        try:
            run_forked(site.task("prepare"))
            _resize(state, _used_bytes(state) + self.pages * _PAGE)
            yield
        finally:
            subprocess.run(["umount", "--lazy", state], check=True)

    def task_limit(self) -> int | None:
        """Return the size in bytes above which the process can't write a file."""
        return self.pages * _PAGE if self.kind == "limit" else None

    def make_room(self, site: Site, pid: int | None) -> None:
        """Let everything be written again, also for the process that waits for it."""
        if self.kind == "tmpfs":
            _resize(site.project / ".hikeshi", _LARGE_BYTES)
        elif pid is not None:
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


@dataclass(frozen=True)
class Full:
    """A playbook on a disk that runs full, and what its process does then: it halts, or waits."""

    playbook: str
    disk: Disk
    then: str

    @property
    def row(self) -> tuple[str, str]:
        return f"{self.disk.kind}, {self.then}", self.playbook

    def run(self, lane: Lane) -> Verdict:
        """Run it to its end, and judge it and what it says."""
        with lane.site(PLAYBOOKS[self.playbook]) as site, self.disk.at(site):
            task = site.task("start", largest_file_bytes=self.disk.task_limit(), patience_s=_PATIENCE_S[self.then])
            pid = fork(task)
            moments = []
            if not _ends_or_waits(pid, task):
                moments.append(site.now("stopped", _trouble_of(task)))
                self.disk.make_room(site, pid)
            ended = task, wait_for(pid)
            self.disk.make_room(site, None)
            moments.append(site.moment(ended))
            trail = Path(task.trail).read_text(encoding="utf-8")
            verdict = finish(site, _others(site), moments)
        for moment in moments:
            if moment.how in ("halted", "stopped") and "full" not in moment.detail:
                verdict.add("wrong", f"it does not say that the disk is full: {moment.detail!r}")
        if self.then == _WAITS and moments[0].how == "halted" and "failed append" in trail:
            verdict.add("wrong", "it could wait for room, and gave up")
        verdict.halts += moments[0].how == "stopped"
        return verdict

    def __str__(self) -> str:
        return f"--playbook {self.playbook} --{self.disk.kind} --{self.then} --pages {self.disk.pages}"


def _ends_or_waits(pid: int, task: Task) -> bool:
    """Return True when the process has ended, False as soon as it waits for room."""
    deadline = time.monotonic() + _NOTICES_S
    while time.monotonic() < deadline:
        if has_ended(pid, _IS_WAITING_S):
            return True
        if _trouble_of(task) and _PATIENCE_S[_WAITS] == task.patience_s:
            return has_ended(pid, _IS_WAITING_S)
    return False


def _trouble_of(task: Task) -> str:
    said = Path(task.result).with_suffix(".trouble")
    return said.read_text(encoding="utf-8") if said.exists() else ""


def _others(site: Site) -> Iterator[Ended]:
    while True:
        yield run_forked(site.task(next_verb(site)))


def _resize(state: Path, size_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", state], check=True)


def _used_bytes(state: Path) -> int:
    found = os.statvfs(state)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def main() -> int:
    """Run it all. Return 1 if anything was lost, doubled, stuck or wrong."""
    options = _options()
    kinds = ["limit"]
    if _may_mount():
        kinds.insert(0, "tmpfs")
    else:
        print("SKIPPED, all cases on a tmpfs: mounting one takes root; the limit on the size of files stands for it")
    names = [options.playbook] if options.playbook else list(_NAMES)
    with lanes(options.lanes) as pool:
        needs = dict(zip(names, pool.map(_pages_of, names, chunksize=1), strict=True))
        cases = [
            Full(name, Disk(kind, pages), then)
            for kind in kinds
            for then in (_HALTS, _WAITS)
            for name in names
            for pages in range(0 if kind == "tmpfs" else _SMALLEST_FILE_PAGES, needs[name], options.step)
        ]
        rows = dict.fromkeys(case.row for case in cases)
        return report(pool, cases, Tally("disk", {row: sum(case.row == row for case in cases) for row in rows}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash-disk", description=__doc__)
    parser.add_argument("--lanes", type=int, default=2, help="how many cases run at the same time")
    parser.add_argument("--playbook", choices=_NAMES, help="only this one")
    parser.add_argument("--step", type=int, default=3, help="try every so many-th page")
    return parser.parse_args()


def _may_mount() -> bool:
    """Say whether a tmpfs can be mounted; where it can, this program runs in a namespace that nobody else sees."""
    inside = "HIKESHI_CRASH_NAMESPACE"
    if os.environ.get(inside):
        return True
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    if subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        return False
    os.environ[inside] = "1"
    sys.stdout.flush()
    return os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def _pages_of(name: str) -> int:
    """Return how many pages the journal of a playbook takes, its log with it, while nobody disturbs it."""
    last = len(own_lane().boundaries(PLAYBOOKS[name]))
    with own_lane().site(PLAYBOOKS[name]) as site:
        run_forked(site.task("prepare"))
        # Killed shortly before its end, which is not always at the same boundary: whoever ends well removes the log.
        run_forked(site.task("start", at=last * 9 // 10))
        log = site.project / ".hikeshi" / "journal.db-wal"
        return -(-log.stat().st_size // _PAGE) + _SMALLEST_FILE_PAGES


if __name__ == "__main__":
    sys.exit(main())
