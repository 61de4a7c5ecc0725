"""The composition root and the one application service. Faces call this and nothing below it."""

from hikeshi.app.errors import (
    KeyHeld,
    MessageNotTaken,
    MessageNotWanted,
    NothingToRelease,
    NothingToResolve,
    NothingToRetry,
    PlanRefused,
    PlaybookProblems,
    RunIsDriven,
    UnknownRun,
)
from hikeshi.app.programs import Checked
from hikeshi.app.runs import Mode
from hikeshi.app.service import Hikeshi

__all__ = [
    "Checked",
    "Hikeshi",
    "KeyHeld",
    "MessageNotTaken",
    "MessageNotWanted",
    "Mode",
    "NothingToRelease",
    "NothingToResolve",
    "NothingToRetry",
    "PlanRefused",
    "PlaybookProblems",
    "RunIsDriven",
    "UnknownRun",
]
