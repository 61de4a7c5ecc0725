"""What a check of a project found: how it stands, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Finding", "Status", "fine", "gravest", "problem", "warning"]

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up. `next_step` is empty where nothing is to be done."""

    check: str
    status: Status
    what: str
    where: str = ""
    next_step: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "check": self.check,
            "status": self.status,
            "what": self.what,
            "where": self.where,
            "next": self.next_step,
        }


def fine(check: str, what: str, where: str = "") -> Finding:
    """Return that something is as it should be."""
    return Finding(check, "ok", what, where)


def warning(check: str, what: str, where: str, next_step: str) -> Finding:
    """Return that something works, and should be looked at."""
    return Finding(check, "warning", what, where, next_step)


def problem(check: str, what: str, where: str, next_step: str) -> Finding:
    """Return that something does not work, or will not when it is needed."""
    return Finding(check, "problem", what, where, next_step)


def gravest(findings: Sequence[Finding]) -> Status:
    """Return the worst status of all."""
    found = {each.status for each in findings}
    return "problem" if "problem" in found else "warning" if "warning" in found else "ok"
