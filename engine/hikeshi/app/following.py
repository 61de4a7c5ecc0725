"""Looking on at a run that any process drives, from the journal alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from hikeshi.core import StartAction, fold
from hikeshi.core import events as ev
from hikeshi.core.commands import FindHolds, PlanCovered

if TYPE_CHECKING:
    from hikeshi.app.runs import Runs

__all__ = ["Following"]

_ACTS = (StartAction, PlanCovered, FindHolds)


class Following:
    """The state of a run, folded as its records come. It belongs to whoever looks on; nobody else changes it."""

    def __init__(self, runs: Runs, run: str) -> None:
        """Begin with what is stored. Raises UnknownRun, and UnknownEvent for a newer version's records."""
        self._runs = runs
        self._seen = -1
        self.state = runs.fold(run)

    def news(self) -> Iterator[ev.Event]:
        """Give what has happened since the last call, each event when it is folded. Cheap if nothing has."""
        changes = self._runs.journal.changes()
        if changes == self._seen:
            return
        self._seen = changes
        for record in self._runs.journal.read(self.state.run, after=self.state.seq):
            yield fold(self.state, record.seq, record.at, record.kind, record.path, record.data, record.encoded)
            self.state.fresh.clear()  # nothing is performed here
        if self.state.has_stored and self.state.finished is not None:
            self.state.outputs = self._runs.load(self.state.outputs)

    def driver(self) -> Literal["this", "other", "nobody", "gone"]:
        """Say who drives the run: nobody has to while it waits, and `gone` is a process that has ended too early."""
        state = self.state
        if state.finished is not None or state.parked:
            return "nobody"
        if state.owner == self._runs.ownership.owner_id:
            return "this"
        return "other" if state.owner and self._runs.ownership.is_alive(state.owner) else "gone"

    def is_calm(self, for_s: float) -> bool:
        """Say whether the run is over, or nothing goes on by itself for so long."""
        state = self.state
        if state.finished is not None or state.paused:
            return True
        if state.todo or any(isinstance(command, _ACTS) for command in state.owed.values()):
            return False
        soon = self._runs.clock.now() + timedelta(seconds=for_s)
        return all(getattr(command, "due_at", soon) >= soon for command in state.owed.values())
