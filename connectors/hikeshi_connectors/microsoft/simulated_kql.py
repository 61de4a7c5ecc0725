"""The part of the Kusto query language that the simulated services understand: stages after a table.

Anything else is a syntax error, as at the vendor; so is a literal that was put together carelessly.
Source: https://learn.microsoft.com/kusto/query/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi_connectors.microsoft.simulated_kql_terms import KqlError, Row, Terms, mentions, order_of

__all__ = ["KqlError", "run_query"]

Tables = Callable[[str], Sequence[Row] | None]
"""Gives the rows of a table by name, or None if there is no such table."""


def run_query(query: str, tables: Tables, now: datetime, names: Sequence[str] = ()) -> list[Row]:
    """Return the rows that a query gives. `names` are the tables that `search` goes through. Raises KqlError."""
    return _Query(query, tables, now, names).run()


class _Query:
    def __init__(self, query: str, tables: Tables, now: datetime, names: Sequence[str]) -> None:
        self._terms = Terms(query, now)
        self._tables = tables
        self._names = names

    def run(self) -> list[Row]:
        rows = self._source()
        while not self._terms.ended:
            self._terms.expect("|")
            rows = self._stage(rows)
        return rows

    def _source(self) -> list[Row]:
        first = self._terms.take()
        if first == "search":
            return self._search()
        names = [self._terms.take()] if first == "union" else [first]
        while first == "union" and self._terms.take_if(","):
            names.append(self._terms.take())
        return [row for name in names for row in self._rows_of(name)]

    def _rows_of(self, name: str) -> Sequence[Row]:
        rows = self._tables(name)
        if rows is None:
            raise KqlError(f"'where' operator: Failed to resolve table or column expression named '{name}'")
        return rows

    def _search(self) -> list[Row]:
        names: Sequence[str] = self._names
        if self._terms.take_if("in"):
            self._terms.expect("(")
            names = self._terms.names()
            self._terms.expect(")")
        sought = str(self._terms.literal())
        return [{"$table": name, **row} for name in names for row in self._rows_of(name) if mentions(row, sought)]

    def _stage(self, rows: list[Row]) -> list[Row]:
        name = self._terms.take()
        stages: Mapping[str, Callable[[list[Row]], list[Row]]] = {
            "where": self._where,
            "project": self._project,
            "distinct": self._distinct,
            "take": self._take,
            "limit": self._take,
            "sort": self._sort,
            "order": self._sort,
            "summarize": self._summarize,
            "count": lambda rows: [{"Count": len(rows)}],
        }
        if name not in stages:
            raise KqlError(f"Query could not be parsed at '{name}'")
        return stages[name](rows)

    def _where(self, rows: list[Row]) -> list[Row]:
        test = self._terms.condition()
        return [row for row in rows if test(row)]

    def _project(self, rows: list[Row]) -> list[Row]:
        names = self._terms.names()
        return [{name: row.get(name) for name in names} for row in rows]

    def _distinct(self, rows: list[Row]) -> list[Row]:
        names = self._terms.names()
        found = {tuple(row.get(name) for name in names): None for row in rows}
        return [dict(zip(names, values, strict=True)) for values in found]

    def _take(self, rows: list[Row]) -> list[Row]:
        return rows[: int(self._terms.literal())]

    def _sort(self, rows: list[Row]) -> list[Row]:
        self._terms.expect("by")
        column = self._column()
        ascending = self._terms.take_if("asc")
        if not ascending:
            self._terms.take_if("desc")
        return sorted(rows, key=lambda row: order_of(row.get(column)), reverse=not ascending)

    def _column(self) -> str:
        """Read a column to sort by: its name, or `column_ifexists` with a moment for rows that lack it."""
        name = self._terms.name()
        if name != "column_ifexists":
            return name
        self._terms.expect("(")
        column = str(self._terms.literal())
        for token in (",", "datetime", "(", "null", ")", ")"):
            self._terms.expect(token)
        return column

    def _summarize(self, rows: list[Row]) -> list[Row]:
        made = [self._aggregate()]
        while self._terms.take_if(","):
            made.append(self._aggregate())
        by = self._terms.names() if self._terms.take_if("by") else []
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row.get(name) for name in by), []).append(row)
        return [
            {**dict(zip(by, key, strict=True)), **{name: value for make in made for name, value in make(group).items()}}
            for key, group in groups.items()
        ]

    def _aggregate(self) -> Callable[[list[Row]], Row]:
        name = function = self._terms.name()
        if self._terms.take_if("="):
            function = self._terms.name()
        self._terms.expect("(")
        columns = [] if self._terms.peek() == ")" else self._terms.names()
        self._terms.expect(")")
        if function == "count" and not columns:
            return lambda rows: {name if name != "count" else "count_": len(rows)}
        if function == "max" and len(columns) == 1:
            return lambda rows: {name: max((row[columns[0]] for row in rows), key=order_of)}
        if function == "arg_max" and columns:
            return lambda rows: _latest(rows, columns)
        raise KqlError(f"Unknown function: '{function}'.")


def _latest(rows: list[Row], columns: list[str]) -> Row:
    latest = max(rows, key=lambda row: order_of(row.get(columns[0])))
    return {column: latest.get(column) for column in columns}
