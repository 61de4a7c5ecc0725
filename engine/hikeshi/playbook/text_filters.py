"""The filters that work on one text or number."""

# ruff: noqa: ARG001  every entry of the table is called alike, with the budget first
from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re

from hikeshi.playbook import indicator_text
from hikeshi.playbook.durations import format_duration, parse_duration
from hikeshi.playbook.plain_data import MAX_TEXT, Budget, EvaluationError, check_number, to_text

MAX_DIGITS = 1_300
MAX_SEARCHED_TEXT = 16 * 1024 * 1024
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)


def _checked(budget: Budget, text: str) -> str:
    budget.create_text(len(text))
    return text


def lower(budget: Budget, text: str) -> str:
    return _checked(budget, text.lower())


def upper(budget: Budget, text: str) -> str:
    return _checked(budget, text.upper())


def title(budget: Budget, text: str) -> str:
    return _checked(budget, text.title())


def trim(budget: Budget, text: str) -> str:
    return _checked(budget, text.strip())


def truncate(budget: Budget, text: str, length: int, end: str) -> str:
    if length < len(end):
        raise EvaluationError(f"`truncate` to {length} characters leaves no room for its end {end[:20]!r}")
    return _checked(budget, text if len(text) <= length else text[: length - len(end)] + end)


def replace(budget: Budget, text: str, old: str, new: str) -> str:
    if not old:
        raise EvaluationError("`replace` needs a text to replace, and got an empty one")
    budget.read_text(text)
    budget.create_text(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def split(budget: Budget, text: str, separator: str | None) -> list[str]:
    if separator == "":
        raise EvaluationError("`split` cannot cut at an empty text")
    budget.read_text(text)
    budget.create_items(text.count(separator) + 1 if separator else 0)
    parts = text.split(separator)
    budget.create_items(len(parts))
    return parts


def string(budget: Budget, value: object) -> str:
    return _checked(budget, to_text(value))


def tojson(budget: Budget, value: object) -> str:
    size = 0
    level: list[object] = [value]
    while level:  # before writing, so that nothing too large is ever made
        below: list[object] = []
        for entry in level:
            size += len(entry) if isinstance(entry, str) else 8
            if isinstance(entry, dict):
                below.extend(entry.values())
                size += sum(map(len, entry))
            elif isinstance(entry, list):
                below.extend(entry)
        budget.create_text(size)
        level = below
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"`tojson` cannot write this value: {error}") from None
    return _checked(budget, text)


def defang(budget: Budget, text: str) -> str:
    _search(budget, text)
    return _checked(budget, indicator_text.defang(text))


def refang(budget: Budget, text: str) -> str:
    _search(budget, text)
    return indicator_text.refang(text)


def iocs(budget: Budget, text: str) -> list[dict[str, str]]:
    _search(budget, text)
    found = indicator_text.find_indicators(text, budget.spend)
    budget.create_items(len(found))
    return found


def _search(budget: Budget, text: str) -> None:
    if len(text) > MAX_SEARCHED_TEXT:
        raise EvaluationError(f"the text has more than {MAX_TEXT // 1024 // 1024} MiB")
    budget.spend(len(text) // 32)


def domain_of(budget: Budget, text: str) -> str:
    try:
        return indicator_text.domain_of(text)
    except ValueError as error:
        raise EvaluationError(f"`domain_of`: {error}") from None


def sha256(budget: Budget, text: str) -> str:
    budget.read_text(text)
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise EvaluationError("`sha256`: the text has half of a surrogate pair, so it has no bytes") from None


def integer(budget: Budget, value: str | int | float) -> int:
    if isinstance(value, str):
        trimmed = value[: MAX_DIGITS + 100].strip()
        if len(trimmed) > MAX_DIGITS or not _INTEGER.fullmatch(trimmed):
            raise EvaluationError(f"`int`: {value[:40]!r} is not a whole number")
        budget.spend(len(trimmed))
        return int(check_number(int(trimmed)))
    return int(check_number(value))


def number(budget: Budget, value: str | int | float) -> float:
    if isinstance(value, str):
        trimmed = value[: MAX_DIGITS + 100].strip()
        if len(trimmed) > MAX_DIGITS or not _NUMBER.fullmatch(trimmed):
            raise EvaluationError(f"`float`: {value[:40]!r} is not a number")
        budget.spend(len(trimmed))
        return float(check_number(float(trimmed)))
    try:
        return float(check_number(float(value)))
    except OverflowError:
        raise EvaluationError("`float`: the number is too large") from None


def rounded(budget: Budget, value: int | float, digits: int) -> int | float:
    if not -300 <= digits <= 300:
        raise EvaluationError("`round` takes between -300 and 300 digits")
    check_number(value)
    return round(value) if digits == 0 else check_number(round(value, digits))


def absolute(budget: Budget, value: int | float) -> int | float:
    return check_number(abs(value))


def duration(budget: Budget, value: str | int | float) -> int | float | str:
    try:
        return parse_duration(value) if isinstance(value, str) else format_duration(value)
    except ValueError as error:
        raise EvaluationError(f"`duration`: {error}") from None


def timestamp(budget: Budget, text: str) -> int | float:
    try:
        at = dt.datetime.fromisoformat(text.strip()) if len(text) <= 64 else None
        seconds = None if at is None or at.tzinfo is None else at.timestamp()
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None or not math.isfinite(seconds):
        raise EvaluationError(
            f"`timestamp`: {text[:40]!r} is not a date and time with its zone, as 2026-01-31T08:00:00Z"
        )
    return int(seconds) if seconds.is_integer() else seconds
