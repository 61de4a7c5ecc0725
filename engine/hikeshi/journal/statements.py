"""The SQL of the journal: named blocks from sql/, and the migrations in the order of their numbers."""

import re
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "sql"
_BLOCK: Final = re.compile(r"^-- (\w+): .*\n((?:(?!--).*\n?)+)", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Return the named blocks of sql/sqlite.sql."""
    text = (_FOLDER / "sqlite.sql").read_text(encoding="utf-8")
    return {name: sql.strip().rstrip(";") for name, sql in _BLOCK.findall(text)}


@cache
def migrations() -> tuple[str, ...]:
    """Return the scripts that lead from an empty file to the schema of this version, in order."""
    return tuple(path.read_text(encoding="utf-8") for path in sorted((_FOLDER / "migrations").glob("[0-9]*.sql")))


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Execute each statement inside the transaction that is open; sqlite3's own executescript would commit it."""
    for statement in _split(script):
        connection.execute(statement)


def _split(script: str) -> Iterator[str]:
    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement
