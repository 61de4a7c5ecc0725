"""Working for a project until somebody says stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hikeshi.cli.complaints import Complaints
from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.moments import clock_time
from hikeshi.cli.run_view import summary_pieces
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.cli.waits_view import wait_lines
from hikeshi.cli.work import Shift
from hikeshi.journal import JournalUnavailable
from hikeshi.report import changes, run_report, waits_of
from hikeshi.runtime.worker import Worker
from hikeshi.serving.stopping import stopped_by_signals

if TYPE_CHECKING:
    from hikeshi.core import RunState

__all__ = ["work_for_ever"]

_AGAIN_S = 5.0
_FOR_EVER_S = 10 * 365 * 86_400.0


async def work_for_ever(session: Session) -> int:
    """Go on with whatever becomes due until Ctrl-C or SIGTERM; actions under way come to their end then.

    A journal that cannot be read or written is tried again for ever. Raises JournalError if it is none any more.
    """
    app, note = session.app, session.output.note
    complain = Complaints(session)
    app.patience_s, app.trouble = _FOR_EVER_S, complain
    shift = LongShift(session)
    stopping = asyncio.Event()
    note("Working. Ctrl-C or SIGTERM stops it; actions under way come to their end.")
    try:
        with stopped_by_signals(stopping, note):
            while not stopping.is_set():
                try:
                    await _until_stopped(Worker(shift, app.clock, ended=shift.ended, trouble=shift.trouble), stopping)
                except JournalUnavailable as exc:
                    complain(str(exc))
                    await _wait(stopping, _AGAIN_S)
    except asyncio.CancelledError:
        note("Stopped at once. What was under way is looked up when somebody works again.")
        return ExitCode.INTERRUPTED
    note("Stopped. What is not over is stored, and goes on when somebody works again.")
    return ExitCode.SUCCEEDED


async def _until_stopped(worker: Worker, stopping: asyncio.Event) -> None:
    async def stop() -> None:
        await stopping.wait()
        worker.stop()

    stopper = asyncio.create_task(stop())
    try:
        await worker.run(stay=True)
    finally:
        stopper.cancel()


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


class LongShift(Shift):
    """A shift that may last for months: what has ended is said at once, and forgotten."""

    def ended(self, state: RunState) -> None:
        """Say in a line or a few what became of a run. For programs it is one line of JSON."""
        output, now = self.session.output, self.app.clock.now()
        if output.as_json:
            output.json_line(run_report(state))
        else:
            made = list(changes(state, self.app.records(state.run)))
            output.line(Styled(f"{clock_time(now, now)}  ", "dim"), *summary_pieces(state, made))
            waits = waits_of(state)
            output.lines([["        ", *pieces] for pieces in wait_lines(state.run, waits, now)])
        output.flush()
