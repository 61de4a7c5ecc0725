"""Sumo Logic's query language: which queries only read, and how a value is quoted.

Source: https://www.sumologic.com/help/docs/search/search-query-language/search-operators. Of its operators only `save`
writes, into a lookup table; anything else may begin an expression, so there is no list of words that are let through.
"""

from __future__ import annotations

import re
from typing import Final

from hikeshi.connector import Invalid

__all__ = ["mention_of", "refuse_changes"]

# Inside of quotes and comments too: no reading of them may let it through.
_WRITING: Final = re.compile(r"\|.*\bsave\b", re.IGNORECASE | re.DOTALL)


def refuse_changes(query: str, where: str) -> None:
    """Raise Invalid for a query that could write."""
    if _WRITING.search(query):
        raise Invalid(f"{where}: this query is not run: 'save' after a pipe may write a lookup table")


def mention_of(value: str, scope: str) -> str:
    """Return the query for messages that mention a value. Raises Invalid for one that would mean more than itself."""
    if not value.strip() or not value.isprintable():
        raise Invalid(f"{value[:80]!r} cannot be searched for: it is empty or has control characters")
    if "*" in value or value.endswith("\\") or '\\"' in value:
        raise Invalid(f"{value[:80]!r} cannot be searched for: it has a * or a backslash before a quotation mark")
    phrase = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"({scope}) AND {phrase}" if scope else phrase
