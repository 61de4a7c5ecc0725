"""What waits for people, as plain data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["is_for", "stuck_document"]


def is_for(app: Hikeshi, actor: str, question: Mapping[str, Any]) -> bool:
    """Say whether somebody may answer a question, and has not yet. The run itself judges it again."""
    if not app.may_decide(actor, question["by"]):
        return False
    own = question["kind"] == "approval" and app.same_person(question["actor"], actor)
    return not own and not any(app.same_person(voter, actor) for voter in question["votes"])


def stuck_document(app: Hikeshi, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person needs to know of a change of unknown outcome, or of a run that is paused."""
    state = app.fold(row["run"])
    if row["kind"] == "resume":
        return {**row, "what": "the run is paused", "targets": [], "command": f"hikeshi resume {row['run']}"}
    from hikeshi.report import targets

    node = state.nodes[row["path"]]
    aimed = targets(state, node) if node.action is not None else []
    return {
        **row,
        "what": "" if node.error is None else node.error.message,
        "action": node.action,
        "targets": [{"label": label, "connector": connector} for label, connector in aimed],
        "command": f"hikeshi resolve {row['run']} {shlex.quote(row['path'])} --happened",
    }
