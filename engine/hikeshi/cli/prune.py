"""Retention: old runs are archived, and their bytes taken out of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.app.prunable import PrunePlan
    from hikeshi.app.retention import Pruned

__all__ = ["prune"]


def prune(
    session: Session,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="How long a run has to be over, such as 400d.")
    ],
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="FOLDER", help="Where packs of them go; default: .hikeshi/archive."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be pruned.")] = False,
) -> int:
    """Archive runs that are over for long, and take their bytes out of the journal. It goes on verifying."""
    from hikeshi.app.prunable import PruneRefused

    seconds = _seconds(older_than)
    if not session.app.journal_path.exists():
        raise CommandError("prune", f"{session.app.journal_path}: there is no journal yet; nothing ran in this project")
    try:
        plan, done = session.wait_for(_prune(session, seconds, archive, dry_run))
    except PruneRefused as exc:
        raise CommandError("prune", str(exc)) from exc
    _show(session, plan, done)
    return ExitCode.SUCCEEDED


def _seconds(text: str) -> float:
    from hikeshi.playbook.durations import parse_duration

    try:
        return float(parse_duration(text))
    except ValueError as exc:
        raise CommandError("usage", f"--older-than: {exc}") from None


async def _prune(
    session: Session, seconds: float, archive: Path | None, dry_run: bool
) -> tuple[PrunePlan, Pruned | None]:
    from hikeshi.app.prunable import plan_prune
    from hikeshi.app.retention import prune

    plan = plan_prune(session.app, seconds)
    if dry_run:
        return plan, None
    folder = archive or session.app.config.state_folder / "archive"
    return plan, await prune(session.app, plan, folder, actor=session.actor)


def _show(session: Session, plan: PrunePlan, done: Pruned | None) -> None:
    output = session.output
    if output.as_json:
        output.document(
            {
                "before": plan.before.isoformat(),
                "runs": [each.run for each in plan.runs],
                "records": plan.records,
                "stays": dict(plan.stays),
                "pruned": None
                if done is None
                else {
                    "runs": done.runs,
                    "records": done.records,
                    "pack": None if done.pack is None else str(done.pack),
                    "sha256": done.sha256,
                },
            }
        )
        return
    if done is None:
        output.line(f"{len(plan.runs)} runs with {plan.records} records would be pruned.")
        output.lines([(f"  {each.run}",) for each in plan.runs])
    else:
        output.line(f"{done.runs} runs with {done.records} records were pruned.")
        if done.pack is not None:
            output.line(f"What they did is in {done.pack} (SHA-256 {done.sha256}); keep it as long as you must.")
    for why, count in plan.stays.items():
        output.line(f"{count} that are old enough stay: {why}")
