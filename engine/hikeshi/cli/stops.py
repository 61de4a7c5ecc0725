"""The kill switch: engaging it, saying what is engaged, releasing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.stops import stop_document

if TYPE_CHECKING:
    from hikeshi.runtime.stops import EngagedStop

__all__ = ["release_stop", "stop", "stops"]

What = Annotated[
    str,
    typer.Argument(metavar="[WHAT]", help="everything, connector:NAME, action:PATTERN or playbook:ID."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record and for who comes next.")]


def stop(session: Session, what: What = "everything", reason: Reason = "") -> int:
    """Let no change start any more, in any run, until this is released. Reads, releases and undo go on."""
    from hikeshi.guardrails import Stop

    try:
        wanted = Stop.parse(what, by=session.actor, why=reason)
    except ValueError as exc:
        raise CommandError("usage", str(exc)) from None

    async def engage() -> list[EngagedStop]:
        await session.app.stop(wanted)
        return session.app.kill_switch.engaged()

    engaged = session.wait_for(engage())
    if session.output.as_json:
        session.output.document({"engaged": [stop_document(each) for each in engaged]})
        return ExitCode.SUCCEEDED
    session.output.line(Styled(f"Stopped: {wanted.text}.", "red"), " No change of this starts any more.")
    session.output.line("What was sent already is not called back. Reads, releases and undo go on.")
    session.output.line(f"To let it go on: hikeshi release-stop {wanted.text}")
    return ExitCode.SUCCEEDED


def release_stop(session: Session, what: What = "everything", reason: Reason = "") -> int:
    """Say that a kill switch may be released. It is when as many people say so as the project asks for."""

    async def release() -> EngagedStop | None:
        return await session.app.release_stop(what, by=session.actor, why=reason)

    left = session.wait_for(release())
    if session.output.as_json:
        session.output.document({"stop": what, "released": left is None, "engaged": left and stop_document(left)})
        return ExitCode.SUCCEEDED if left is None else ExitCode.WAITING
    if left is None:
        session.output.line(Styled(f"Released: {what}.", "green"), " Changes start again.")
        session.output.line("Runs whose changes were refused are not done again by themselves: hikeshi retry RUN")
        return ExitCode.SUCCEEDED
    missing = left.people - len(left.released_by)
    rest = "1 more person has to" if missing == 1 else f"{missing} more people have to"
    said = f" {', '.join(left.released_by)} would release it; {rest}."
    session.output.line(Styled(f"Still stopped: {what}.", "yellow"), said)
    return ExitCode.WAITING


def stops(session: Session) -> int:
    """List the kill switches that are engaged."""
    engaged = session.app.kill_switch.engaged()
    if session.output.as_json:
        session.output.document({"engaged": [stop_document(each) for each in engaged]})
        return ExitCode.SUCCEEDED
    if not engaged:
        session.output.line("No kill switch is engaged.")
    for each in engaged:
        why = f": {each.why}" if each.why else ""
        session.output.line(
            Styled(each.stop, "red"),
            f"  since {each.at:%Y-%m-%d %H:%M:%S} UTC by {each.by}{why}; "
            f"{len(each.released_by)} of {each.people} would release it",
        )
    return ExitCode.SUCCEEDED
