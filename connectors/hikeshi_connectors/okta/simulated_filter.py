"""The search and filter expressions that the simulated Okta understands: comparisons joined by `and` and `or`.

A string is read as Okta reads it, with the escapes of JSON; so an expression that was put together carelessly means
here what it would mean there. Source: https://developer.okta.com/docs/api/#filter (SCIM 2.0, RFC 7644, 3.4.2.2).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FilterError", "parse_filter"]

_TERM = re.compile(r'\s*([A-Za-z][\w.]*)\s+(?:(eq|sw)\s+("(?:[^"\\]|\\.)*")|(pr))\s*', re.IGNORECASE)
_JOIN = re.compile(r"(and|or)\s", re.IGNORECASE)
Test = Callable[[Mapping[str, Any]], bool]


class FilterError(ValueError):
    """The expression is none, or names what cannot be searched for; the message says why."""


def parse_filter(text: str, known: frozenset[str]) -> Test:
    """Return the test over the attributes of an object that a text means. `and` binds closer than `or`.

    An attribute may have several values. Raises FilterError.
    """
    alternatives: list[list[Test]] = [[]]
    at = 0
    while True:
        term = _TERM.match(text, at)
        if term is None or term[1] not in known:
            raise FilterError(f"Invalid search criteria at position {at}.")
        alternatives[-1].append(_test(term))
        at = term.end()
        if at == len(text):
            return lambda item: any(all(test(item) for test in tests) for tests in alternatives)
        join = _JOIN.match(text, at)
        if join is None:
            raise FilterError(f"Invalid search criteria at position {at}.")
        if join[1].lower() == "or":
            alternatives.append([])
        at = join.end()


def _test(term: re.Match[str]) -> Test:
    name, operator = term[1], (term[2] or term[4]).lower()
    if operator == "pr":
        return lambda item: bool(_values(item, name))
    try:
        wanted = str(json.loads(term[3])).casefold()
    except ValueError:
        raise FilterError("Invalid string in the search criteria.") from None
    if operator == "sw":
        return lambda item: any(value.startswith(wanted) for value in _values(item, name))
    return lambda item: wanted in _values(item, name)


def _values(item: Mapping[str, Any], name: str) -> list[str]:
    value = item.get(name)
    values = value if isinstance(value, list) else [value]
    return [str(each).casefold() for each in values if each is not None]
