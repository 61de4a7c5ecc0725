"""The people: they ask for runs, answer what they are asked, and find out what became of changes nobody can judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dice import Dice

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
