"""Folding what rules say: changes that are refused, plans that are saved and used up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hikeshi.core import events as ev
from hikeshi.core.attempts import answered, fail
from hikeshi.core.events import ErrorRecord
from hikeshi.core.evolve_people import cancel
from hikeshi.core.state import RunState

__all__ = ["RULE_FOLDS"]


def _change_refused(state: RunState, event: ev.ChangeRefused) -> None:
    error = ErrorRecord("refused", event.why)
    fail(state, answered(state, event.path), error)
    if event.stops:
        cancel(state, error)


def _plan_saved(state: RunState, event: ev.PlanSaved) -> None:
    state.saved = (event.digest, event.expires_at)


def _plan_denied(state: RunState, event: ev.PlanDenied) -> None:
    """Change nothing here: a refusal is for the one who asked, and for the record."""


def _plan_taken(state: RunState, event: ev.PlanTaken) -> None:
    state.taken = event.run


RULE_FOLDS: dict[type[ev.Event], Callable[[RunState, Any], None]] = {
    ev.ChangeRefused: _change_refused,
    ev.PlanSaved: _plan_saved,
    ev.PlanDenied: _plan_denied,
    ev.PlanTaken: _plan_taken,
}
