"""What can keep the application from doing what it is asked. Each says whose fault it is, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hikeshi.playbook.problem import Problem

__all__ = [
    "KeyHeld",
    "MessageNotTaken",
    "MessageNotWanted",
    "NothingToRelease",
    "NothingToResolve",
    "NothingToRetry",
    "PlanRefused",
    "PlaybookProblems",
    "RunIsDriven",
    "UnknownRun",
]


class PlaybookProblems(Exception):
    """A playbook cannot run as it is written, or not in this project. Nothing was started."""

    def __init__(self, playbook: str, problems: Sequence[Problem | str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.playbook = playbook
        self.problems = list(problems)


class NothingToRelease(Exception):
    """The kill switch that somebody wants released is not engaged."""


class NothingToResolve(Exception):
    """The step that somebody resolves is not of unknown outcome."""


class NothingToRetry(Exception):
    """The run has nothing that failed, or is not over."""


class PlanRefused(Exception):
    """A plan cannot be saved, or not be applied as it is. Each reason is one line. Nothing was started."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = list(reasons)


class RunIsDriven(Exception):
    """Another process that is alive goes on with the run; two must not."""


class UnknownRun(LookupError):
    """The journal has no run of this ID."""


class KeyHeld(Exception):
    """A run with the same key is under way, and the playbook says that a second one is refused. Nothing was started."""


class MessageNotWanted(Exception):
    """A run refused what somebody sent; the text is the reason."""


class MessageNotTaken(Exception):
    """The process that drives a run did not take a message in time. It is stored, and will be."""
