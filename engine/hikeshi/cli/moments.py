"""Times as people read them: of this place, with how long it is from now. Programs get UTC."""

from __future__ import annotations

from datetime import datetime

__all__ = ["clock_time", "deadline", "duration"]


def duration(seconds: float) -> str:
    """Return a time span in its two largest units, such as `14 min 3 s`."""
    if seconds < 60:
        return f"{seconds} s" if isinstance(seconds, int) else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def clock_time(at: datetime, now: datetime) -> str:
    """Return a time of the clock on the wall here, with the date unless that is today's. Both times are aware."""
    here, today = at.astimezone(), now.astimezone().date()
    day = "" if here.date() == today else f"{here:%Y-%m-%d} "
    return f"{day}{here:%H:%M:%S} {here:%Z}"


def deadline(at: datetime, now: datetime) -> str:
    """Return when something ends and how long that is from now."""
    left_s = (at - now).total_seconds()
    how_long = f"in {duration(int(left_s))}" if left_s >= 0 else f"over for {duration(int(-left_s))}"
    return f"{clock_time(at, now)} ({how_long})"
