"""What is wrong with a playbook, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hikeshi.playbook.model import Position

__all__ = ["Problem", "in_order"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake of a playbook's author.

    `code` names the kind of mistake and never changes. `suggestion` is the known name nearest to an unknown one; the
    message says it too.
    """

    code: str
    message: str
    position: Position
    suggestion: str | None = None

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems sorted by position, each once: what an alias repeats is one mistake."""
    return sorted(set(problems), key=_order)


def _order(problem: Problem) -> tuple[str, int, int, str, str]:
    position = problem.position
    return (position.file, position.line, position.column, problem.code, problem.message)
