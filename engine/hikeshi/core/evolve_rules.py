"""Folding what rules say: changes that are refused, plans that are saved and used up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.attempts import answered, fail
from hikeshi.core.events import ErrorRecord
from hikeshi.core.evolve_people import cancel
from hikeshi.core.state import Question, RunState, Todo

__all__ = ["RULE_FOLDS"]


def _change_refused(state: RunState, event: ev.ChangeRefused) -> None:
    error = ErrorRecord("refused", event.why)
    fail(state, answered(state, event.path), error)
    if event.stops:
        cancel(state, error)


def _consent_needed(state: RunState, event: ev.ConsentNeeded) -> None:
    node = answered(state, event.path)
    number = 0 if node.question is None else node.question.round
    node.question = Question(
        "approval",
        event.question,
        list(event.by),
        event.quorum,
        shows=event.targets,
        round=number,
        rule=event.rule,
        within_s=event.within_s,
    )
    state.todo[Todo.ASK_AGAIN, node.path] = None


def _targets_counted(state: RunState, event: ev.TargetsCounted) -> None:
    """Change nothing here: the counts are a projection, over all runs."""


def _plan_saved(state: RunState, event: ev.PlanSaved) -> None:
    state.saved = (event.digest, event.expires_at)


def _plan_denied(state: RunState, event: ev.PlanDenied) -> None:
    """Change nothing here: a refusal is for the one who asked, and for the record."""


def _plan_taken(state: RunState, event: ev.PlanTaken) -> None:
    state.taken = event.run


RULE_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.ChangeRefused: _change_refused,
    ev.ConsentNeeded: _consent_needed,
    ev.TargetsCounted: _targets_counted,
    ev.PlanSaved: _plan_saved,
    ev.PlanDenied: _plan_denied,
    ev.PlanTaken: _plan_taken,
}
