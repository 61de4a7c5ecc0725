"""The `$filter` expressions that the simulated services understand: comparisons, `and`, `or`, `not`, parentheses.

A literal is read as OData has it, quotes doubled inside; so a filter that was put together carelessly means here what
it would mean at the vendor. Source: OData 4.01 URL conventions, 5.1.1.
"""

import operator
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

__all__ = ["Filter", "FilterError", "parse_filter"]

Getter = Callable[[str], Any]
Test = Callable[[Getter], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<name>[A-Za-z_][\w/]*)|(?P<sign>[(),]))"
)
_ORDERS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_CONSTANTS = {"true": True, "false": False, "null": None}


class FilterError(ValueError):
    """The filter is no filter, or not one that this service supports; the message says why."""


class Filter:
    """A parsed filter: the properties it names, whether it is an advanced query, and its test."""

    def __init__(self, test: Test, properties: frozenset[str], negates: bool) -> None:
        self.test = test
        self.properties = properties
        self.negates = negates


def parse_filter(text: str, *, ordered: bool = False) -> Filter:
    """Return the filter that a text means; `ordered` allows `startswith` and comparisons of dates and texts.

    Raises FilterError.
    """
    return _Parser(text, ordered).parse()


class _Parser:
    def __init__(self, text: str, ordered: bool) -> None:
        self._tokens = list(_tokens(text))
        self._ordered = ordered
        self._at = 0
        self._properties: set[str] = set()
        self._negates = False

    def parse(self) -> Filter:
        test = self._any()
        if self._peek():
            raise FilterError(f"Syntax error at position {self._at} in the filter.")
        return Filter(test, frozenset(self._properties), self._negates)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise FilterError("The filter ends too early.")
        self._at += 1
        return token

    def _any(self) -> Test:
        tests = [self._all()]
        while self._peek() == "or":
            self._take()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda get: any(test(get) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._peek() == "and":
            self._take()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda get: all(test(get) for test in tests)

    def _one(self) -> Test:
        if self._peek() == "(":
            self._take()
            inner = self._any()
            if self._take() != ")":
                raise FilterError("A closing parenthesis is missing in the filter.")
            return inner
        if self._peek() == "startswith" and self._ordered:
            return self._startswith()
        if self._peek() == "not":
            self._take()
            self._negates = True
            negated = self._one()
            return lambda get: not negated(get)
        return self._comparison()

    def _startswith(self) -> Test:
        self._take()
        self._expect("(")
        whole = self._operand()
        self._expect(",")
        beginning = self._operand()
        self._expect(")")
        return lambda get: str(whole(get) or "").startswith(str(beginning(get)))

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise FilterError(f"'{token}' is missing in the filter.")

    def _comparison(self) -> Test:
        left, name, right = self._operand(), self._take(), self._operand()
        if name == "eq":
            return lambda get: left(get) == right(get)
        if name == "ne":
            self._negates = True
            return lambda get: left(get) != right(get)
        if self._ordered and name in _ORDERS:
            compare = _ORDERS[name]
            return lambda get: left(get) is not None and bool(compare(left(get), right(get)))
        raise FilterError(f"The operator '{name}' is not supported here.")

    def _operand(self) -> Callable[[Getter], Any]:
        token = self._take()
        if token.startswith("'"):
            literal = token[1:-1].replace("''", "'").casefold()
            return lambda _: literal
        if token[0].isdigit():
            at = datetime.fromisoformat(token)
            return lambda _: at
        if token in _CONSTANTS:
            constant = _CONSTANTS[token]
            return lambda _: constant
        self._properties.add(token)
        return lambda get: _folded(get(token))


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError(f"Syntax error at position {at} in the filter.")
        yield match.group().strip()
        at = match.end()
