"""The part of PowerQuery that the simulator understands: enough to be wrong where SentinelOne would be.

A filter of comparisons, joined by `or`, `and` or nothing (which is and), with `!` and parentheses; then `group`, `sort`
and `limit`. A field that is not there matches nothing, without any error. Without a number, `limit` gives ten rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

__all__ = ["QueryError", "run_query"]

Event = Mapping[str, Any]
Test = Callable[[Event], bool]
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<sign>!=|[()=,!])|(?P<word>[\w.:@-]+))")
_COLUMN = re.compile(r"(?P<name>\w+)\s*=\s*(?P<function>max|min|any|count)\((?P<field>[\w.]*)\)")
_KEY = re.compile(r"(?P<name>\w+)\s*=\s*(?P<field>[\w.]+)")
ROWS_BY_DEFAULT = 1000


class QueryError(ValueError):
    """The query cannot be parsed."""


def run_query(query: str, events: Sequence[Event]) -> tuple[list[str], list[list[Any]], int]:
    """Return the columns, the rows, and how many events matched. Raises QueryError."""
    first, *commands = [part.strip() for part in query.split("|")]
    test = _Parser(first).parse()
    matching = [event for event in events if test(event)]
    columns, rows = sorted({name for event in matching for name in event}), []
    if not commands or not commands[0].startswith("group "):
        rows = [[event.get(name) for name in columns] for event in matching][:ROWS_BY_DEFAULT]
    for command in commands:
        verb, _, rest = command.partition(" ")
        if verb == "group":
            columns, rows = _grouped(rest, matching)
        elif verb == "sort":
            name = rest.lstrip("+-")
            if name not in columns:
                raise QueryError(f"undefined field '{name}'")
            rows.sort(key=itemgetter(columns.index(name)), reverse=rest.startswith("-"))
        elif verb == "limit":
            rows = rows[: int(rest or 10)]
        else:
            raise QueryError(f"Unable to parse the entire query at [{command}]")
    return columns, rows, len(matching)


def _grouped(text: str, events: Sequence[Event]) -> tuple[list[str], list[list[Any]]]:
    functions, _, key_text = text.partition(" by ")
    parsed = [_COLUMN.fullmatch(part.strip()) for part in functions.split(",")]
    keys = [_KEY.fullmatch(part.strip()) for part in key_text.split(",")]
    if not all(parsed) or not all(keys):
        raise QueryError("Field must be enclosed in a grouping function")
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for event in events:
        groups.setdefault(tuple(event.get(key["field"]) for key in keys if key), []).append(event)
    columns = [match["name"] for match in (*keys, *parsed) if match]
    rows = [
        [*values, *(_aggregate(match["function"], match["field"], members) for match in parsed if match)]
        for values, members in groups.items()
    ]
    return columns, rows


def _aggregate(function: str, field: str, events: Sequence[Event]) -> Any:
    if function == "count":
        return len(events)
    values = [event[field] for event in events if event.get(field) is not None]
    if not values:
        return None
    return values[0] if function == "any" else max(values) if function == "max" else min(values)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise QueryError(f"Don't understand [{text[at : at + 20]}]")
            self._tokens.append(match[0].strip())
            at = match.end()
        self._at = 0

    def parse(self) -> Test:
        test = self._any()
        if self._at != len(self._tokens):
            raise QueryError(f"Don't understand [{self._peek()}]")
        return test

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str | None = None) -> str:
        token = self._peek()
        if not token or (wanted is not None and token != wanted):
            raise QueryError(f"Don't understand [{token}]")
        self._at += 1
        return token

    def _any(self) -> Test:
        tests = [self._all()]
        while self._peek().lower() == "or":
            self._take()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda event: any(test(event) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._peek() not in ("", ")") and self._peek().lower() != "or":
            if self._peek().lower() == "and":
                self._take()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda event: all(test(event) for test in tests)

    def _one(self) -> Test:
        if self._peek() == "!":
            self._take()
            inner = self._one()
            return lambda event: not inner(event)
        if self._peek() == "(":
            self._take()
            inner = self._any()
            self._take(")")
            return inner
        return self._comparison(self._take())

    def _comparison(self, field: str) -> Test:
        if not re.fullmatch(r"[\w.]+", field):
            raise QueryError(f"Don't understand [{field}]")
        operator = self._take()
        if operator == "=":
            value = _literal(self._take())
            return lambda event: event.get(field) == value
        if operator not in ("in", "in:anycase"):
            raise QueryError(f"Don't understand [{operator}]")
        values = self._list()
        if operator == "in":
            return lambda event: event.get(field) in values
        folded = {str(value).casefold() for value in values}
        return lambda event: event.get(field) is not None and str(event[field]).casefold() in folded

    def _list(self) -> list[Any]:
        self._take("(")
        values = [_literal(self._take())]
        while self._peek() == ",":
            self._take()
            values.append(_literal(self._take()))
        self._take(")")
        return values


def _literal(written: str) -> Any:
    if written.startswith("'"):
        return written[1:-1].replace("\\'", "'").replace("\\\\", "\\")
    if written in ("true", "false"):
        return written == "true"
    if written.isdigit():
        return int(written)
    raise QueryError(f"Don't understand [{written}]")
