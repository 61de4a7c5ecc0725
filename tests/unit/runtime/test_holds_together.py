"""The ledger of holds is the same, whether the records of an append were written together or one by one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hikeshi.journal import JournalError, ProjectionFailed, Record
from hikeshi.journal.projection import Projections
from hikeshi.runtime.holds_projection import HoldsProjection

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BLOCK, UNBLOCK = "firewall.block_indicators", "firewall.unblock_indicators"


def opened(hold: str, target: str, action: str, undo: str | None, connector: str = "fw") -> tuple[str, dict[str, Any]]:
    inverse = None if undo is None else {"action": undo, "arguments": {}}
    data = {"hold": hold, "action": action, "instance": connector, "target": target, "label": target, "prior": None}
    return "HoldOpened", {**data, "undo": inverse, "expires_at": None}


def settled(hold: str | None, target: str, outcome: str, end: str | None = None) -> tuple[str, dict[str, Any]]:
    state = {"expires_at": end, "blocked": True}
    return "TargetSettled", {"hold": hold, "target": target, "outcome": outcome, "error": None, "state": state}


def records_of(events: Sequence[tuple[str, dict[str, Any]]]) -> list[Record]:
    return [
        Record("r-1", seq, AT + timedelta(seconds=seq), kind, "block", data, b"")
        for seq, (kind, data) in enumerate(events, 1)
    ]


def ledger(records: Sequence[Record], *, together: bool) -> list[Any]:
    projection = HoldsProjection()
    with sqlite3.connect(":memory:") as tx:
        tx.executescript(projection.schema)
        if together:
            Projections([projection]).apply_all(tx, records)
        else:
            for record in records:
                projection.apply(tx, record)
        rows = tx.execute("SELECT * FROM holds ORDER BY hold").fetchall()
    tx.close()
    return rows


def drawn(seed: int) -> list[Record]:
    """Two appends' worth of holds and inverses on few targets, so that they meet on one target in one group."""
    draw = random.Random(seed)
    events = []
    for _ in range(3):
        names = [draw.randrange(12) for _ in range(8)]  # the name of a hold says its target, as the engine's does
        inverses = [(BLOCK, UNBLOCK), (UNBLOCK, BLOCK), (BLOCK, None)]
        holds = [(f"h{name}", f"t{name % 4}", *draw.choice(inverses)) for name in names]
        events += [opened(*each, connector=draw.choice(["fw", "other"])) for each in holds]
        events += [
            settled(
                draw.choice([hold, hold, hold, None]),
                target,
                draw.choice(["done", "done", "already", "failed", "unknown"]),
                draw.choice([None, "2026-03-04T06:00:00Z", "no time"]),
            )
            for hold, target, *_ in holds
        ]
    return records_of(events)


@pytest.mark.parametrize("seed", range(60))
def test_written_together_is_written_one_by_one(seed: int) -> None:
    """Holds on one target close each other in their order, also inside of one group."""
    records = drawn(seed)
    rows = ledger(records, together=True)
    assert rows == ledger(records, together=False)
    assert rows


def test_an_inverse_closes_a_hold_that_became_active_just_before_it_in_the_group() -> None:
    """What it closes was written by the same statement group, not before it."""
    events = [opened("h1", "t", BLOCK, UNBLOCK), opened("h2", "t", UNBLOCK, BLOCK)]
    records = records_of([*events, settled("h1", "t", "done"), settled("h2", "t", "done")])
    statuses = {row[0]: row[10] for row in ledger(records, together=True)}
    assert statuses == {"h1": "released", "h2": "done"}


def test_a_failure_inside_of_a_group_says_where() -> None:
    """Nothing of the append is kept, and the message names the records among which it was."""
    kind, data = opened("h1", "t", BLOCK, UNBLOCK)
    records = records_of([(kind, data), (kind, {**data, "hold": None})])
    tx = sqlite3.connect(":memory:")
    tx.executescript(HoldsProjection.schema.replace("hold TEXT PRIMARY KEY", "hold TEXT PRIMARY KEY NOT NULL"))
    with pytest.raises(ProjectionFailed, match="record 1 to 2") as caught:
        Projections([HoldsProjection()]).apply_all(tx, records)
    assert isinstance(caught.value, JournalError)
    tx.close()
