"""The exit codes: a promise to scripts, so none of them ever changes its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

__all__ = ["MEANINGS", "ExitCode", "of_run"]


class ExitCode(IntEnum):
    """How a command ended."""

    SUCCEEDED = 0
    FAILED = 1
    WRONG_INPUT = 2
    REFUSED = 3
    WAITING = 4
    UNKNOWN = 5
    JOURNAL = 6
    NOT_ANCHORED = 7
    DRIFT = 8
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.SUCCEEDED: "succeeded",
    ExitCode.FAILED: "failed, or was cancelled",
    ExitCode.WRONG_INPUT: "wrong input, playbook or project; nothing was started",
    ExitCode.REFUSED: "refused by a rule",
    ExitCode.WAITING: "waiting for somebody, or for its time",
    ExitCode.UNKNOWN: "a change was sent, and its outcome is unknown",
    ExitCode.JOURNAL: "the journal cannot be used, or is not intact",
    ExitCode.NOT_ANCHORED: "the journal is intact, but not anchored (audit verify --strict)",
    ExitCode.DRIFT: "what is held is not as it was left (holds verify only)",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; 'hikeshi work' goes on",
}

_REFUSALS = frozenset({"changed", "refused", "route_refused"})
_KEY_REFUSED = "conflict"  # as the error of a run that has no steps: it was not let begin


def of_run(report: Mapping[str, Any]) -> ExitCode:
    """Return the exit code for the report of a run or of a plan."""
    if report.get("unknown"):
        return ExitCode.UNKNOWN
    match report["status"]:
        case "succeeded":
            return ExitCode.SUCCEEDED
        case "waiting" | "pending" | "running":
            return ExitCode.WAITING
        case _:
            steps = report.get("steps", {})
            kinds = {step["error"]["kind"] for step in steps.values() if step["error"]}
            error = report.get("error")
            not_begun = not steps and error is not None and error["kind"] == _KEY_REFUSED
            return ExitCode.REFUSED if kinds & _REFUSALS or not_begun else ExitCode.FAILED
