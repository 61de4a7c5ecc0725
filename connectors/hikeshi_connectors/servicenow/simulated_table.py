"""Tables as ServiceNow's Table API shows them: encoded queries, chosen fields, display values.

Like a real instance it ignores what it does not understand of a query, and gives more rows for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Row", "matching", "shown"]

# Field -> (value, what people see).
Row = Mapping[str, tuple[str, str]]
Test = Callable[[Row], bool]


def matching(rows: Iterable[Row], query: str) -> list[Row]:
    """Return the rows that an encoded query asks for, in its order."""
    groups: list[list[Test]] = []
    order: str | None = None
    found = list(rows)
    known = set(found[0]) if found else set()
    for term in query.split("^"):
        if term.startswith("ORDERBY"):
            order = term.removeprefix("ORDERBY")
            continue
        test = _test(term.removeprefix("OR"), known)
        if test is None:
            continue
        if term.startswith("OR") and groups:
            groups[-1].append(test)
        else:
            groups.append([test])
    kept = [row for row in found if all(any(test(row) for test in group) for group in groups)]
    return sorted(kept, key=lambda row: row[order][0]) if order in known else kept


def _test(term: str, known: set[str]) -> Test | None:
    field, equal, value = term.partition("=")
    if not equal or field not in known:
        return None
    if value.startswith("javascript:"):
        return lambda row: True  # noqa: ARG005 - whatever the script gives
    return lambda row: row[field][0].casefold() == value.casefold()


def shown(row: Row, fields: str, display: str) -> dict[str, Any]:
    """Return a row as an answer has it. `display` is "true", "false" or "all"."""
    names = [name for name in fields.split(",") if name in row] if fields else list(row)
    if display == "all":
        return {name: {"value": row[name][0], "display_value": row[name][1]} for name in names}
    return {name: row[name][display == "true"] for name in names}
