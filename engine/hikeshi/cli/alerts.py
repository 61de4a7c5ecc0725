"""Saying that something is still contained that should not be: its time is over, or its release has failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.runtime.ledger import Hold

__all__ = ["alert", "alerts_of"]

# Whoever works looks twice a second; what is over for longer nobody has released in time.
_IN_TIME = timedelta(seconds=60)


def alerts_of(holds: Sequence[Hold], now: datetime) -> Iterator[tuple[str, Hold, str]]:
    """Give what is wrong with holds: `hold_release_failed` or `hold_overdue`, the hold, and words for people."""
    for hold in holds:
        if hold.release_error is not None:
            text = f"{hold.label} could not be released by run {hold.release_run}: {hold.release_error}{_then(hold)}"
            yield "hold_release_failed", hold, text
        elif hold.is_overdue(now - _IN_TIME):
            assert hold.expires_at is not None
            yield "hold_overdue", hold, f"{hold.label} should have been released at {hold.expires_at.isoformat()}"


def _then(hold: Hold) -> str:
    if hold.under_release is not None:
        return "; that run is not over and may try again"
    return "" if hold.retry_at is None else f"; it is tried again at {hold.retry_at.isoformat()}"


def alert(session: Session, holds: Sequence[Hold]) -> None:
    """Write an alert for each hold that needs one: a line for people, and a warning in the logs if there are any."""
    for event, hold, text in alerts_of(holds, session.app.clock.now()):
        session.output.note(Styled("ALERT: ", "red"), text)
        if session.log_level is not None:
            import structlog

            structlog.get_logger("hikeshi.holds").warning(
                event, hold=hold.hold, target=hold.target, action=hold.action, run=hold.release_run or hold.run
            )
