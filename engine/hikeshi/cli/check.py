"""Check playbooks and the project without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hikeshi.app.failure import problem_of
from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["check"]


def check(
    session: Session,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATHS]...", help="Files and folders; default: the project's.")
    ] = None,
) -> int:
    """Find everything that is wrong with playbooks and hikeshi.yaml, in one pass."""
    found = session.app.check(paths or None)
    code = ExitCode.WRONG_INPUT if found.problems else ExitCode.SUCCEEDED
    if session.output.as_json:
        document = {
            "ok": not found.problems,
            "playbooks": found.playbooks,
            "problems": [problem_of(each) for each in found.problems],
        }
        session.output.document(document)
        return code
    for each in found.problems:
        described = problem_of(each)
        place = "{file}:{line}:{column}: ".format(**described) if "file" in described else ""
        session.output.line(Styled(place, "bold"), described["message"])
    checked = f"{found.playbooks} playbook{'' if found.playbooks == 1 else 's'} checked"
    if not found.problems:
        session.output.line(Styled(f"{checked}, no problems", "green"))
    else:
        wrong = f"{len(found.problems)} problem{'' if len(found.problems) == 1 else 's'}"
        session.output.line(Styled(f"{checked}, {wrong}", "red"))
    return code
