"""Going on with what a process left behind."""

from __future__ import annotations

from typing import Any

from hikeshi.cli.exit_codes import ExitCode, of_run
from hikeshi.cli.session import Session

__all__ = ["work"]

# What somebody has to know first, should several runs end differently.
_GRAVEST = (ExitCode.UNKNOWN, ExitCode.FAILED, ExitCode.REFUSED, ExitCode.WAITING)


def work(session: Session) -> int:
    """Go on with every run whose process is gone, and say what became of it."""
    app = session.app
    unfinished = app.unfinished() if app.journal_path.exists() else []
    waiting = [row["run"] for row in app.runs() if row["status"] == "waiting"] if app.journal_path.exists() else []
    reports = session.wait_for(_go_on(session, unfinished))
    codes = {of_run(report) for report in reports}
    if session.output.as_json:
        session.output.document({"runs": reports, "waiting": waiting})
    elif not unfinished:
        session.output.line("Nothing to do: no run was left behind.")
    for run in waiting:
        session.output.line(f"Run {run} waits for somebody, so it was left alone; see: hikeshi log {run}")
    return next((code for code in _GRAVEST if code in codes), ExitCode.SUCCEEDED)


async def _go_on(session: Session, unfinished: list[str]) -> list[dict[str, Any]]:
    from hikeshi.cli.going import go
    from hikeshi.cli.run_view import show_run
    from hikeshi.report import run_report

    reports = []
    for run in unfinished:
        state, changes = await go(session, lambda watchers, run=run: session.app.go_on(run, watchers))  # type: ignore[misc]
        reports.append(run_report(state))
        if not session.output.as_json:
            show_run(session.output, state, changes)
    return reports
