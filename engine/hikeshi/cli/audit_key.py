"""The key that signs the audit log, and signing it now."""

from __future__ import annotations

from typing import Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["checkpoint", "key", "rotate"]


def key(session: Session) -> int:
    """Print the public key to pin. It is made if there is none; keep the line where nobody here can change it."""

    async def read() -> str:
        return str(session.app.audit.public_key())

    public = session.wait_for(read())
    if session.output.as_json:
        session.output.document({"key": public})
    else:
        session.output.line(public)
    return ExitCode.SUCCEEDED


def rotate(
    session: Session,
    lost: Annotated[
        bool, typer.Option("--lost", help="The old key is gone: nobody vouches for the new one, it has to be pinned.")
    ] = False,
) -> int:
    """Change to a new key. The old one signs that it is meant, so whoever pinned the old key goes on believing."""
    new = str(session.wait_for(session.app.audit.change_key(actor=session.actor, lost=lost)))
    if session.output.as_json:
        session.output.document({"key": new})
    else:
        session.output.line(new)
        who = "Everybody has to pin it." if lost else "Those who pinned the old key need not do anything."
        session.output.note(f"This key signs from now on. {who}")
    return ExitCode.SUCCEEDED


def checkpoint(session: Session) -> int:
    """Sign everything that is recorded now, and send it to the anchors."""
    size, problems = session.wait_for(session.app.audit.checkpoint())
    if session.output.as_json:
        session.output.document({"signed_to": size, "not_sent": [str(each) for each in problems]})
    else:
        session.output.line(f"Signed up to record {size}.")
        for problem in problems:
            session.output.note(Styled("not sent: ", "red"), str(problem))
    return ExitCode.FAILED if problems else ExitCode.SUCCEEDED
