"""The lists of one instance, in a SQLite file: several processes read and change it at once, and may be killed.

The rule: one transaction for one change, and a line whose time is over is never given out, whether or not anybody has
swept it away.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hikeshi.connector import Applied, Unavailable

__all__ = ["Entry", "Gone", "Lines", "ListStore", "Poll"]

_WAIT_S: Final = 10.0
_RETRY_S: Final = 0.005
_AT_ONCE: Final = 500  # values in one query
_POLLS_MOST: Final = 64  # addresses remembered for each list
_VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
  kind TEXT NOT NULL, line TEXT NOT NULL, reason TEXT NOT NULL,
  added_at REAL NOT NULL, added_in INTEGER NOT NULL, expires_at REAL,
  PRIMARY KEY (kind, line)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kinds (kind TEXT PRIMARY KEY, revision INTEGER NOT NULL, changed_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS polls (
  list TEXT NOT NULL, address TEXT NOT NULL, at REAL NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (list, address)
);
CREATE TABLE IF NOT EXISTS gone (
  kind TEXT NOT NULL, line TEXT NOT NULL, added_in INTEGER NOT NULL, gone_in INTEGER NOT NULL, gone_at REAL NOT NULL,
  PRIMARY KEY (kind, line)
) WITHOUT ROWID;
"""
# Whoever has an earlier state of the line may have it still, so the first listing counts.
_REMEMBER: Final = """
INSERT INTO gone SELECT kind, line, added_in, {gone_in}, {gone_at} FROM entries WHERE kind = ? AND {which}
ON CONFLICT DO UPDATE SET added_in = MIN(added_in, excluded.added_in),
  gone_in = excluded.gone_in, gone_at = excluded.gone_at
"""
_TAKEN_OFF: Final = _REMEMBER.format(gone_in="?", gone_at="?", which="line = ?")
_ENDED: Final = _REMEMBER.format(gone_in="0", gone_at="expires_at", which="expires_at <= ?")

Changes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is listed: since when, in which revision of its kind, until when. Times in seconds since 1970."""

    added_at: float
    added_in: int
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Gone:
    """A line that was listed: first in which revision, and since when and which revision it is not (0: it ended)."""

    added_in: int
    gone_in: int
    gone_at: float


@dataclass(frozen=True, slots=True)
class Lines:
    """What a list holds now, sorted; `until` is when the next line ends, None for never."""

    lines: tuple[str, ...]
    revision: int
    changed_at: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Poll:
    """When an address fetched a list last, and the revision that it got."""

    address: str
    at: float
    revision: int


class ListStore:
    """The file of one instance. It is made when it is first needed. Every method raises Unavailable if it cannot.

    With `remembers`, lines that are not listed any more are kept apart, for `gone` and `forget`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, *, remembers: bool = False) -> None:
        self._path = path
        self.clock = clock
        self._remembers = remembers

    def add(self, changes: Changes, reason: str, expires_in_s: int | None) -> None:
        """List lines, by kind. One that is listed already keeps the later of its two ends."""
        now = self.clock()
        ends = None if expires_in_s is None else now + expires_in_s
        with self._changing(changes, now) as (db, revision):
            for kind, lines in changes.items():
                db.executemany(
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET expires_at ="
                    " CASE WHEN expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL"
                    " ELSE MAX(expires_at, excluded.expires_at) END",
                    [(kind, line, reason, now, revision, ends) for line in lines],
                )

    def remove(self, changes: Changes) -> None:
        """Take lines off, by kind; those that are not listed don't matter."""
        now = self.clock()
        with self._changing(changes, now) as (db, revision):
            for kind, lines in changes.items():
                if self._remembers:
                    db.executemany(_TAKEN_OFF, [(revision, now, kind, line) for line in lines])
                db.executemany("DELETE FROM entries WHERE kind = ? AND line = ?", [(kind, line) for line in lines])

    def find(self, wanted: Changes) -> dict[tuple[str, str], Entry]:
        """Return those lines that are listed now, by kind and line."""
        found: dict[tuple[str, str], Entry] = {}
        now = self.clock()
        with self._open() as db:
            for kind, lines in wanted.items():
                for some in _parts(lines):
                    marks = ",".join("?" * len(some))
                    rows = db.execute(
                        "SELECT line, added_at, added_in, expires_at FROM entries WHERE kind = ?"  # noqa: S608 - marks
                        f" AND (expires_at IS NULL OR expires_at > ?) AND line IN ({marks})",
                        (kind, now, *some),
                    )
                    found.update({(kind, row[0]): Entry(*row[1:]) for row in rows})
        return found

    def gone(self, wanted: Changes) -> dict[tuple[str, str], Gone]:
        """Return those lines that were taken off or have ended, by kind and line, but for what was forgotten."""
        found: dict[tuple[str, str], Gone] = {}
        now = self.clock()
        with self._open() as db:
            for kind, lines in wanted.items():
                for some in _parts(lines):
                    marks = ",".join("?" * len(some))
                    rows = db.execute(
                        "SELECT line, MIN(added_in), MAX(gone_in), MAX(gone_at) FROM ("  # noqa: S608 - marks
                        "SELECT kind, line, added_in, gone_in, gone_at FROM gone UNION ALL"
                        " SELECT kind, line, added_in, 0, expires_at FROM entries WHERE expires_at <= ?)"
                        f" WHERE kind = ? AND line IN ({marks}) GROUP BY line",
                        (now, kind, *some),
                    )
                    found.update({(kind, row[0]): Gone(*row[1:]) for row in rows})
        return found

    def forget(self, kinds: Iterable[str], settled: Callable[[str, Gone], bool]) -> None:
        """Forget the lines of these kinds that are gone and settled."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            for kind in kinds:
                rows = db.execute(
                    "SELECT line, added_in, gone_in, gone_at FROM gone WHERE kind = ?", (kind,)
                ).fetchall()
                over = [(kind, row[0]) for row in rows if settled(kind, Gone(*row[1:]))]
                db.executemany("DELETE FROM gone WHERE kind = ? AND line = ?", over)
            db.execute("COMMIT")

    def read(self, kinds: Sequence[str]) -> Lines:
        """Return the lines of these kinds together."""
        now, marks = self.clock(), ",".join("?" * len(kinds))
        with self._open() as db:
            db.execute("BEGIN")  # all three queries see one state
            rows = db.execute(
                f"SELECT line, expires_at FROM entries WHERE kind IN ({marks})"  # noqa: S608 - marks
                " AND (expires_at IS NULL OR expires_at > ?) ORDER BY kind, line",
                (*kinds, now),
            ).fetchall()
            [(ended,)] = db.execute(
                f"SELECT MAX(expires_at) FROM entries WHERE kind IN ({marks}) AND expires_at <= ?",  # noqa: S608 - marks
                (*kinds, now),
            )
            revision, changed_at = self._changed(db, kinds)
        until = min((end for _, end in rows if end is not None), default=None)
        return Lines(tuple(line for line, _ in rows), revision, max(changed_at, ended or 0.0), until)

    def revision(self, kinds: Sequence[str]) -> int:
        """Return the number of the last change of these kinds."""
        with self._open() as db:
            return self._changed(db, kinds)[0]

    def count(self, kinds: Sequence[str]) -> int:
        """Return how many lines of these kinds are listed now."""
        marks = ",".join("?" * len(kinds))
        with self._open() as db:
            [(n,)] = db.execute(
                f"SELECT COUNT(*) FROM entries WHERE kind IN ({marks})"  # noqa: S608 - marks
                " AND (expires_at IS NULL OR expires_at > ?)",
                (*kinds, self.clock()),
            )
        return int(n)

    def polled(self, name: str, address: str, revision: int) -> None:
        """Remember that an address has a list in this revision."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT OR REPLACE INTO polls VALUES (?, ?, ?, ?)", (name, address, self.clock(), revision))
            db.execute(
                "DELETE FROM polls WHERE list = ? AND address NOT IN"
                " (SELECT address FROM polls WHERE list = ? ORDER BY at DESC LIMIT ?)",
                (name, name, _POLLS_MOST),
            )
            db.execute("COMMIT")

    def polls(self, names: Sequence[str]) -> list[Poll]:
        """Return who has fetched any of these lists, latest first."""
        marks = ",".join("?" * len(names))
        with self._open() as db:
            rows = db.execute(
                f"SELECT address, at, revision FROM polls WHERE list IN ({marks}) ORDER BY at DESC",  # noqa: S608 - marks
                tuple(names),
            )
            return [Poll(*row) for row in rows]

    @staticmethod
    def _changed(db: sqlite3.Connection, kinds: Sequence[str]) -> tuple[int, float]:
        marks = ",".join("?" * len(kinds))
        [(revision, changed_at)] = db.execute(
            f"SELECT MAX(revision), MAX(changed_at) FROM kinds WHERE kind IN ({marks})",  # noqa: S608 - marks
            tuple(kinds),
        )
        return revision or 0, changed_at or 0.0

    @contextmanager
    def _changing(self, kinds: Iterable[str], now: float) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Open one transaction that changes these kinds, and sweep what is over in them. Gives the new revision."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            revision = self._changed_at_all(db) + 1
            for kind in kinds:
                if self._remembers:
                    db.execute(_ENDED, (kind, now))
                db.execute("DELETE FROM entries WHERE kind = ? AND expires_at <= ?", (kind, now))
                db.execute("INSERT OR REPLACE INTO kinds VALUES (?, ?, ?)", (kind, revision, now))
            yield db, revision
            try:
                db.execute("COMMIT")
            except sqlite3.Error as exc:
                raise self._unusable(exc, Applied.MAYBE) from exc

    @staticmethod
    def _changed_at_all(db: sqlite3.Connection) -> int:
        [(revision,)] = db.execute("SELECT MAX(revision) FROM kinds")
        return revision or 0

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                    _make(db)
                yield db
        except (OSError, sqlite3.Error) as exc:
            # Closing the file undoes what was begun.
            raise self._unusable(exc, Applied.NO) from exc

    def _unusable(self, exc: Exception, applied: Applied) -> Unavailable:
        return Unavailable(f"{self._path}: {exc}; look at the folder's disk and rights", applied=applied)


def _make(db: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as exc:
            # Two processes that make the file together: SQLite does not wait here, to avoid a deadlock.
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
    db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")


def _parts(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(lines), _AT_ONCE):
        yield lines[at : at + _AT_ONCE]
