"""When a schedule is due. Every process computes the same times, so a time can be the ID of what happens then.

Cron names local times. Where clocks are put forward, one that does not exist is due right after the gap, and where they
are put back, one that exists twice is due the first time. A schedule of every hour names no hour, so it goes on through
both as if nothing was.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from hikeshi.playbook.model import Trigger

__all__ = ["Cron", "Every", "Times", "between", "last_until", "times_of"]

_INSTANT = timedelta(microseconds=1)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NEVER_AFTER = timedelta(days=9 * 366)  # the longest from one 29 February to the next is eight years
_LONGEST_SHIFT = timedelta(hours=3)
_WINDOWS = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 32, 366, 9 * 366))


class Times(Protocol):
    """The times of a schedule."""

    def next_after(self, at: datetime) -> datetime | None:
        """Return the first time after another one, in UTC, or None if there never is one."""


def times_of(trigger: Trigger) -> Times:
    """Return the times of a trigger that is a schedule. Raises KeyError, ValueError or OSError for an unknown zone."""
    source = trigger.source
    if "every_s" in source:
        return Every(source["every_s"])
    return Cron(source["cron"], trigger.timezone or "UTC")


def between(times: Times, after: datetime, until: datetime) -> Iterator[datetime]:
    """Give the times after one, up to another one."""
    at = times.next_after(after)
    while at is not None and at <= until:
        yield at
        at = times.next_after(at)


def last_until(times: Times, after: datetime, until: datetime) -> datetime | None:
    """Return the last time after one and up to another one, without going through all of them."""
    for window in _WINDOWS:
        begin = max(after, until - window)
        last = None
        for last in between(times, begin, until):  # noqa: B007 - the last one is what is wanted
            pass
        if last is not None or begin == after:
            return last
    return None


class Every:
    """A time every so many seconds, counted from 1970, so that all processes agree."""

    def __init__(self, every_s: float) -> None:
        self._every = timedelta(seconds=every_s)
        self._epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def next_after(self, at: datetime) -> datetime | None:
        return self._epoch + ((at - self._epoch) // self._every + 1) * self._every


class Cron:
    """The times of five fields: minute, hour, day of the month, month, day of the week, in a time zone.

    Where both days are given, either will do, as cron has it.
    """

    def __init__(self, text: str, zone: str) -> None:
        fields = text.split()
        values = [_values(field, number) for number, field in enumerate(fields)]
        self._zone = ZoneInfo(zone)
        self._names_hours = len(values[1]) < 24
        has_both_days = fields[2][0] != "*" and fields[4][0] != "*"
        kept = [(2, 4)] if not has_both_days else [(2,), (4,)]
        self._fields = [_crontab(values, days) for days in kept]
        self._known: list[Any] | None = None

    def next_after(self, at: datetime) -> datetime | None:
        return self._named_after(at) if self._names_hours else self._any_hour_after(at)

    def _named_after(self, at: datetime) -> datetime | None:
        local = self._local(at) - _LONGEST_SHIFT
        while True:
            found = self._next_local(local)
            if found is None:
                return None
            instant = self._instant(found)
            if instant > at:
                return instant
            local = found

    def _any_hour_after(self, at: datetime) -> datetime | None:
        """Go from one change of the clocks to the next: in between, local times are in their order."""
        while True:
            local = self._next_local(self._local(at))
            if local is None:
                return None
            offset = self._offset(at)
            instant = local.replace(tzinfo=UTC) - offset
            change = self._change(at, instant, offset)
            if change is None:
                return instant
            at = change - _INSTANT
            if self._matches(change):
                return change
            at = change

    def _matches(self, instant: datetime) -> bool:
        local = self._local(instant)
        return self._next_local(local - _INSTANT) == local

    def _change(self, after: datetime, until: datetime, offset: timedelta) -> datetime | None:
        """Return the first second at which clocks go otherwise than before, or None."""
        step, begin = timedelta(hours=12), after
        while begin < until:
            end = min(begin + step, until)
            if self._offset(end) != offset:
                return self._first_other(begin, end, offset)
            begin = end
        return None

    def _first_other(self, begin: datetime, end: datetime, offset: timedelta) -> datetime:
        low, high = int(begin.timestamp()), int(end.timestamp())
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(datetime.fromtimestamp(middle, UTC)) == offset:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)

    def _instant(self, local: datetime) -> datetime:
        """Return when a local time is: the first time of two, and for one that does not exist right after the gap."""
        first = local.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if self._local(first) == local:
            return first
        before = local.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        return self._first_other(before, first, self._offset(before))

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _offset(self, at: datetime) -> timedelta:
        offset = at.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset

    def _next_local(self, after: datetime) -> datetime | None:
        """Return the next local time that the fields name, as if clocks never changed."""
        begin = (after + _INSTANT).replace(tzinfo=UTC)
        found = [each.get_next_fire_time(None, begin) for each in self._crons()]
        there: list[datetime] = [each for each in found if each is not None and each - begin < _NEVER_AFTER]
        return min(there).replace(tzinfo=None) if there else None

    def _crons(self) -> list[Any]:
        if self._known is None:
            from apscheduler.triggers.cron import CronTrigger

            self._known = [CronTrigger(timezone=UTC, **fields) for fields in self._fields]
        return self._known


def _crontab(values: list[list[int]], days: tuple[int, ...]) -> dict[str, str]:
    """Return the fields as APScheduler takes them: it counts weekdays from Monday, so these get names."""
    texts = [_listed(each, _RANGES[number]) for number, each in enumerate(values)]
    weekdays = ",".join(_DAYS[day] for day in values[4])
    return {
        "minute": texts[0],
        "hour": texts[1],
        "day": texts[2] if 2 in days else "*",
        "month": texts[3],
        "day_of_week": weekdays if 4 in days and len(values[4]) < 7 else "*",
        "second": "0",
    }


def _listed(values: list[int], bounds: tuple[int, int]) -> str:
    return "*" if len(values) == bounds[1] - bounds[0] + 1 else ",".join(map(str, values))


def _values(field: str, number: int) -> list[int]:
    """Return every number that a field names; the parser has checked its form."""
    low, high = _RANGES[number]
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first)
            end = _number(last) if last else (max(begin, high) if step else begin)
        found.update(range(begin, end + 1, int(step or 1)))
    return sorted({value % 7 if number == 4 else value for value in found})


def _number(word: str) -> int:
    if word.isdigit():
        return int(word)
    name = word.lower()
    return _DAYS.index(name) if name in _DAYS else _MONTHS.index(name) + 1
