"""Starting a playbook, for real or as a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import of_run
from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.app import Mode
    from hikeshi.core import RunState
    from hikeshi.report import Change

__all__ = ["plan", "run"]

Playbook = Annotated[str, typer.Argument(metavar="ID", help="The playbook, as 'hikeshi list' names it.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--input",
        metavar="NAME=VALUE",
        help="An input; NAME=@FILE reads a file, NAME=- the standard input, NAME=@@TEXT begins with @. Repeatable.",
    ),
]


def run(
    session: Session,
    playbook: Playbook,
    inputs: Inputs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> int:
    """Run a playbook now."""
    return _dry_run(session, playbook, inputs) if dry_run else _live_run(session, playbook, inputs)


def plan(session: Session, playbook: Playbook, inputs: Inputs = None) -> int:
    """Show everything a playbook would do, with the exact requests. Changes nothing."""
    return _dry_run(session, playbook, inputs)


def _live_run(session: Session, playbook: str, inputs: list[str] | None) -> int:
    state, changes = _start(session, playbook, inputs, "live")
    # Only now: nothing that is shown at the end may keep the first request waiting.
    from hikeshi.cli.run_view import show_run
    from hikeshi.report import run_report

    report = run_report(state)
    if session.output.as_json:
        session.output.document(report)
    else:
        show_run(session.output, state, changes)
    return of_run(report)


def _dry_run(session: Session, playbook: str, inputs: list[str] | None) -> int:
    state, _ = _start(session, playbook, inputs, "plan")
    from hikeshi.cli.plan_view import show_plan
    from hikeshi.report import plan_report

    report = plan_report(state)
    if session.output.as_json:
        session.output.document(report)
    else:
        show_plan(session.output, state, report)
    return of_run(report)


def _start(session: Session, playbook: str, inputs: list[str] | None, mode: Mode) -> tuple[RunState, list[Change]]:
    from hikeshi.cli.going import go
    from hikeshi.cli.inputs import read_inputs

    given = read_inputs(inputs or [])
    _hint_at_missing_project(session)
    return session.wait_for(
        go(
            session,
            lambda watchers: session.app.start_run(
                playbook, given, actor=session.actor, mode=mode, from_text=True, watchers=watchers
            ),
        )
    )


def _hint_at_missing_project(session: Session) -> None:
    """A run from the wrong folder fails for many reasons; say the likely one beside them."""
    from hikeshi.project.config import FILE_NAME

    if not session.app.config.connectors:
        where = Path(session.folder).absolute() / FILE_NAME
        state = "configures no connector" if where.exists() else "does not exist"
        session.output.note(f"note: {where} {state}; --project names the folder of another project")
