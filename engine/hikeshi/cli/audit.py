"""Check that the journal is what was written."""

from __future__ import annotations

from typing import Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["verify"]


def verify(
    session: Session,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 7 when the journal is intact, but not anchored.")
    ] = False,
) -> int:
    """Check every record of the journal. Reads only."""
    found = session.app.verify()
    intact = found.status != "broken"
    code = (ExitCode.NOT_ANCHORED if strict else ExitCode.SUCCEEDED) if intact else ExitCode.JOURNAL
    if session.output.as_json:
        first = found.first_bad
        session.output.document(
            {
                "status": found.status,
                "records": found.records,
                "runs": found.runs,
                "first_bad": None if first is None else {"run": first.run, "seq": first.seq, "what": first.what},
                "problems": [{"run": each.run, "seq": each.seq, "what": each.what} for each in found.problems],
                "note": found.note,
            }
        )
        return code
    output = session.output
    output.line(f"{found.records} records of {found.runs} runs in {session.app.journal_path}")
    if intact:
        output.line(Styled("intact", "green"), ", but ", Styled("not anchored", "yellow"))
    else:
        output.line(Styled("BROKEN", "red"))
        for each in found.problems:
            output.line(f"  run {each.run}, record {each.seq}: ", each.what)
    for sentence in found.note.split(". "):
        output.line("  ", sentence if sentence.endswith(".") else f"{sentence}.")
    return code
