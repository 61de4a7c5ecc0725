"""The clock of a simulated service that callers tell moments to: the caller's own, whatever the estate's says."""

from datetime import UTC, datetime, timedelta

from hikeshi.testing.estate import Estate

__all__ = ["ServiceClock"]


class ServiceClock:
    """An estate's time, moved so that it began at the caller's. Whole seconds apart, so that moments stay the same."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.reset()

    def reset(self) -> None:
        """Begin again: the estate has gone back to its beginning."""
        apart_s = (datetime.now(UTC) - self._estate.now()).total_seconds()
        self._ahead = timedelta(seconds=round(apart_s))

    def now(self) -> datetime:
        """Return the service's time."""
        return self._estate.now() + self._ahead

    def shown(self, at: datetime) -> str:
        """Return a moment of the estate as the service writes it."""
        return (at + self._ahead).astimezone(UTC).isoformat().replace("+00:00", "Z")

    def meant(self, at: datetime) -> datetime:
        """Return the moment of the estate that a caller means."""
        return at - self._ahead
