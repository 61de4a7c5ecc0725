"""What taking back a run would do, change by change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.ledger import IN_ONE_CALL, Hold

__all__ = ["HoldRefused", "Inverse", "UndoPlan", "UnknownHold", "is_inside"]

_IN_ONE_STEP = 20  # each with requests of its own


class UnknownHold(LookupError):
    """The ledger has no hold of this ID."""


class HoldRefused(Exception):
    """What somebody wants of a hold, or of the holds of a run, is not possible now; the text says why."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """What undoing does with one change.

    `undo`: the inverse is sent. `pass_on`: another hold keeps the target, so nothing is sent. `close`: it is as before
    already, nothing is sent. `decide`: somebody else changed it since, so a person has to override. `try`: it could not
    be read now, and is read again before anything is sent. `cannot`: nothing undoes it. `over`: that has been done.
    """

    hold: Hold
    does: Literal["undo", "pass_on", "close", "decide", "try", "cannot", "over"]
    why: str | None = None
    state: Any = None  # as it is now, as plain data

    @property
    def is_tried(self) -> bool:
        """Say whether the undo is to bring it about, or to stop before it if it may not."""
        return self.does in ("undo", "pass_on", "close", "decide", "try")


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What an undo of a run, or a release of holds, would do: in the order in which it is done."""

    run: str | None
    inverses: Sequence[Inverse]
    notes: Sequence[str] = ()

    @property
    def tried(self) -> list[Inverse]:
        """Return what is to be done."""
        return [each for each in self.inverses if each.is_tried]

    @property
    def steps(self) -> list[list[str]]:
        """Return the holds in this order, those of one step beside each other, and not too many at once."""
        steps: list[list[str]] = []
        alike = groupby(self.tried, key=lambda each: (each.hold.run, each.hold.path, each.hold.of_list))
        for (_, _, of_list), group in alike:
            names = [each.hold.hold for each in group]
            many = IN_ONE_CALL if of_list else _IN_ONE_STEP
            steps += [names[at : at + many] for at in range(0, len(names), many)]
        return steps


def is_inside(path: str, step: str) -> bool:
    """Say whether a path is that of a step, or of something inside of it."""
    return path == step or path.startswith((f"{step}.", f"{step}["))
