"""Conditions of the Kusto query language, as the simulated services understand them: names, literals, comparisons."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

__all__ = ["KqlError", "Row", "Terms", "mentions", "order_of"]

Row = Mapping[str, Any]
Value = Callable[[Row], Any]
Test = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<span>\d+[smhd]\b)|(?P<number>\d+(?:\.\d+)?)"""
    r"|(?P<name>\$?[A-Za-z_]\w*(?:~)?)|(?P<sign>==|!=|=~|!~|<=|>=|[<>=|(),]))"
)
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CONSTANTS = {"true": True, "false": False}


class KqlError(ValueError):
    """The query is none, or not one that this service understands; the message says why."""


def mentions(row: Row, sought: str) -> bool:
    """Say whether a field of the row holds the text as whole terms, in any case, as `has` and `search` do."""
    term = re.compile(rf"(?<![0-9a-z]){re.escape(sought.lower())}(?![0-9a-z])")
    return any(term.search(str(value).lower()) for value in row.values() if value is not None)


def order_of(value: Any) -> tuple[int, float, str]:
    """Return what values are ordered by: nothing first, then numbers and moments, then texts."""
    known = _moment(value)
    if known is None:
        return 0, 0.0, ""
    if isinstance(known, datetime):
        return 1, known.timestamp(), ""
    return (1, float(known), "") if isinstance(known, (int, float)) else (2, 0.0, str(known))


class Terms:
    """The tokens of a query, and what is read off them."""

    def __init__(self, query: str, now: datetime) -> None:
        self._tokens = list(_tokens(query))
        self._at = 0
        self._now = now

    @property
    def ended(self) -> bool:
        return self._at >= len(self._tokens)

    def peek(self) -> str:
        return "" if self.ended else self._tokens[self._at]

    def take(self) -> str:
        if self.ended:
            raise KqlError("Query ended unexpectedly")
        self._at += 1
        return self._tokens[self._at - 1]

    def take_if(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self._at += 1
        return True

    def expect(self, token: str) -> None:
        if (found := self.take()) != token:
            raise KqlError(f"Query could not be parsed at '{found}'; expected '{token}'")

    def name(self) -> str:
        found = self.take()
        if not re.fullmatch(r"\$?[A-Za-z_]\w*", found):
            raise KqlError(f"Query could not be parsed at '{found}'")
        return found

    def names(self) -> list[str]:
        found = [self.name()]
        while self.take_if(","):
            found.append(self.name())
        return found

    def literal(self) -> Any:
        token = self.take()
        if token[0] in "'\"":
            return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0][1]), token[1:-1])
        if re.fullmatch(r"\d+[smhd]", token):
            return timedelta(seconds=int(token[:-1]) * _SPANS[token[-1]])
        if token[0].isdigit():
            return float(token) if "." in token else int(token)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        raise KqlError(f"Query could not be parsed at '{token}'")

    def condition(self) -> Test:
        tests = [self._all()]
        while self.take_if("or"):
            tests.append(self._all())
        return lambda row: any(test(row) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self.take_if("and"):
            tests.append(self._one())
        return lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self.take_if("("):
            inner = self.condition()
            self.expect(")")
            return inner
        left = self._value()
        sign = self.take()
        if sign in ("in", "in~"):
            return self._among(left, folded=sign == "in~")
        return _comparison(left, sign, self._value())

    def _among(self, left: Value, *, folded: bool) -> Test:
        self.expect("(")
        values = [self.literal()]
        while self.take_if(","):
            values.append(self.literal())
        self.expect(")")
        wanted = {_folded(value) if folded else value for value in values}
        return lambda row: (_folded(left(row)) if folded else left(row)) in wanted

    def _value(self) -> Value:
        token = self.peek()
        if token == "ago":  # noqa: S105 - a token of the language
            self.take()
            self.expect("(")
            at = self._now - self.literal()
            self.expect(")")
            return lambda _: at
        if token[:1] in ("'", '"') or token[:1].isdigit() or token in _CONSTANTS:
            constant = self.literal()
            return lambda _: constant
        name = self.name()
        return lambda row: row.get(name)


def _comparison(left: Value, sign: str, right: Value) -> Test:
    if sign in _ORDERS:
        return lambda row: left(row) is not None and bool(_ORDERS[sign](_moment(left(row)), _moment(right(row))))
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "==": operator.eq,
        "!=": operator.ne,
        "=~": lambda a, b: bool(_folded(a) == _folded(b)),
        "!~": lambda a, b: bool(_folded(a) != _folded(b)),
        "contains": lambda a, b: str(_folded(b)) in str(_folded(a or "")),
        "startswith": lambda a, b: str(_folded(a or "")).startswith(str(_folded(b))),
        "has": lambda a, b: mentions({"": a}, str(b)),
    }
    if sign not in tests:
        raise KqlError(f"Query could not be parsed at '{sign}'")
    return lambda row: bool(tests[sign](left(row), right(row)))


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    """Return a text that is a moment as one, so that columns of moments can be compared."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _tokens(query: str) -> Iterator[str]:
    at, end = 0, len(query.rstrip())
    while at < end:
        match = _TOKEN.match(query, at)
        if match is None:
            raise KqlError(f"Query could not be parsed at '{query[at : at + 20]}' on line [1,{at}]")
        yield match.group().strip()
        at = match.end()
