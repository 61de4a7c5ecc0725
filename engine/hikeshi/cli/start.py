"""Starting a playbook, for real or as a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode, of_run
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hikeshi.app import Mode
    from hikeshi.cli.ending import Ending
    from hikeshi.core import RunState

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
    detach: Annotated[
        bool, typer.Option("--detach", help="Only begin it, and leave it to 'hikeshi work' to go on with it.")
    ] = False,
) -> int:
    """Run a playbook now, and stay with it until it is over."""
    if dry_run and detach:
        from hikeshi.cli.failure import CommandError

        raise CommandError("usage", "--dry-run and --detach do not go together: a dry run is never left alone")
    if dry_run:
        return _dry_run(session, playbook, inputs)
    return _detached(session, playbook, inputs) if detach else _live_run(session, playbook, inputs)


def plan(
    session: Session,
    playbook: Playbook,
    inputs: Inputs = None,
    save_to: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Save it, to be applied with 'hikeshi apply'.")
    ] = None,
    good_for: Annotated[
        str, typer.Option("--good-for", metavar="DURATION", help="How long a saved plan may be applied.")
    ] = "1h",
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Say how it differs from a plan saved before.")
    ] = None,
) -> int:
    """Show everything a playbook would do, with the exact requests. Changes nothing."""
    return _dry_run(session, playbook, inputs, save_to, good_for, against)


def _live_run(session: Session, playbook: str, inputs: list[str] | None) -> int:
    ending = _start(session, playbook, inputs, "live")
    # Only now: nothing that is shown at the end may keep the first request waiting.
    from hikeshi.cli.run_view import conclude

    return conclude(session.output, ending)


def _detached(session: Session, playbook: str, inputs: list[str] | None) -> int:
    state = _start(session, playbook, inputs, "live", detach=True).state
    from hikeshi.report import run_report

    output = session.output
    if output.as_json:
        output.document(run_report(state))
        return ExitCode.SUCCEEDED
    output.line(f"Run {state.run} of {state.program.main} is begun, and this command leaves it alone.")
    for command, what in (
        (f"hikeshi watch {state.run}", "follows it"),
        ("hikeshi work", "goes on with it, and with everything else that is due"),
        ("hikeshi work --stay", "does so for ever; one such process has to run somewhere"),
    ):
        output.line(f"  {command:{len(state.run) + 14}}  ", Styled(what, "dim"))
    return ExitCode.SUCCEEDED


def _dry_run(
    session: Session,
    playbook: str,
    inputs: list[str] | None,
    save_to: Path | None = None,
    good_for: str = "1h",
    against: Path | None = None,
) -> int:
    from hikeshi.cli import plans

    # Whatever is wrong with these is said before any product is asked.
    before = None if against is None else plans.read_plan(against)
    good_for_s = plans.seconds_of(good_for)
    saved: list[dict[str, Any]] = []

    async def finish(ending: Ending) -> None:
        if save_to is not None and of_run(plan_report(ending.state, ending.records)) is ExitCode.SUCCEEDED:
            saved.append(await plans.save(session, ending, save_to, good_for_s))

    from hikeshi.cli.plan_view import show_plan
    from hikeshi.report import plan_report

    ending = _start(session, playbook, inputs, "plan", finish=finish)
    output, report = session.output, plan_report(ending.state, ending.records)
    if not output.as_json:
        show_plan(output, report, saved=str(save_to) if saved else None)
    differences = {} if before is None else {"differences": plans.compare(session, before, report)}
    if output.as_json:
        output.document((saved[0] if saved else report) | differences)
    return of_run(report)


def _start(
    session: Session,
    playbook: str,
    inputs: list[str] | None,
    mode: Mode,
    *,
    detach: bool = False,
    finish: Callable[[Ending], Awaitable[None]] | None = None,
) -> Ending:
    from hikeshi.cli.going import go
    from hikeshi.cli.inputs import read_inputs

    given = read_inputs(inputs or [])
    _hint_at_missing_project(session)

    async def start(watchers: Any) -> RunState:
        return await session.app.start_run(
            playbook, given, actor=session.actor, mode=mode, from_text=True, watchers=watchers, detach=detach
        )

    async def whole() -> Ending:
        ending = await go(session, start, until="begun" if detach else "over")
        if finish is not None:
            await finish(ending)
        return ending

    return session.wait_for(whole())


def _hint_at_missing_project(session: Session) -> None:
    """A run from the wrong folder fails for many reasons; say the likely one beside them."""
    from hikeshi.project.config import FILE_NAME

    if not session.app.config.connectors:
        where = Path(session.folder).absolute() / FILE_NAME
        state = "configures no connector" if where.exists() else "does not exist"
        session.output.note(f"note: {where} {state}; --project names the folder of another project")
