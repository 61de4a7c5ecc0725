"""The people: they ask for runs, answer what they are asked, and find out what became of changes nobody can judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dice import Dice
from ledger import Question
from process import PERSONS

from hikeshi.project.people import may_decide

if TYPE_CHECKING:
    from world import World

__all__ = ["Letter", "People"]


@dataclass(frozen=True)
class Letter:
    """What somebody sends to the engine. `kind` is `start`, `signal`, or what a run takes."""

    kind: str
    sender: str = "kei"
    tag: str = ""  # of a start; the name of a signal
    run: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    detach: bool = False


class People:
    """They are slow, send things twice, and go on sending until they see that it was heard."""

    def __init__(self, world: World, dice: Dice) -> None:
        self._world = world
        self._dice = dice

    def ask_for(self, tag: str, at_s: float) -> None:
        """Want a run from this time on."""
        letter = Letter("start", "rin", tag=tag, detach=self._dice.chance(30))
        self._world.clock.at(at_s, lambda: self._deliver(letter, lambda: not self._world.was_started(tag)))

    def find_out(self, run: str, path: str) -> None:
        """Find out, in their own time, what became of a change."""
        self._world.clock.after(self._dice.seconds(30, 90_000), lambda: self._found_out(run, path))

    def _found_out(self, run: str, path: str) -> None:
        facts = self._world.ledger.runs[run]
        intent = facts.unknown.get(path)
        if intent is None:
            return
        happened = self._world.check.is_done(intent, by_hand=self._dice.chance(50))
        self._world.trace(f"   kei says that {path} of {run} {'happened' if happened else 'did not happen'}")
        letter = Letter("resolve", run=run, data={"path": path, "happened": happened})
        self._send(letter, lambda: path in facts.unknown)

    # --- questions --------------------------------------------------------------------------------------------

    def be_asked(self, run: str, path: str) -> None:
        """Answer a question: some in time, some too late or never, some who may not, some what is no longer asked."""
        question = self._world.ledger.runs[run].questions[path]
        left_s = max(60.0, (question.due_at - self._world.clock.now()).total_seconds())
        allowed = [name for name, person in PERSONS.items() if may_decide(person, question.by)]
        self._dice.shuffle(allowed)
        for voter in allowed[: self._dice.weighted({question.quorum: 6, question.quorum + 1: 1, 0: 1})]:
            letter = self._answer(run, path, question, voter)
            is_open = partial(self._is_open, run, path, question)
            self._world.clock.after(self._dice.seconds(1, left_s * 1.2), partial(self._send, letter, is_open))
        if self._dice.chance(10):
            wrong = self._answer(run, path, question, self._dice.pick(list(PERSONS)))
            stale = replace(wrong, data={**wrong.data, "digest": "0" * 64}) if self._dice.chance(50) else wrong
            self._world.clock.after(self._dice.seconds(1, left_s), partial(self._deliver_once, stale))

    def _answer(self, run: str, path: str, question: Question, voter: str) -> Letter:
        about: dict[str, Any] = {"path": path, "digest": question.digest}
        if question.kind == "form":
            answers = {"note": "seen"} if self._dice.chance(90) else {"note": 3}
            return Letter("answer", voter, run=run, data={**about, "answers": answers})
        return Letter(self._dice.pick(["approve", "approve", "approve", "reject"]), voter, run=run, data=about)

    def _is_open(self, run: str, path: str, question: Question) -> bool:
        now = self._world.ledger.runs[run].questions.get(path)
        return now is question and now.due_at > self._world.clock.now()

    # --- what else comes from outside -------------------------------------------------------------------------

    def meddle(self, run: str) -> None:
        """Cancel a run, or pause it for a while, at some time."""
        if self._dice.chance(self._world.schedule.cancel_percent):
            letter = Letter("cancel", run=run, data={"reason": "enough"})
            self._world.clock.after(self._dice.seconds(0, 5000), partial(self._deliver_once, letter))
        if self._dice.chance(self._world.schedule.pause_percent):
            pauses_s = self._dice.seconds(0, 1000)
            self._world.clock.after(pauses_s, partial(self._deliver_once, Letter("pause", run=run)))

    def resume(self, run: str) -> None:
        """Let a paused run go on, after a while."""
        needed = partial(self._is_paused, run)
        self._world.clock.after(self._dice.seconds(1, 9000), lambda: self._deliver(Letter("resume", run=run), needed))

    def _is_paused(self, run: str) -> bool:
        facts = self._world.ledger.runs[run]
        return not facts.finished and facts.kinds["PauseRequested"] > facts.kinds["RunResumed"]

    def signal(self, name: str) -> None:
        """Let something happen that somebody waits for: perhaps at once, perhaps not what is meant, perhaps never."""
        for _ in range(self._dice.below(4)):
            letter = Letter("signal", "sensor", tag=name, data={"good": self._dice.chance(60)})
            self._world.clock.after(self._dice.seconds(0, 9000), partial(self._deliver_once, letter))

    # --- letters ----------------------------------------------------------------------------------------------

    def _deliver_once(self, letter: Letter) -> None:
        if self._world.process is not None and self._world.process.alive:
            self._world.process.take(letter)

    def _send(self, letter: Letter, is_needed: Callable[[], bool]) -> None:
        """Send a letter, perhaps twice, each after a while."""
        for _ in range(2 if self._world.schedule.duplicates and self._dice.chance(50) else 1):
            self._world.clock.after(self._dice.seconds(0, 60), lambda: self._deliver(letter, is_needed))

    def _deliver(self, letter: Letter, is_needed: Callable[[], bool]) -> None:
        """Hand a letter over, and look later whether it was heard."""
        process = self._world.process
        if not is_needed():
            return
        if process is not None and process.alive and letter.tag not in process.starting:
            process.take(letter)
        self._world.clock.after(3600, lambda: self._deliver(letter, is_needed))
