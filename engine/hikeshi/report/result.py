"""The result of a run as stable machine output."""

from __future__ import annotations

from typing import Any

from hikeshi.core import Node, RunState, StepStatus
from hikeshi.core.events import ErrorRecord
from hikeshi.playbook.unknown import to_json
from hikeshi.report.tree import tree
from hikeshi.report.waits import waits_of

__all__ = ["error_report", "run_report"]


def run_report(state: RunState) -> dict[str, Any]:
    """Return what a run came to, as plain data.

    Shape: `{run, playbook, mode, status, steps: {path: {status, attempts, error}}, outputs, failures, unknown, error,
    waits: [{kind, path, what, due_at}]}`.
    """
    return {
        "run": state.run,
        "playbook": state.program.main,
        "mode": state.mode,
        "status": state.status.value,
        "steps": {node.path: _step(node) for _, node in tree(state)},
        "outputs": {name: to_json(value) for name, value in state.outputs.items()},
        "failures": list(state.failures),
        "unknown": sorted(state.unknown),
        "error": error_report(state.error),
        "waits": [wait.to_json() for wait in waits_of(state)],
    }


def error_report(error: ErrorRecord | None) -> dict[str, Any] | None:
    """Return `{kind, message, candidates}` or null."""
    if error is None:
        return None
    return {"kind": error.kind, "message": error.message, "candidates": error.candidates}


def _step(node: Node) -> dict[str, Any]:
    # An error that a later attempt overcame is history, not state.
    shown = node.error if node.status in (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.RUNNING) else None
    return {
        "status": node.status.value,
        "attempts": node.attempts,
        "error": error_report(shown),
        "reason": node.reason,
        "already": node.already,
        "possibly_repeated": node.possibly_repeated,
    }
