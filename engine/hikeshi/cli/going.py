"""Going through a run while somebody looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from hikeshi.cli.live_view import LiveView
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.core import events as ev

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.report import Change

__all__ = ["go"]


async def go(
    session: Session, start: Callable[[Sequence[Any]], Awaitable[RunState]], *, quietly: bool = False
) -> tuple[RunState, list[Change]]:
    """Return the state in which a run ended, and its changes. `start` begins it with the given watchers."""
    view = LiveView(session.output)

    def announce(event: ev.Event, state: RunState) -> None:
        # At once, for whoever has to look for this run after the power went.
        if not quietly and isinstance(event, ev.RunStarted | ev.RunTakenOver):
            what = "dry run" if state.mode == "plan" else "run"
            verb = "started" if isinstance(event, ev.RunStarted) else "goes on"
            session.output.note(Styled(f"{what} {state.run} of {state.program.main} {verb}", "dim"))

    watchers = [announce, view.watch]
    if session.log_level is not None:
        from hikeshi.cli.logs import log_event

        watchers.append(log_event)
    try:
        async with view.shown():
            state = await start(watchers)
    except asyncio.CancelledError:
        if view.state is not None:
            session.output.note(f"Run {view.state.run} stops here. It is stored: 'hikeshi work' goes on with it.")
        raise
    if session.output.as_json or state.mode == "plan":
        return state, []
    from hikeshi.report import changes

    return state, list(changes(state, session.app.records(state.run)))
