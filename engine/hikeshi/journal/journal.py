"""What the rest of the program sees of a journal, whatever it is kept in."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from hikeshi.journal.record import Record


class Journal(Protocol):
    """An append-only log. What each method promises is written at SqliteJournal, and tested for every kind."""

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes]) -> None: ...
    def read(self, run: str, *, after: int = 0) -> Iterator[Record]: ...
    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]: ...
    def close(self) -> None: ...
