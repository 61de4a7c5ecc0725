"""Looking on at a run that any process drives. It reads the journal only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.app.following import Following
    from hikeshi.cli.ending import Ending
    from hikeshi.core import RunState

__all__ = ["watch"]

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")]


def watch(session: Session, run: RunId) -> int:
    """Follow a run until it is over, whoever drives it. Ctrl-C stops looking, not the run."""
    from hikeshi.cli.run_view import conclude

    session.app.check_run(run)
    return conclude(session.output, session.wait_for(_watch(session, run)))


async def _watch(session: Session, run: str) -> Ending:
    from hikeshi.cli.ending import ending_of
    from hikeshi.cli.going import follow, new_view

    view = new_view(session)
    told = _Deserted(session)
    watchers = [] if session.output.can_animate else [_line_of(session)]
    try:
        async with view.shown():
            state = await follow(session, view, run, told.look, *watchers)
    except asyncio.CancelledError:
        session.output.note(f"Run {run} goes on without anybody who looks.")
        raise
    return ending_of(session, state)


class _Deserted:
    """Says when nobody drives the run that somebody looks at, each time that it comes to that."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_gone = False

    def look(self, following: Following) -> bool:
        """Look who drives the run. It is never enough."""
        is_gone = following.driver() == "gone"
        if is_gone and not self._is_gone:
            text = "the process that drove this run is gone; 'hikeshi work' goes on with it"
            self._session.output.note(Styled(f"warning: {text}", "yellow"))
        self._is_gone = is_gone
        return False


def _line_of(session: Session) -> Any:
    """Return a watcher that writes a line for each event that matters, as 'hikeshi log' does."""
    from hikeshi.cli.runs import entry_pieces
    from hikeshi.report.timeline import TimelineEntry
    from hikeshi.report.words import words_for

    def line(event: Any, state: RunState) -> None:
        text, weight = words_for(event)
        if weight == "detail" or state.now is None:
            return
        entry = TimelineEntry(state.seq, state.now, event.path, type(event).__name__, text, weight)
        session.output.line(*entry_pieces(entry))
        session.output.flush()

    return line
