"""Giving a hold a later end."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

__all__ = ["extend"]


def extend(
    session: Session,
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="The hold, as 'hikeshi holds' names it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")],
    by: Annotated[str | None, typer.Option("--by", metavar="TIME", help="How much longer, such as 2h.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Until when, such as 2026-02-03T18:00; local time.")
    ] = None,
) -> int:
    """Let something stay contained for longer. Recorded with who said so and why; nothing is sent."""
    from hikeshi.app.undo_plan import HoldRefused, UnknownHold

    if not reason.strip():
        raise CommandError("usage", "--reason needs a text: it is what people read later")
    end, by_s = _end(by, until)
    try:
        extended = session.wait_for(session.app.extend(hold, until=end, by_s=by_s, reason=reason, actor=session.actor))
    except UnknownHold as exc:
        raise CommandError("unknown_hold", str(exc)) from exc
    except HoldRefused as exc:
        raise CommandError("refused", str(exc), refused=True) from exc
    from hikeshi.cli.moments import deadline
    from hikeshi.documents.holds import hold_document, lifted_early

    assert extended.expires_at is not None
    now = session.app.clock.now()
    if session.output.as_json:
        session.output.document(hold_document(extended, {}, now))
    session.output.line(f"Hold {extended.hold} on {extended.label} goes on until {deadline(extended.expires_at, now)}.")
    if lifted_early(extended):
        assert extended.lifted_at is not None
        at = deadline(extended.lifted_at, now)
        session.output.note(
            f"warning: {extended.connector} lifts it by itself at {at}, which this does not change; to keep it longer,"
            " release it then and run its playbook again"
        )
    return 0


def _end(by: str | None, until: str | None) -> tuple[datetime | None, float]:
    """Return the end that was asked for, or by how many seconds it moves. Raises CommandError."""
    from hikeshi.playbook.durations import parse_duration

    if (by is None) == (until is None):
        raise CommandError("usage", "either --by or --until says how long; one of them is needed")
    if until is not None:
        try:
            at = datetime.fromisoformat(until)
        except ValueError:
            raise CommandError("usage", f"--until: {until!r} is no time; write it as 2026-02-03T18:00") from None
        return at.astimezone(), 0.0
    try:
        seconds = parse_duration(by)
    except ValueError as exc:
        raise CommandError("usage", f"--by: {exc}") from None
    if seconds <= 0:
        raise CommandError("usage", f"--by: {by!r} is no longer; it needs more than nothing")
    return None, float(seconds)
