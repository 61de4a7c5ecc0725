"""Runs as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["begun_document"]


def begun_document(state: RunState) -> dict[str, Any]:
    """Return what somebody is told who began a run: `{run, playbook, mode, status}`; of a joined run, that one."""
    return {
        "run": state.run,
        "playbook": state.program.main,
        "mode": state.mode,
        "status": str(state.status.value),
    }
