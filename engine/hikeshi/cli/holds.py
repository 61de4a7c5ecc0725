"""What is contained now; and whether it really is, read back from the products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled
from hikeshi.documents.holds import hold_document, lifted_early, reading_document, status_of, why_of

if TYPE_CHECKING:
    from hikeshi.runtime.hold_reading import Reading
    from hikeshi.runtime.ledger import Hold

__all__ = ["holds", "verify"]

_STYLES = {
    "active": "green",
    "held": "green",
    "opening": "yellow",
    "unreadable": "yellow",
    "no_read": "yellow",
    "unknown": "red",
    "overdue": "red",
    "lifted?": "yellow",
    "release failed": "red",
    "released": "red",
    "changed": "red",
}
_MOST = 200


def holds(
    session: Session,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="How many; all with --json, else 200.")
    ] = None,
) -> int:
    """List what is contained now. What should not be any more comes first, and is marked."""
    app, output = session.app, session.output
    now = app.clock.now()
    most = limit or (-1 if output.as_json else _MOST)
    found = app.first_holds(most) if app.journal_path.exists() else []
    by = app.opened_by(found) if found else {}
    if output.as_json:
        output.document({"holds": [hold_document(hold, by.get(hold.run, {}), now) for hold in found]})
        return 0
    if not found:
        output.line("Nothing is held now.")
        return 0
    header = ["TARGET", "ACTION", "ON", "SINCE", "UNTIL", "STATUS", "BY", "PLAYBOOK", "RUN", "HOLD", "WHY"]
    output.table(header, [_row(hold, by.get(hold.run, {}), now) for hold in found])
    more = app.tally().kept - len(found)
    if more:
        output.line(
            f"and {more:,} more: --limit {len(found) + more} lists all of them, 'hikeshi undo RUN' ends those of a run"
        )
    _notes(session, found, now)
    return 0


def _notes(session: Session, found: Sequence[Hold], now: datetime) -> None:
    from hikeshi.cli.alerts import alert

    output = session.output
    alert(session, found)
    if any(status_of(hold, now) == "overdue" for hold in found):
        output.note("note: the time of some is over; 'hikeshi work' releases them")
    if any(hold.status == "unknown" for hold in found):
        output.note("note: nobody knows whether the unknown ones happened; 'hikeshi waiting' says what to do")
    if any(status_of(hold, now) == "lifted?" for hold in found):
        output.note(
            "note: products were to lift some by now: 'hikeshi holds verify' says whether they did, and"
            " 'hikeshi release HOLD' closes them"
        )


def _until(hold: Hold, now: datetime) -> str:
    from hikeshi.cli.moments import deadline

    by_product = "" if hold.lifted_at is None else f"{deadline(hold.lifted_at, now)} by {hold.connector}"
    if hold.expires_at is None:
        return by_product
    text = deadline(hold.expires_at, now)
    return f"{text}, but {by_product}" if lifted_early(hold) else text


def _row(hold: Hold, by: Mapping[str, Any], now: datetime) -> list[Piece]:
    from hikeshi.cli.moments import clock_time

    status = status_of(hold, now)
    return [
        Styled(hold.label, "bold"),
        hold.action,
        hold.connector,
        clock_time(hold.opened_at, now),
        _until(hold, now),
        Styled(status, _STYLES.get(status, "")),
        str(by.get("actor", "")),
        str(by.get("playbook", "")),
        hold.run,
        hold.hold,
        why_of(hold) or "",
    ]


# --- what the products say --------------------------------------------------------------------------------------------


def verify(
    session: Session,
    hold: Annotated[str | None, typer.Argument(metavar="[HOLD]", help="Only this one; default: all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every hold, which is the default.")] = False,
) -> int:
    """Read back from the products whether what is held is so. Changes nothing."""
    from hikeshi.app.undo_plan import UnknownHold
    from hikeshi.cli.failure import CommandError

    if hold is not None and everything:
        raise CommandError("usage", "either one hold or --all; one of them is enough")
    try:
        wanted = [session.app.hold(hold)] if hold is not None else _kept(session)
    except UnknownHold as exc:
        raise CommandError("unknown_hold", str(exc)) from exc
    over = [each for each in wanted if not each.is_kept]
    if over:
        status = over[0].status.replace("_", " ")
        raise CommandError("refused", f"hold {hold} is {status}; nothing is held by it any more", refused=True)
    readings = session.wait_for(session.app.read_holds(wanted)) if wanted else {}
    _show_readings(session, wanted, readings)
    return _code_of(wanted, readings)


def _code_of(wanted: Sequence[Hold], readings: Mapping[str, Reading]) -> ExitCode:
    """Return the exit code: what could not be read is no success, and not drift either."""
    standings = {readings[hold.hold].standing for hold in wanted if hold.status == "active"}
    if standings & {"released", "changed"}:
        return ExitCode.DRIFT
    if standings & {"unreadable", "no_read"}:
        return ExitCode.FAILED
    return ExitCode.SUCCEEDED if all(hold.status == "active" for hold in wanted) else ExitCode.UNKNOWN


def _kept(session: Session) -> list[Hold]:
    return session.app.holds() if session.app.journal_path.exists() else []


def _show_readings(session: Session, wanted: Sequence[Hold], readings: Mapping[str, Reading]) -> None:
    from hikeshi.runtime.standing import in_words

    output = session.output
    if output.as_json:
        output.document({"holds": [reading_document(hold, readings[hold.hold]) for hold in wanted]})
        return
    if not wanted:
        output.line("Nothing is held now.")
        return
    rows: list[list[Piece]] = []
    for hold in wanted:
        reading = readings[hold.hold]
        now = "could not be read" if reading.state is None else in_words(reading.state)
        standing = Styled(reading.standing, _STYLES[reading.standing])
        rows.append(
            [Styled(hold.label, "bold"), hold.action, hold.connector, standing, now, reading.why or "", hold.hold]
        )
    output.table(["TARGET", "ACTION", "ON", "STANDS", "NOW", "WHAT THAT MEANS", "HOLD"], rows)
