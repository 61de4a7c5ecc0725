"""Patterns that inputs must match: regular expressions whose time is bounded.

Python's `re` backtracks. What makes it backtrack without end is refused (repeats inside repeats, choices inside
repeats, references back, look-around), and the more ways a pattern leaves to match, the shorter the text it may check.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from re import _constants, _parser  # type: ignore[attr-defined]  # re shows its parse tree nowhere else
from typing import Any

MAX_PATTERN = 512
MAX_TEXT = 4_096
MIN_TEXT = 32
OPEN_REPEAT = 16
MAX_STEPS = 50_000_000

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_HARMLESS = (
    _constants.LITERAL,
    _constants.NOT_LITERAL,
    _constants.ANY,
    _constants.IN,
    _constants.AT,
)


def check_text(pattern: str, text: str) -> None:
    """Raise ValueError unless the whole text matches, or if it is too long for the pattern to be checked."""
    compiled, limit = check_pattern(pattern)
    if len(text) > limit:
        raise ValueError(f"it has more than {limit} characters, which is too long for the pattern {pattern!r}")
    if not compiled.fullmatch(text):
        raise ValueError(f"it does not match the pattern {pattern!r}")


@functools.lru_cache(maxsize=256)
def check_pattern(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return a pattern ready for use, and how long a text it may check. Raises ValueError for what is refused."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
    try:
        tree = _parser.parse(pattern)
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    open_repeats, ways = _choices(tree, pattern, _Around())
    longest = min(MAX_TEXT, int((MAX_STEPS / ways) ** (1 / (open_repeats + 1))))
    if longest < MIN_TEXT:
        raise ValueError(f"{pattern!r} leaves too many ways to match; use fewer repeats, as [0-9]{{8}} for [0-9]+")
    return compiled, longest


@dataclass(frozen=True, slots=True)
class _Around:
    """The repeats around a part of a pattern: whether one is open, and how often the bounded ones go round."""

    is_open: bool = False
    rounds: int = 1


def _choices(tree: Any, pattern: str, around: _Around) -> tuple[int, int]:
    """Return how many open repeats a part has, and how many ways there are to match its bounded ones and choices."""
    open_repeats, ways = 0, 1
    for operation, argument in tree:
        if operation in _HARMLESS:
            continue
        inner, options = _Around(around.is_open, around.rounds), 1
        if operation in _REPEATS:
            low, high, body = argument
            is_open = high > OPEN_REPEAT
            if low != high and around.is_open:
                raise ValueError(f"{pattern!r} has a repeat inside a repeat, which can take for ever")
            if low != high and is_open:
                open_repeats += around.rounds
            options = 1 if is_open else high - low + 1
            inner = _Around(around.is_open or is_open, around.rounds * (1 if is_open else max(1, high)))
            parts = [body]
        elif operation is _constants.SUBPATTERN:
            parts = [argument[-1]]
        elif operation is _constants.BRANCH:
            if around.is_open:
                raise ValueError(f"{pattern!r} has a choice inside a repeat, which can take for ever")
            parts = argument[1]
            options = len(parts)
        else:
            raise ValueError(f"{pattern!r} uses what is not offered: references back, look-around or conditions")
        ways *= options ** min(around.rounds, 64)
        for part in parts:
            more_open, more_ways = _choices(part, pattern, inner)
            open_repeats += more_open
            ways *= more_ways
        ways = min(ways, MAX_STEPS)
    return min(open_repeats, 64), ways
