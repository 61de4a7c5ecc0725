"""Going through a run while somebody looks on: one that this process drives, or one that another does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from hikeshi.cli.complaints import Complaints
from hikeshi.cli.ending import Ending, ending_of
from hikeshi.cli.live_view import LiveView
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.core import events as ev

if TYPE_CHECKING:
    from hikeshi.app.following import Following
    from hikeshi.core import RunState

__all__ = ["CALM_S", "Until", "follow", "go", "new_view", "watchers_of"]

CALM_S = 30.0
"""A run that waits at least so long is left to itself by whoever only had a word to say to it."""

Until = Literal["over", "calm", "begun"]
"""How long to stay with a run: until it is over, until it waits for a while, or not at all."""

_LOOK_EVERY_S = 0.2
_LOOKS_ON = "Ctrl-C stops looking; the run goes on."

Watcher = Callable[[Any, Any], None]


async def go(
    session: Session,
    start: Callable[[Sequence[Any]], Awaitable[RunState]],
    *,
    run: str | None = None,
    until: Until = "over",
    quietly: bool = False,
) -> Ending:
    """Return how a run ended, or how it stands where it waits.

    `start` drives it with the given watchers, or has its say to the process that does. `run` is None if a new one is
    begun.
    """
    view = new_view(session, quietly=quietly)
    watchers = [view.watch, *watchers_of(session, quietly=quietly)]
    session.app.trouble = Complaints(session)
    try:
        async with view.shown():
            state = await start(watchers)
            drove = view.state is not None and view.state.run == state.run
            if state.joined is not None or (run is None and not drove):
                _say_joined(session, state)
                drove = False
            if state.mode == "live" and not drove and until != "begun":
                state = await _stay_with(session, view, watchers, state.joined or state.run, until)
    except asyncio.CancelledError:
        if view.state is not None:
            _say_stopped(session, view.state)
        raise
    return ending_of(session, state)


def watchers_of(session: Session, *, quietly: bool = False) -> list[Watcher]:
    """Return what says that a run has begun or goes on, and writes the logs if somebody asked for them."""
    return [*([] if quietly else [_announcement(session)]), *_logs(session)]


def new_view(session: Session, *, quietly: bool = False) -> LiveView:
    """Return a view of the runs of a project."""
    return LiveView(
        session.output,
        now=session.app.clock.now,
        records=session.app.records,
        quietly=quietly,
    )


async def follow(
    session: Session, view: LiveView, run: str, is_enough: Callable[[Following], bool], *watchers: Watcher
) -> RunState:
    """Look on at a run until it is over, or until that is enough. Raises UnknownRun."""
    following = session.app.following(run)
    state = following.state
    view.look_on(state, _LOOKS_ON)
    while True:
        for event in following.news():
            for watch in (view.watch, *watchers):
                watch(event, state)
        if state.finished is not None or is_enough(following):
            return state
        await session.app.clock.sleep(_LOOK_EVERY_S)


async def _stay_with(session: Session, view: LiveView, watchers: Sequence[Watcher], run: str, until: Until) -> RunState:
    """Stay with a run that another process drives; if that leaves it, this one goes on with it."""
    from hikeshi.app import RunIsDriven

    logs = _logs(session)
    if until == "calm":
        return await follow(session, view, run, lambda each: each.is_calm(CALM_S) or each.driver() == "gone", *logs)
    while True:
        try:
            return await session.app.go_on(run, watchers)
        except RunIsDriven:
            state = await follow(session, view, run, lambda each: each.driver() in ("nobody", "gone"), *logs)
            if state.finished is not None or state.paused:
                return state


def _announcement(session: Session) -> Watcher:
    def announce(event: ev.Event, state: RunState) -> None:
        # At once, for whoever has to look for this run after the power went.
        if isinstance(event, ev.RunStarted | ev.RunTakenOver):
            what = "dry run" if state.mode == "plan" else "run"
            verb = "started" if isinstance(event, ev.RunStarted) else "goes on"
            again = f", once more for what failed in {state.retry_of}" if state.retry_of and verb == "started" else ""
            session.output.note(Styled(f"{what} {state.run} of {state.program.main} {verb}{again}", "dim"))

    return announce


def _logs(session: Session) -> list[Watcher]:
    if session.log_level is None:
        return []
    from hikeshi.cli.logs import log_event

    return [log_event]


def _say_joined(session: Session, state: RunState) -> None:
    run = state.joined or state.run
    by = "" if state.joined is not None else f"; {state.actor} started it"
    session.output.note(
        Styled("joined: ", "yellow"), f"run {run} of {state.program.main} does the same and is under way{by}"
    )


def _say_stopped(session: Session, state: RunState) -> None:
    note = session.output.note
    if state.owner != session.app.ownership.owner_id:
        note(f"Run {state.run} goes on without this command: hikeshi watch {state.run}")
        return
    note(f"Run {state.run} stops here. It is stored: 'hikeshi work' goes on with it.")
    from hikeshi.cli.waits_view import wait_lines
    from hikeshi.report import waits_of

    for pieces in wait_lines(state.run, waits_of(state), session.app.clock.now()):
        note(*pieces)
