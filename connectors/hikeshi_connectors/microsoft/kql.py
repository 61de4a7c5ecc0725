"""Kusto queries: texts that stay texts.

Source: https://learn.microsoft.com/kusto/query/scalar-data-types/string (string literals and their escapes).
"""

from __future__ import annotations

from collections.abc import Iterable

from hikeshi.connector import Invalid

__all__ = ["ago", "among", "text"]


def text(value: str) -> str:
    """Return a text as a literal. Raises Invalid for what is not printable: a literal has no line breaks."""
    if not value.isprintable():
        raise Invalid(f"{value[:80]!r} holds characters that cannot be searched for")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def among(column: str, values: Iterable[str]) -> str:
    """Return a condition that a column has one of these values, in any case."""
    return f"{column} in~ ({', '.join(text(value) for value in values)})"


def ago(since_s: int, column: str = "Timestamp") -> str:
    """Return a condition that something happened in the last `since_s` seconds."""
    return f"{column} > ago({max(1, int(since_s))}s)"
