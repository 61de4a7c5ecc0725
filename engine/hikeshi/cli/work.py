"""Going on with everything that is due: what a process left behind, times that have come, messages, holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode, of_run
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.cli.ending import Ending
    from hikeshi.core import RunState
    from hikeshi.runtime.driver import Watcher
    from hikeshi.runtime.ledger import Hold
    from hikeshi.runtime.worker import Due

__all__ = ["work"]

# What somebody has to know first, should several runs end differently.
_GRAVEST = (ExitCode.UNKNOWN, ExitCode.FAILED, ExitCode.REFUSED, ExitCode.WAITING)


def work(
    session: Session,
    stay: Annotated[
        bool, typer.Option("--stay", help="Go on with whatever becomes due until Ctrl-C or SIGTERM.")
    ] = False,
) -> int:
    """Go on with every run that is due. Those that nobody drives; releases the holds whose time is over, too."""
    if stay:
        from hikeshi.cli.work_stay import work_for_ever

        return session.wait_for(work_for_ever(session))
    if not session.app.journal_path.exists():
        return _show(session, [], None, [])
    shift, next_at, waiting = session.wait_for(_work(session))
    return _show(session, shift.endings, next_at, waiting, shift.troubles)


async def _work(session: Session) -> tuple[Shift, datetime | None, list[str]]:
    from hikeshi.cli.going import new_view
    from hikeshi.runtime.worker import Worker

    app = session.app
    view = new_view(session, quietly=True)
    shift = Shift(session, view.watch)
    async with view.shown():
        await Worker(shift, app.clock, ended=shift.ended, trouble=shift.trouble).run(stay=False)
    waiting = [each["run"] for each in (*app.questions(), *app.stuck())]
    return shift, app.due().next_at, list(dict.fromkeys(waiting))


class Shift:
    """What a worker works on, with words for whoever looks on."""

    def __init__(self, session: Session, *watchers: Watcher) -> None:
        from hikeshi.cli.going import CALM_S, watchers_of

        self.session = session
        self.app: Hikeshi = session.app
        self.app.park_after_s = CALM_S
        self._watchers = [*watchers, *watchers_of(session)]
        self.endings: list[Ending] = []
        self.troubles = 0

    def due(self) -> Due:
        """Return what is to be done."""
        return self.app.due()

    async def go_on_quietly(self, run: str) -> RunState | None:
        """Go on with a run."""
        return await self.app.go_on_quietly(run, self._watchers)

    async def release_due(self, holds: Sequence[Hold]) -> RunState | None:
        """Release holds."""
        from hikeshi.cli.alerts import alert

        state = await self.app.release_due(holds, self._watchers)
        now = [self.app.hold(hold.hold) for hold in holds]
        alert(self.session, [each for each in now if each.is_kept])
        return state

    def ended(self, state: RunState) -> None:
        """Note a run that was gone on with."""
        from hikeshi.cli.ending import ending_of

        self.endings.append(ending_of(self.session, state))

    def trouble(self, name: str, exc: Exception) -> None:
        """Say what could not be done."""
        from hikeshi.cli.failure import describe

        self.troubles += 1
        self.session.output.note(Styled(f"{name} cannot go on: ", "red"), describe(exc).message)


def _show(
    session: Session, endings: Sequence[Ending], next_at: datetime | None, waiting: list[str], troubles: int = 0
) -> int:
    from hikeshi.report import run_report

    output = session.output
    reports = [run_report(ending.state) for ending in endings]
    if output.as_json:
        at = None if next_at is None else next_at.isoformat()
        output.document({"runs": reports, "waiting": waiting, "next_at": at, "troubles": troubles})
    else:
        _show_endings(session, endings, next_at, waiting)
    codes = {of_run(report) for report in reports} | ({ExitCode.FAILED} if troubles else set())
    return next((code for code in _GRAVEST if code in codes), ExitCode.SUCCEEDED)


def _show_endings(session: Session, endings: Sequence[Ending], next_at: datetime | None, waiting: list[str]) -> None:
    from hikeshi.cli.moments import deadline
    from hikeshi.cli.run_view import show_run

    output = session.output
    for ending in endings:
        show_run(output, ending)
    if not endings:
        output.line("Nothing to do: no run was left behind.")
    shown = {ending.state.run for ending in endings}
    for run in (each for each in waiting if each not in shown):
        output.line(f"Run {run} waits for somebody, so it was left alone; see: hikeshi waiting")
    if next_at is not None:
        output.line(f"The next is due at {deadline(next_at, session.app.clock.now())}.")
