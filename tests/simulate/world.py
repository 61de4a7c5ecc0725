"""One simulated world: a seed, the time, the products, the disk, the people, and one process of the engine after
another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from checks import Checks
from dice import Dice, SeededDice
from failing_disk import Disk
from ledger import Ledger
from people import People
from playbook_maker import PlaybookMaker
from process import Process
from products import Outside, Request
from rack import catalogue_of_the_project
from schedule import Schedule, draw_schedule
from written import Written

from hikeshi.core import Program
from hikeshi.playbook.model import Playbook
from hikeshi.playbook.parse import load_playbook
from hikeshi.testing.fake_clock import VirtualClock
from hikeshi.testing.virtual_loop import Deadlock

__all__ = ["Verdict", "World", "simulate"]

_CATALOGUE = catalogue_of_the_project()


@dataclass
class Verdict:
    """What became of a world: broken promises first. `digest` is the same for each time that it is lived through."""

    seed: str
    broken: list[tuple[str, str]]
    lines: list[str]
    digest: str
    playbooks: list[str]
    counts: Counter[str]
    used: Counter[str] = field(default_factory=Counter)


class World:
    """Everything there is. Lives from `run` to its verdict."""

    def __init__(self, dice: Dice, seed: str) -> None:
        self.seed = seed
        self.schedule: Schedule = draw_schedule(dice.fork("schedule"))
        maker = PlaybookMaker(dice, self.schedule.without)
        self.written: dict[str, Written] = {each.id: each for each in maker.make()}
        self.texts = {name: each.text() for name, each in self.written.items()}
        self.dice = dice.fork("world")
        self.clock = VirtualClock()
        self.catalogue = _CATALOGUE
        self.broken: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.ledger = Ledger()
        self.check = Checks(self, self.dice.fork("checks"))
        self.people = People(self, self.dice.fork("people"))
        self.outside = Outside(self.clock, self.dice.fork("products"), self.schedule.habits, self)
        self.disk = Disk(self.dice.fork("disk"), self.schedule.slow_disk_percent)
        self.disk.stored, self.disk.conflict = self.check.stored, self.check.conflict
        self.playbooks = self._load()
        self.program = Program("main", self.playbooks)
        self.process: Process | None = None
        self.processes = 0
        self.steps = 0
        self._tags = [f"run{number}" for number in range(len(self.schedule.runs))]
        self._runs = 0
        self._moments: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def _load(self) -> dict[str, Playbook]:
        found: dict[str, Playbook] = {}
        for name, text in self.texts.items():
            playbook, problems = load_playbook(text, name)
            if playbook is None:
                raise ValueError("\n".join(map(str, problems)))
            found[name] = playbook
        return found

    # --- from beginning to end --------------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Live through the world and judge it."""
        self._plan()
        try:
            while not self._live_once():
                self._pick_up()
            if not self.broken:
                self.check.over()
        except Deadlock as exc:
            self.break_("never-stuck", str(exc))
        return self._verdict()

    def _plan(self) -> None:
        for tag, at_s in zip(self._tags, self.schedule.runs, strict=True):
            self.people.ask_for(tag, at_s)
        for at_s, by_s in self.schedule.jumps:
            self.clock.at(at_s, lambda by_s=by_s: self._jump(by_s))  # type: ignore[misc]
        for at_s, for_s in self.schedule.suspends:
            self.clock.at(at_s, lambda for_s=for_s: self._suspend(for_s))  # type: ignore[misc]
        for at_s, for_s in self.schedule.disk_full:
            self.clock.at(at_s, lambda: self._fill_disk(full=True))
            self.clock.at(at_s + for_s, lambda: self._fill_disk(full=False))

    def _live_once(self) -> bool:
        """Start a process and let it live; say whether that was the last one."""
        self.processes += 1
        self.process = Process(self, self.processes)
        self.trace(f"## {self.process.name} starts")
        self.check.restarted()
        try:
            ended = self.process.run()
        finally:
            self.steps += self.process.loop.steps
            self.process = None
        return ended or bool(self.broken)

    def _pick_up(self) -> None:
        """Let time pass until somebody starts the engine again."""
        down_s = self.schedule.down_s.pop(0) if self.schedule.down_s else 1.0
        self.clock.pass_until(self.clock.real_s + down_s)
        if self.schedule.reboots:
            self.clock.reboot()

    def _verdict(self) -> Verdict:
        facts = self.ledger.runs.values()
        self.counts.update({f"run {each.finished or 'not finished'}": 1 for each in facts})
        self.counts.update(
            crashes=self.processes - 1,
            runs=len(facts),
            comparisons=self.check.compared,
            callbacks=self.steps,
            appends_refused=self.disk.refused,
        )
        for each in facts:
            self.counts.update({f"event {kind}": times for kind, times in each.kinds.items()})
        self.counts.update({f"fault {kind}": times for kind, times in self.outside.faults.items()})
        digest = hashlib.sha256("\n".join(self.lines).encode())
        for run in self.ledger.runs:
            for record in self.disk.journal.read(run):
                digest.update(record.encoded)
        self.disk.journal.close()
        used: Counter[str] = Counter()
        for each in self.written.values():
            used.update(each.used)
        return Verdict(
            self.seed, self.broken, self.lines, digest.hexdigest(), list(self.texts.values()), self.counts, used
        )

    # --- what the others ask ----------------------------------------------------------------------------------

    def trace(self, text: str) -> None:
        """Note what happens, for people and for the comparison of two lives of one world."""
        self.lines.append(f"{self.clock.real_s:13.3f} {text}")

    def break_(self, promise: str, detail: str) -> None:
        """Note that a promise was broken."""
        self.broken.append((promise, detail))
        self.trace(f"!! {promise}: {detail}")

    def unhandled(self, context: dict[str, object]) -> None:
        self.break_("no-error-escapes", f"{context.get('message')}: {context.get('exception')!r}")

    def is_over(self) -> bool:
        """Say whether every run that somebody wants is over, and everything is taken back that is to be."""
        runs = self.ledger.runs.values()
        if not all(self._finished(tag) for tag in self._tags):
            return False
        return all(facts.finished and not facts.unknown for facts in runs) and not self._is_held()

    def _is_held(self) -> bool:
        """Say whether something is still to be taken back."""
        query = "SELECT 1 FROM holds WHERE status = 'active' AND expires_at IS NOT NULL LIMIT 1"
        return bool(self.disk.journal.query(query))

    def _finished(self, tag: str) -> bool:
        return any(facts.finished and facts.inputs.get("tag") == tag for facts in self.ledger.runs.values())

    def was_started(self, tag: str) -> bool:
        return any(facts.inputs.get("tag") == tag for facts in self.ledger.runs.values())

    def run_of(self, tag: str) -> str:
        return next(facts.run for facts in self.ledger.runs.values() if facts.inputs.get("tag") == tag)

    def next_run_id(self) -> str:
        self._runs += 1
        return f"r{self._runs}"

    def next_deadly_step(self) -> int:
        """Return after how many steps the process that starts now dies; 0 if it does not die so."""
        return self.schedule.crash_after_steps.pop(0) if self.schedule.crash_after_steps else 0

    def is_deadly(self, moment: str) -> bool:
        """Say whether the schedule wants the process to die at this moment."""
        self._moments[moment] += 1
        return self._moments[moment] in self.schedule.crash_at_moments.get(moment, ())

    # --- what the products tell -------------------------------------------------------------------------------

    def asked(self, instance: str, verb: str, about: str) -> None:
        self.check.asked(instance, verb, about)

    def sent(self, request: Request) -> None:
        self.check.sent(request)

    def took_effect(self, request: Request, target: str) -> None:
        self.check.took_effect(request, target)

    def broke_off(self, what: str, after_s: float) -> None:
        self.check.broke_off(what, after_s)

    def _jump(self, by_s: float) -> None:
        self.counts["clock jumps"] += 1
        self.trace(f"## the wall clock jumps by {by_s:+.0f} s")
        self.clock.jump(by_s)

    def _suspend(self, for_s: float) -> None:
        self.counts["suspends"] += 1
        self.trace(f"## the machine sleeps for {for_s:.0f} s")
        self.clock.suspend(for_s)

    def _fill_disk(self, *, full: bool) -> None:
        self.counts["disk full"] += full
        self.trace(f"## the disk is {'full' if full else 'writable again'}")
        self.disk.full = full


def simulate(seed: int) -> Verdict:
    """Live through the world of a seed."""
    return World(SeededDice(seed), str(seed)).run()


def simulate_drawn(dice: Dice) -> Verdict:
    """Live through a world whose playbooks come from these dice."""
    return World(dice, "drawn").run()


def compare_lives(seed: int) -> Sequence[str]:
    """Live twice through the world of a seed; return the first lines that differ, none if it is the same."""
    one, other = simulate(seed), simulate(seed)
    if one.digest == other.digest:
        return []
    for left, right in zip(one.lines, other.lines, strict=False):
        if left != right:
            return [left, right]
    return ["the traces differ in length or the records in their bytes"]
