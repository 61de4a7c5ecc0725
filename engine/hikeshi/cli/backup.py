"""Backing the journal up while it is used, and putting a backup back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.app.backup import Backup, Restored

__all__ = ["backup", "restore"]

_SHOWN = 10


def backup(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist.")],
) -> int:
    """Copy the journal into FILE, as it is at one moment, and check every record of the copy. Work may go on."""
    from hikeshi.app.backup import BackupRefused, back_up

    async def copy() -> Backup:
        return await asyncio.to_thread(back_up, session.app, file)

    try:
        made = session.wait_for(copy())
    except BackupRefused as exc:
        raise CommandError("backup", str(exc)) from exc
    bad = made.checked.first_bad
    if session.output.as_json:
        session.output.document(
            {
                "file": str(file),
                "size_bytes": made.size_bytes,
                "records": made.head.records,
                "runs": made.head.runs,
                "signed_to": made.head.signed_to,
                "intact": bad is None,
                "first_bad": None if bad is None else {"run": bad.run, "seq": bad.seq, "what": bad.what},
            }
        )
    else:
        output, head = session.output, made.head
        output.line(f"{file}: {head.records} records of {head.runs} runs, signed up to record {head.signed_to}")
        if bad is None:
            output.line(Styled("every record was read back and is intact", "green"), "; the signing key is not in it")
        else:
            output.line(Styled("NOT INTACT", "red"), f": run {bad.run}, record {bad.seq} {bad.what}")
            output.line("The copy is what the journal is. Keep both as they are; see: hikeshi audit verify")
    return ExitCode.SUCCEEDED if bad is None else ExitCode.JOURNAL


def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, as 'hikeshi backup' writes it.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Set a newer journal aside, under a name with the time.")
    ] = False,
) -> int:
    """Put a backup in the place of the journal. Only while nobody works on the project."""
    from hikeshi.app.backup import BackupRefused
    from hikeshi.app.backup import restore as put_back

    try:
        done = session.wait_for(put_back(session.app, file, replace=replace, actor=session.actor))
    except BackupRefused as exc:
        raise CommandError("restore", str(exc)) from exc
    if session.output.as_json:
        session.output.document(
            {
                "records": done.head.records,
                "signed_to": done.head.signed_to,
                "aside": None if done.aside is None else str(done.aside),
                "older_than": dict(done.older_than),
                "lost": dict(done.lost),
            }
        )
    else:
        _show(session, done)
    return ExitCode.SUCCEEDED


def _show(session: Session, done: Restored) -> None:
    output = session.output
    output.line(f"The journal has {done.head.records} records of {done.head.runs} runs now.")
    if done.aside is not None:
        output.line(f"The one that was there is kept as {done.aside}")
    for anchor, size in done.older_than.items():
        text = f": it knows of {size} records, so 'hikeshi audit verify' says broken from now on"
        output.line(Styled("older than the anchor ", "yellow"), anchor, text)
    for run, changes in list(done.lost.items())[:_SHOWN]:
        made = f", {changes} changes among them" if changes else ""
        output.line(Styled("lost ", "yellow"), f"what happened since in {run}{made}")
    if len(done.lost) > _SHOWN:
        output.line(f"  and in {len(done.lost) - _SHOWN} more")
    output.line("What was changed after the backup was made is unknown to this journal: look in the products")
    output.line("before anybody works here. Stop all changes meanwhile: hikeshi stop everything")
