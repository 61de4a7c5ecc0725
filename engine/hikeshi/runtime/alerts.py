"""How many alerts a source sent, and how many of them ask for the same change: what the breaker judges."""

from __future__ import annotations

from datetime import timedelta

from hikeshi.journal import Journal
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.clock import Clock

__all__ = ["AlertCounts", "Alerts"]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of one source, as `webhook:edr`: how many there were, and how many asked for an action."""

    source: str
    asking: int
    total: int


class AlertCounts:
    """Counts the events that webhooks and polls gave. A schedule asks for the same each time, and is no alert."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def of(self, run: str, action: str, within_s: float) -> Alerts | None:
        """Return what counts when a run wants an action, or None if no alert started it. Raises JournalError.

        The alert of the run counts, however long ago it came.
        """
        found = self._journal.query(
            "SELECT event, source FROM trigger_fires WHERE run = ? AND outcome = 'started' LIMIT 1", (run,)
        )
        if not found or found[0]["source"].startswith("schedule:"):
            return None
        event, source = found[0]["event"], found[0]["source"]
        since = (self._clock.now() - timedelta(seconds=within_s)).isoformat()
        asking = self._journal.query(
            "SELECT COUNT(DISTINCT event) FROM trigger_asks WHERE source = ? AND action = ? AND (at > ? OR event = ?)",
            (source, action, since, event),
        )
        total = self._journal.query(
            "SELECT COUNT(*) FROM trigger_events WHERE source = ? AND (at > ? OR event = ?)", (source, since, event)
        )
        return Alerts(source, int(asking[0][0]), int(total[0][0]))
