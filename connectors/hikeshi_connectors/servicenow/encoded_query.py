"""Encoded queries, ServiceNow's filters in one string.

Source: https://servicenow.github.io/sdk/guides/encoded-query-guide. The rule: a value never becomes a part of the
query. ServiceNow ignores what it does not understand of a query and then gives all rows, so what comes back is always
compared once more.
"""

from __future__ import annotations

import re
from typing import Final

from hikeshi.connector import Invalid

__all__ = ["any_equals", "equals", "is_searchable"]

_VALUE_MOST: Final = 255
_BREAKS_OUT: Final = re.compile(r"\^|[\x00-\x1f\x7f]|^\s*javascript\s*:", re.IGNORECASE)


def is_searchable(value: str) -> bool:
    """Say whether anything could have this value; an empty one would mean "is empty"."""
    return len(value.strip()) > 0 and len(value) <= _VALUE_MOST


def equals(field: str, value: str) -> str:
    """Return the condition that a field has this value. ServiceNow compares without case.

    Raises Invalid for what would end the condition ('^', which has no escape) or be run as a script ('javascript:').
    """
    if _BREAKS_OUT.search(value):
        raise Invalid(f"ServiceNow cannot search for {value[:60]!r}: it would be read as a part of the query")
    return f"{field}={value}"


def any_equals(fields: tuple[str, ...], value: str) -> str:
    """Return the condition that one of the fields has this value."""
    return "^OR".join(equals(field, value) for field in fields)
