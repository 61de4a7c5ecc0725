"""What is contained now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled

if TYPE_CHECKING:
    from hikeshi.runtime.ledger import Hold

__all__ = ["holds"]

_STYLES = {"active": "green", "unknown": "red", "opening": "yellow", "overdue": "red"}


def holds(session: Session) -> int:
    """List what is contained now. Which target, by what, since when, until when, by which run."""
    app, output = session.app, session.output
    found = app.holds() if app.journal_path.exists() else []
    if output.as_json:
        output.document({"holds": [_document(hold) for hold in found]})
        return 0
    if not found:
        output.line("Nothing is held now.")
        return 0
    now = app.clock.now()
    rows = [_row(hold, now) for hold in found]
    output.table(["TARGET", "ACTION", "ON", "SINCE", "UNTIL", "STATUS", "RUN"], rows)
    if any(_status(hold, now) == "overdue" for hold in found):
        output.note("note: the time of some is over; 'hikeshi work' releases them")
    if any(hold.status == "unknown" for hold in found):
        output.note("note: nobody knows whether the unknown ones happened; 'hikeshi waiting' says what to do")
    return 0


def _status(hold: Hold, now: datetime) -> str:
    is_over = hold.status == "active" and hold.expires_at is not None and hold.expires_at < now
    return "overdue" if is_over else hold.status


def _row(hold: Hold, now: datetime) -> list[Piece]:
    from hikeshi.cli.moments import clock_time, deadline

    status = _status(hold, now)
    return [
        Styled(hold.label, "bold"),
        hold.action,
        hold.connector,
        clock_time(hold.opened_at, now),
        "" if hold.expires_at is None else deadline(hold.expires_at, now),
        Styled(status, _STYLES.get(status, "")),
        hold.run,
    ]


def _document(hold: Hold) -> dict[str, Any]:
    return {
        "hold": hold.hold,
        "target": hold.target,
        "label": hold.label,
        "action": hold.action,
        "connector": hold.connector,
        "since": hold.opened_at.isoformat(),
        "until": None if hold.expires_at is None else hold.expires_at.isoformat(),
        "status": hold.status,
        "run": hold.run,
        "path": hold.path,
    }
