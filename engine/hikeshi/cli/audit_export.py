"""Handing out the audit log, as one file that is verified elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["export"]


def export(
    session: Session,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The pack; it must not be there yet.")],
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="The run, as 'hikeshi runs' lists it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Export all runs.")] = False,
) -> int:
    """Write a run, or all of them, with what proves them, into one file. That you did so is recorded."""
    from hikeshi.audit.errors import PackError
    from hikeshi.cli.failure import CommandError

    if (run is None) is not everything:
        raise CommandError("usage", "name a run, or give --all")
    app, output = session.app, session.output
    if run is not None and run != "audit":
        app.check_run(run)
    elif not app.journal_path.exists():
        raise CommandError("usage", "there is nothing to export; nothing ran in this project yet")
    try:
        written, problems = session.wait_for(app.audit.export(out, run, actor=session.actor))
    except PackError as exc:
        raise CommandError("usage", str(exc)) from exc
    if output.as_json:
        output.document(
            {
                "pack": str(out),
                "run": run,
                "records": written.records,
                "size": written.size,
                "signed_to": written.signed_to,
                "not_sent": [str(each) for each in problems],
            }
        )
        return 0
    output.line(f"{written.records} of {written.size} records are in ", Styled(str(out), "bold"), ".")
    output.line(f"  signed up to record {written.signed_to}")
    output.line(f"  hikeshi audit verify {out} --key KEY --anchor FILE")
    for problem in problems:
        output.note(Styled("note: ", "yellow"), str(problem))
    return 0
