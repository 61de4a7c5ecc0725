"""The clock of a simulated service that callers tell moments to: the caller's own, whatever the estate's says."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["Expiry", "ServiceClock"]

_NEVER = datetime.max.replace(tzinfo=UTC)


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


class Expiry:
    """Which records of a list are over; looks at all of them only when one can be, so that long lists stay quick."""

    def __init__(self, clock: ServiceClock, end_of: Callable[[Mapping[str, Any]], str | None]) -> None:
        self._clock = clock
        self._end_of = end_of
        self._soonest: datetime | None = None

    def forget(self) -> None:
        """Look at all records next time: they may be others."""
        self._soonest = None

    def note(self, record: Mapping[str, Any]) -> None:
        """Take account of a record that was added."""
        if self._soonest is not None:
            self._soonest = min(self._soonest, self._end(record))

    def over(self, records: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the keys of the records whose time has come."""
        now = self._clock.now()
        if self._soonest is not None and now < self._soonest:
            return []
        ends = {key: self._end(record) for key, record in records.items()}
        self._soonest = min((end for end in ends.values() if end > now), default=_NEVER)
        return [key for key, end in ends.items() if end <= now]

    def _end(self, record: Mapping[str, Any]) -> datetime:
        text = self._end_of(record)
        return datetime.fromisoformat(text) if text else _NEVER
