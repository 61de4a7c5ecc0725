"""Holds as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hikeshi.runtime.ledger import CLEARLY

if TYPE_CHECKING:
    from hikeshi.runtime.hold_reading import Reading
    from hikeshi.runtime.ledger import Hold

__all__ = ["hold_document", "lifted_early", "reading_document", "status_of", "why_of"]


def status_of(hold: Hold, now: datetime) -> str:
    """Return the status of a hold as people are told it."""
    if hold.is_overdue(now):
        return "overdue"
    if hold.status == "active" and hold.lifted_at is not None and hold.lifted_at + CLEARLY < now:
        return "lifted?"
    return "release failed" if hold.status == "active" and hold.release_error is not None else hold.status


def lifted_early(hold: Hold) -> bool:
    """Say whether the product itself lifts a hold clearly before its end."""
    return hold.lifted_at is not None and (hold.expires_at is None or hold.lifted_at < hold.expires_at - CLEARLY)


def why_of(hold: Hold) -> str | None:
    """Return the reason that was given to the product for it, or None."""
    reason = None if hold.undo is None else hold.undo.get("arguments", {}).get("reason")
    return reason if isinstance(reason, str) else None


def hold_document(hold: Hold, by: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a hold as plain data. `by` says who started its run: `{actor, playbook}`."""
    return {
        "hold": hold.hold,
        "target": hold.target,
        "label": hold.label,
        "action": hold.action,
        "connector": hold.connector,
        "since": hold.opened_at.isoformat(),
        "until": _iso(hold.expires_at),
        "product_until": _iso(hold.lifted_at),
        "status": hold.status,
        "overdue": hold.is_overdue(now),
        "run": hold.run,
        "path": hold.path,
        "actor": by.get("actor"),
        "playbook": by.get("playbook"),
        "why": why_of(hold),
        "release": {
            "tries": hold.release_tries,
            "run": hold.release_run,
            "error": hold.release_error,
            "retry_at": _iso(hold.retry_at),
        },
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def reading_document(hold: Hold, reading: Reading) -> dict[str, Any]:
    """Return what was read back of a hold as plain data."""
    return {
        "hold": hold.hold,
        "target": hold.target,
        "label": hold.label,
        "action": hold.action,
        "connector": hold.connector,
        "run": hold.run,
        "status": hold.status,
        "standing": reading.standing,
        "state": reading.state,
        "brought_about": hold.state,
        "why": reading.why,
    }
