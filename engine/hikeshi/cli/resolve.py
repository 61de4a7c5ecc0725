"""Saying what became of a change whose outcome nobody could establish."""

from __future__ import annotations

from typing import Annotated

import typer

from hikeshi.cli.exit_codes import of_run
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

__all__ = ["resolve"]


def resolve(
    session: Session,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, as 'hikeshi runs' names it.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's path, as 'hikeshi log RUN' shows it.")],
    happened: Annotated[bool, typer.Option("--happened", help="You looked: the change is there.")] = False,
    did_not_happen: Annotated[bool, typer.Option("--did-not-happen", help="You looked: it is not there.")] = False,
) -> int:
    """Record what you found out about a change of unknown outcome, and go on with its run."""
    from hikeshi.app import UnknownRun
    from hikeshi.cli.going import go
    from hikeshi.cli.run_view import show_run
    from hikeshi.report import run_report

    if happened == did_not_happen:
        raise CommandError("usage", "say one of --happened and --did-not-happen")
    if not session.app.journal_path.exists():
        raise UnknownRun(f"there is no run {run[:60]!r}; nothing ran in this project yet")
    state, changes = session.wait_for(
        go(
            session,
            lambda watchers: session.app.resolve(run, step, happened=happened, actor=session.actor, watchers=watchers),
        )
    )
    report = run_report(state)
    if session.output.as_json:
        session.output.document(report)
    else:
        show_run(session.output, state, changes)
    return of_run(report)
