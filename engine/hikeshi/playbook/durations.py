"""Durations, as people write them: 15m, 8h, 1h30m, 2d, 250ms."""

from __future__ import annotations

import math
import re

UNITS_S: dict[str, int] = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
MAX_DURATION_S = 3_650 * UNITS_S["d"]
EXAMPLES = "write it as 250ms, 90s, 15m, 8h, 1h30m or 2d"

_TEXT = re.compile(
    r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?", re.ASCII
)


def parse_duration(value: object) -> int | float:
    """Return a duration in seconds, an int if it is whole.

    A number is taken as seconds. Raises ValueError for anything else that is no duration, and above ten years.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"a {type(value).__name__} is not a duration; {EXAMPLES}")
    seconds = _parse_text(value) if isinstance(value, str) else value
    if isinstance(seconds, float):
        if not math.isfinite(seconds):
            raise ValueError(f"{seconds} is not a duration; {EXAMPLES}")
        seconds = int(seconds) if seconds.is_integer() else seconds
    if seconds < 0:
        raise ValueError("a duration is not negative")
    if seconds > MAX_DURATION_S:
        raise ValueError("a duration is at most ten years (3650d)")
    return seconds


def _parse_text(text: str) -> int | float:
    trimmed = text.strip()
    found = _TEXT.fullmatch(trimmed) if 0 < len(trimmed) <= 64 else None
    if found is None:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise ValueError(f"{shown!r} is not a duration; {EXAMPLES}")
    *whole, milliseconds = found.groups()
    seconds = sum(int(count) * size for count, size in zip(whole, UNITS_S.values(), strict=True) if count)
    return (seconds * 1000 + int(milliseconds)) / 1000 if milliseconds else seconds


def format_duration(seconds: int | float) -> str:
    """Return the shortest exact text of a duration, to the millisecond. Raises ValueError as `parse_duration` does."""
    left_ms = round(parse_duration(seconds) * 1000)
    text = ""
    for unit, size in UNITS_S.items():
        if unit == "w":
            continue  # people count days: 14d, not 2w
        count, left_ms = divmod(left_ms, size * 1000)
        text += f"{count}{unit}" if count else ""
    text += f"{left_ms}ms" if left_ms else ""
    return text or "0s"
