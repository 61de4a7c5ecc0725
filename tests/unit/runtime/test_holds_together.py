"""The ledger of holds is the same, whether targets stand in one record together or each in a record of its own."""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.journal import JournalError, ProjectionFailed, Record
from hikeshi.journal.projection import Projections
from hikeshi.runtime.holds_projection import HoldsProjection

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BLOCK, UNBLOCK = "firewall.block_indicators", "firewall.unblock_indicators"

Happening = tuple[str, dict[str, Any]]


def opened(
    *targets: tuple[str, str], action: str = BLOCK, undo: str | None = UNBLOCK, instance: str = "fw"
) -> Happening:
    """Return holds that are opened; each target is a hold's ID and what it is on."""
    each = None if undo is None else "indicators"
    inverse = None if undo is None else {"action": undo, "arguments": {"reason": "r"}}
    holds = [
        {"hold": hold, "target": target, "label": f"{target}!", "prior": {"of": hold}, "own": each and {"is": target}}
        for hold, target in targets
    ]
    shared = {"action": action, "instance": instance, "undo": inverse, "each": each, "expires_at": None}
    return "HoldsOpened", {"opened": holds, **shared}


def settled(*fates: tuple[str | None, str, str, str | None]) -> Happening:
    """Return what became of targets; each fate is a hold's ID, its target, an outcome, and when the product ends it."""
    return "TargetsSettled", {
        "settled": [
            {
                "hold": hold,
                "target": target,
                "outcome": outcome,
                "error": None,
                "state": {"expires_at": end, "blocked": True},
            }
            for hold, target, outcome, end in fates
        ]
    }


def records_of(happenings: Sequence[Happening]) -> list[Record]:
    return [Record("r-1", seq, AT, kind, "block", data, b"") for seq, (kind, data) in enumerate(happenings, 1)]


def one_by_one(happenings: Sequence[Happening]) -> list[Happening]:
    """Return the same, each target in a record of its own."""
    return [
        (kind, {**data, name: [entry]})
        for kind, data in happenings
        for name in ("opened", "settled")
        for entry in data.get(name, ())
    ]


def ledger(happenings: Sequence[Happening]) -> list[dict[str, Any]]:
    projection = HoldsProjection()
    tx = sqlite3.connect(":memory:")
    tx.row_factory = sqlite3.Row
    tx.executescript(projection.schema)
    for record in records_of(happenings):
        Projections([projection]).apply(tx, record)
    rows = [dict(row) for row in tx.execute("SELECT * FROM holds ORDER BY hold")]
    tx.close()
    return rows


def drawn(seed: int) -> list[Happening]:
    """Holds and inverses on few targets, so that they meet on one target in one record."""
    draw = random.Random(seed)
    happenings: list[Happening] = []
    for _ in range(3):
        names = [draw.randrange(12) for _ in range(8)]  # the name of a hold says its target, as the engine's does
        inverses = [(BLOCK, UNBLOCK), (UNBLOCK, BLOCK), (BLOCK, None)]
        holds = [
            (*draw.choice(inverses), draw.choice(["fw", "fw", "other"]), f"h{name}", f"t{name % 4}") for name in names
        ]
        alike = sorted(holds, key=lambda each: str(each[:3]))
        for (action, undo, instance), group in itertools.groupby(alike, key=lambda each: each[:3]):
            happenings.append(
                opened(*((hold, target) for *_, hold, target in group), action=action, undo=undo, instance=instance)
            )
        fates = [
            (
                draw.choice([hold, hold, hold, None]),
                target,
                draw.choice(["done", "done", "already", "failed", "unknown"]),
                draw.choice([None, "2026-03-04T06:00:00Z", "no time"]),
            )
            for *_, hold, target in holds
        ]
        happenings.append(settled(*fates))
    return happenings


@pytest.mark.parametrize("seed", range(60))
def test_written_together_is_written_one_by_one(seed: int) -> None:
    """Holds on one target close each other in their order, also inside of one record."""
    happenings = drawn(seed)
    apart = one_by_one(happenings)
    assert len(apart) > len(happenings)
    rows = ledger(happenings)
    assert rows == ledger(apart)
    assert rows


def test_what_is_drawn_meets_on_one_target() -> None:
    """Else the comparison above would be of targets that have nothing to do with each other."""
    statuses = {row["status"] for seed in range(60) for row in ledger(drawn(seed))}
    assert statuses == {"opening", "active", "done", "released", "unknown", "void"}


def test_an_inverse_closes_a_hold_that_became_active_just_before_it_in_the_record() -> None:
    """What it closes was settled by the same record, not before it."""
    opening = [opened(("h1", "t")), opened(("h2", "t"), action=UNBLOCK, undo=BLOCK)]
    rows = ledger([*opening, settled(("h1", "t", "done", None), ("h2", "t", "done", None))])
    assert {row["hold"]: row["status"] for row in rows} == {"h1": "released", "h2": "done"}


def test_each_hold_of_a_record_keeps_what_its_inverse_takes_of_its_own() -> None:
    """Beside what all of them share, which stands there once for each; without an inverse there is neither."""
    rows = ledger([opened(("h1", "t1"), ("h2", "t2")), opened(("h3", "t3"), undo=None)])
    assert [row["own"] and json.loads(row["own"]) for row in rows] == [{"is": "t1"}, {"is": "t2"}, None]
    shared = {"action": UNBLOCK, "arguments": {"reason": "r"}, "each": "indicators"}
    assert [json.loads(row["undo"]) for row in rows] == [shared, shared, None]


def test_a_failure_inside_of_a_record_says_where() -> None:
    """The message names the record in which it was, though only its second target is at fault."""
    records = records_of([opened(("h1", "t")), opened(("h2", "t"), (None, "t"))])  # type: ignore[arg-type]  # on purpose
    tx = sqlite3.connect(":memory:")
    tx.executescript(HoldsProjection.schema.replace("hold TEXT PRIMARY KEY", "hold TEXT PRIMARY KEY NOT NULL"))
    projections = Projections([HoldsProjection()])
    projections.apply(tx, records[0])
    with pytest.raises(ProjectionFailed, match=r"refused a HoldsOpened[\s\S]*run r-1, record 2\b") as caught:
        projections.apply(tx, records[1])
    assert isinstance(caught.value, JournalError)
    tx.close()
