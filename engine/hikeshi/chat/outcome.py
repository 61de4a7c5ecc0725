"""How a question ended, in words for the channel in which it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hikeshi.app.errors import UnknownRun
from hikeshi.chat.question import Asked, name_of, shown

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["outcome_of"]


def outcome_of(app: Hikeshi, asked: Asked) -> str:
    """Return how a question ended that is not open any more, as a sentence."""
    try:
        state = app.fold(asked.run)
    except UnknownRun:
        return "Over: the run is not on record here any more."
    node = state.nodes.get(asked.path)
    question = None if node is None else node.question
    if node is None or question is None or question.digest != asked.digest:
        return "Over: something else is asked there now, or the run went on without it."
    rejected = [voter for voter, vote in question.votes.items() if vote == "reject"]
    if rejected:
        return f"Rejected by {_names(app, rejected)}."
    if question.votes and len(question.votes) >= question.quorum:
        return f"Approved by {_names(app, list(question.votes))}."
    if state.cancelling is not None:
        return f"Over: {shown(state.cancelling.message, 300)}."
    if node.error is not None:
        return f"Over: {shown(node.error.message, 300)}."
    return "Over: nobody has to decide this any more."


def _names(app: Hikeshi, actors: list[str]) -> str:
    return ", ".join(shown(name_of(app.config, actor)) for actor in actors)
