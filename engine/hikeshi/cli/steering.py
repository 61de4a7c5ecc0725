"""Steering runs that are under way: ending them, pausing them, and doing again what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.cli.ending import Ending
    from hikeshi.cli.going import Until
    from hikeshi.core import RunState

__all__ = ["cancel", "pause", "resume", "retry"]

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")]


def cancel(
    session: Session,
    run: RunId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
) -> int:
    """End a run. Nothing more starts, what was sent is finished; holds stay and are listed."""
    if not reason.strip():
        raise CommandError("usage", "--reason needs a text: it is what people read later")
    ending = _tell(session, run, "cancel", {"reason": reason}, until="calm")
    code = _conclude(session, ending)
    # It was to end, so its end is no failure; changes whose outcome nobody knows are.
    return ExitCode.SUCCEEDED if ending.state.finished == "cancelled" and code is not ExitCode.UNKNOWN else code


def pause(session: Session, run: RunId) -> int:
    """Pause a run. What is under way is finished, and nothing more is decided until it is resumed."""
    ending = _tell(session, run, "pause", {}, until="calm")
    code = _conclude(session, ending)
    return ExitCode.SUCCEEDED if ending.state.paused and code is not ExitCode.UNKNOWN else code


def resume(session: Session, run: RunId) -> int:
    """Let a paused run go on, and stay with it until it is over."""
    return _conclude(session, _tell(session, run, "resume", {}, until="over"))


def retry(
    session: Session,
    run: RunId,
    step: Annotated[
        str | None, typer.Argument(metavar="[STEP]", help="Only this step, by its path; default: all that failed.")
    ] = None,
) -> int:
    """Do again what failed in a run. It is a new run that takes over everything that was confirmed."""
    from hikeshi.cli.going import go

    app = session.app
    app.check_run(run)

    async def start(watchers: Any) -> RunState:
        return await app.retry(run, step, actor=session.actor, watchers=watchers)

    return _conclude(session, session.wait_for(go(session, start)))


def _tell(session: Session, run: str, kind: str, data: Mapping[str, Any], *, until: Until) -> Ending:
    """Have a say to a run, and return how it stands after that. Raises UnknownRun, MessageNotWanted."""
    from hikeshi.cli.going import CALM_S, go

    app = session.app
    app.check_run(run)
    state = app.fold(run)
    if state.finished is not None:
        raise CommandError("run_is_over", f"run {run} is over: {state.finished}; nothing was sent", refused=True)

    async def start(watchers: Any) -> RunState:
        app.park_after_s = CALM_S  # a refusal is told before anybody stays with the run
        told = await app.tell(run, kind, data, actor=session.actor, watchers=watchers)
        session.output.note(Styled(f"{kind}: run {run} has taken it", "dim"))
        if until == "calm" or not told.parked or told.paused:
            return told
        app.park_after_s = 0.0
        return await app.go_on_quietly(run, watchers) or told

    return session.wait_for(go(session, start, run=run, until=until))


def _conclude(session: Session, ending: Ending) -> ExitCode:
    from hikeshi.cli.run_view import conclude

    return conclude(session.output, ending)
