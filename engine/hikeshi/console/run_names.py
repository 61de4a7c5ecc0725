"""What people call a run: the name of its playbook, which may be one of the engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hikeshi.console.elements import link, tag

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.core import RunState

__all__ = ["link_playbook", "name_of"]


def name_of(state: RunState) -> str:
    """Return the name of a run's playbook, as the run has it."""
    return state.program.playbooks[state.program.main].name


def link_playbook(app: Hikeshi, playbook: str) -> None:
    """Link a playbook, if the project has it still; those of undo and release are the engine's."""
    if playbook in app.library.files:
        link(playbook, f"/playbooks/{playbook}", "code")
    else:
        tag("span", playbook, "code")
