"""The ledger's lists: what somebody should look at comes first, in pages, and counted as people are told it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from hikeshi.documents.holds import status_of
from hikeshi.runtime.holds_projection import LOOKS_AFTER, HoldsProjection
from hikeshi.runtime.ledger import Hold, Ledger, Tally

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ORDER = {"overdue": 0, "release failed": 1, "lifted?": 2, "unknown": 3}
MINUTES = (None, -30, -2, -1, 0, 1, 30)


class Rows:
    """A journal of nothing but holds."""

    def __init__(self) -> None:
        self.database = sqlite3.connect(":memory:")
        self.database.row_factory = sqlite3.Row
        self.database.executescript(HoldsProjection.schema)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self.database.execute(sql, parameters).fetchall()

    def add(self, hold: str, **more: Any) -> None:
        row = {
            "hold": hold,
            "run": "r",
            "path": "p",
            "action": "a.b",
            "connector": "fw",
            "target": f"t:{hold}",
            "label": hold,
            "prior": "null",
            "undo": "null",
            "status": "active",
            "opened_at": NOW.isoformat(),
            **more,
        }
        marks = ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO holds ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def ledger(rows: Rows) -> Ledger:
    return Ledger(rows)  # type: ignore[arg-type]  # all that it asks of a journal


@pytest.fixture
def every_kind(rows: Rows) -> Rows:
    """A hold of each status, with each end, own or its product's, released in vain or not."""
    statuses = ("opening", "active", "unknown", "released", "void", "done", "passed_on")
    kinds = product(statuses, MINUTES, MINUTES, (None, "it is read-only"))
    for n, (status, ends, lifted, error) in enumerate(kinds):
        end = None if lifted is None else NOW + timedelta(minutes=lifted)
        rows.add(
            f"h{n}",
            status=status,
            expires_at=_text(ends),
            release_error=error,
            state=json.dumps({"expires_at": None if end is None else end.isoformat()}),
            look_at=None if end is None else (end + LOOKS_AFTER).isoformat(),
            opened_at=(NOW - timedelta(seconds=n % 7)).isoformat(),
        )
    return rows


def _text(minutes: int | None) -> str | None:
    return None if minutes is None else (NOW + timedelta(minutes=minutes)).isoformat()


def test_what_is_worrying_comes_first_and_then_what_ends_first(every_kind: Rows, ledger: Ledger) -> None:
    """In the very words that people are shown."""

    def urgency(hold: Hold) -> tuple[int, bool, datetime, datetime]:
        rank = ORDER.get(status_of(hold, NOW), 4)
        return rank, hold.expires_at is None, hold.expires_at or NOW, hold.opened_at

    kept = ledger.kept()
    shown = ledger.first(NOW, -1)

    assert len(kept) == 3 * len(MINUTES) ** 2 * 2
    assert {hold.hold for hold in shown} == {hold.hold for hold in kept}
    assert [urgency(hold) for hold in shown] == sorted(urgency(hold) for hold in kept)
    assert ledger.first(NOW, 7) == shown[:7]


def test_what_is_counted_is_what_is_shown(every_kind: Rows, ledger: Ledger) -> None:
    kept = ledger.kept()
    told = [status_of(hold, NOW) for hold in kept]
    assert ledger.tally(NOW) == Tally(
        kept=len(kept),
        overdue=sum(hold.is_overdue(NOW) for hold in kept),
        release_failed=sum(hold.release_error is not None for hold in kept),
        worrying=sum(ORDER.get(each, 4) < 3 for each in told),
    )


def test_pages_follow_each_other_without_a_gap(every_kind: Rows, ledger: Ledger) -> None:
    """However many were opened at the same moment."""
    paged: list[Hold] = []
    after = None
    while page := ledger.kept(after=after, limit=13):
        paged += page
        after = f"{page[-1].opened_at.isoformat()}\n{page[-1].hold}"
    assert paged == ledger.kept()


def test_what_one_run_keeps_is_in_the_order_of_its_changes(rows: Rows, ledger: Ledger) -> None:
    """Not of what chance made of their names."""
    for hold, run, status in (("z", "r", "active"), ("m", "s", "active"), ("a", "r", "unknown"), ("b", "r", "done")):
        rows.add(hold, run=run, status=status, connector=f"fw-{hold}")
    assert [hold.hold for hold in ledger.kept_of("r")] == ["z", "a"]
    assert ledger.connectors() == {"fw-z", "fw-m", "fw-a"}


def test_an_empty_ledger_has_nothing(ledger: Ledger) -> None:
    assert (ledger.first(NOW, 5), ledger.kept(), ledger.connectors()) == ([], [], set())
    assert ledger.tally(NOW) == Tally(0, 0, 0, 0)


@pytest.mark.parametrize("ask", ["kept", "tally", "connectors"])
def test_what_is_over_is_not_looked_through(every_kind: Rows, ask: str) -> None:
    """After a year nearly all holds are over: lists and counts go by an index of those that are kept."""
    asked: list[tuple[str, Sequence[Any]]] = []

    class Spy(Rows):
        def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
            asked.append((sql, parameters))
            return super().query(sql, parameters)

    spying = Ledger(Spy())  # type: ignore[arg-type]  # all that it asks of a journal
    spying.tally(NOW) if ask == "tally" else getattr(spying, ask)()
    [(sql, parameters)] = asked
    plan = [str(row["detail"]) for row in every_kind.query(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert any("holds_kept" in line for line in plan), plan
