"""The part of the Falcon Query Language that the simulator understands: enough to be wrong where Falcon would be.

`field:'v'` compares without regard to case, and for a host name matches everything that begins with v;
`field:['v','w']` compares exactly. `+` is and, `,` is or, `!` before a value is not.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

__all__ = ["FilterError", "parse_filter"]

Test = Callable[[Mapping[str, Any]], bool]
_TERM = re.compile(
    r"(?P<field>[a-z][a-z0-9_.]*):(?P<not>!?)(?P<op>>=|<=|>|<)?"
    r"(?:(?P<list>\[[^\]]*\])|'(?P<text>[^'\\]*)'|(?P<bare>true|false|\d+))"
)
_ITEM = re.compile(r"\s*'([^'\\]*)'\s*(?:,|$)")
_AGO = re.compile(r"now-(\d+)([dhms])")
_SIZES = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_BEGINS = frozenset({"hostname"})
_TERMS_MOST = 20


class FilterError(ValueError):
    """The filter is not one, or names a field that cannot be asked for."""


def parse_filter(text: str, fields: frozenset[str], now: datetime) -> Test:
    """Return a test of records for a filter. Raises FilterError. An empty filter accepts everything."""
    if not text:
        return lambda _: True
    alternatives: list[list[Test]] = [[]]
    at, count = 0, 0
    while True:
        match = _TERM.match(text, at)
        if match is None:
            raise FilterError(f"Invalid filter expression supplied at {at}")
        if match["field"] not in fields:
            raise FilterError(f"Invalid filter property {match['field']}")
        alternatives[-1].append(_term(match, now))
        count += 1
        if count > _TERMS_MOST:
            raise FilterError("too many properties in the filter")
        at = match.end()
        if at == len(text):
            return lambda record: any(all(test(record) for test in tests) for tests in alternatives)
        if text[at] == ",":
            alternatives.append([])
        elif text[at] != "+":
            raise FilterError(f"Invalid filter expression supplied at {at}")
        at += 1


def _term(match: re.Match[str], now: datetime) -> Test:
    field = match["field"]
    test = _positive(match, now)
    if match["not"]:
        return lambda record: not test(record.get(field))
    return lambda record: test(record.get(field))


def _positive(match: re.Match[str], now: datetime) -> Callable[[Any], bool]:
    if match["list"]:
        wanted = _items(match["list"][1:-1])
        return lambda value: value in wanted
    text = match["text"] if match["text"] is not None else match["bare"]
    if match["op"]:
        compare, limit = _COMPARE[match["op"]], _moment(text, now)
        return lambda value: value is not None and compare(datetime.fromisoformat(value), limit)
    if "*" in text:
        pattern = re.compile(".*".join(re.escape(part) for part in text.split("*")), re.IGNORECASE)
        return lambda value: bool(pattern.fullmatch(_text(value)))
    folded = text.casefold()
    if match["field"] in _BEGINS:
        return lambda value: _text(value).casefold().startswith(folded)
    return lambda value: _text(value).casefold() == folded


def _items(text: str) -> frozenset[str]:
    items, at = [], 0
    while at < len(text):
        match = _ITEM.match(text, at)
        if match is None:
            raise FilterError("Invalid list in the filter expression")
        items.append(match[1])
        at = match.end()
    return frozenset(items)


def _moment(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(seconds=int(ago[1]) * _SIZES[ago[2]])
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(f"Invalid time {text} in the filter expression") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")
