"""How a run stands when a command is done with it: everything that is shown of it at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.journal import Record
    from hikeshi.report import Change, Times
    from hikeshi.runtime.ledger import Hold

__all__ = ["Ending", "ending_of"]


@dataclass(frozen=True, slots=True)
class Ending:
    """A run with what it changed, what it holds now, and how long its steps took until `now`.

    `records` are there for a dry run only.
    """

    state: RunState
    changes: Sequence[Change] = ()
    holds: Sequence[Hold] = ()
    times: Times | None = None
    now: datetime | None = None
    records: Sequence[Record] = ()


def ending_of(session: Session, state: RunState) -> Ending:
    """Return how a run stands. Programs need little besides the state."""
    if state.mode == "plan":
        return Ending(state, records=list(session.app.records(state.run)))
    if session.output.as_json:
        return Ending(state)
    from hikeshi.report import Times, changes

    app = session.app
    return Ending(
        state,
        list(changes(state, app.records(state.run))),
        app.holds_of(state.run),
        Times(app.records(state.run)),
        app.clock.now(),
    )
