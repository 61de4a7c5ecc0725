"""Targets of a batch are counted under a limit one after the other, in time that does not grow with its square."""

from __future__ import annotations

import random
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hikeshi.journal import Record
from hikeshi.runtime.limits import LimitPassed, LimitsProjection

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def use(
    target: str, key: str = "k", most: int = 3, within_s: int | None = 60, *, consented: bool = False
) -> dict[str, Any]:
    return {"key": key, "target": target, "rule": "limit", "most": most, "within_s": within_s, "consented": consented}


def record(uses: list[dict[str, Any]], at: datetime = AT) -> Record:
    return Record("r", 1, at, "TargetsCounted", "a", {"uses": uses}, b"")


def table() -> sqlite3.Connection:
    tx = sqlite3.connect(":memory:")
    tx.executescript(LimitsProjection.schema)
    return tx


def counted_plainly(kept: dict[tuple[str, str], datetime], each: dict[str, Any], at: datetime) -> int | None:
    """What the rule says, without any shortcut: how many others there are if that is too many, else None."""
    since = None if each["within_s"] is None else at - timedelta(seconds=each["within_s"])
    others = {
        target
        for (key, target), when in kept.items()
        if key == each["key"] and target != each["target"] and (since is None or when > since)
    }
    if len(others) + 1 > each["most"] and not each["consented"]:
        return len(others)
    place = (each["key"], each["target"])
    kept[place] = max(at, kept.get(place, at))
    return None


def _passed(tx: sqlite3.Connection, counted: Record) -> int | None:
    """Count in a transaction of its own; how many counted already if that was too many, else None."""
    tx.execute("BEGIN")
    try:
        LimitsProjection().apply(tx, counted)
    except LimitPassed as exc:
        tx.execute("ROLLBACK")
        return exc.counted
    tx.execute("COMMIT")
    return None


@pytest.mark.parametrize("seed", range(100))
def test_each_target_is_counted_as_if_it_came_alone(seed: int) -> None:
    """Repeated, consented, older and mixed targets, with a clock that is set back: as the rule says for each."""
    draw = random.Random(seed)
    tx, kept = table(), {}
    for _ in range(12):
        at = AT + timedelta(seconds=draw.randrange(-90, 200))
        uses = [
            use(f"t{draw.randrange(8)}", key, 4, within_s, consented=draw.random() < 0.2)
            for key, within_s in draw.choices([("a", 60), ("b", None), ("c", 0)], k=6)
        ]
        trial, passed = dict(kept), None
        for each in uses:
            passed = counted_plainly(trial, each, at)
            if passed is not None:
                break
        assert _passed(tx, record(uses, at)) == passed
        kept = trial if passed is None else kept
        stored = {
            (key, target): datetime.fromisoformat(at) for key, target, at in tx.execute("SELECT * FROM limit_uses")
        }
        assert stored == kept
    tx.close()


def test_a_large_batch_is_counted_in_proportion_to_its_size() -> None:
    """Ten thousand targets beside as many that count already take a second or so, not minutes."""
    tx = table()
    began = time.process_time()
    for at in range(2):
        LimitsProjection().apply(tx, record([use(f"{at}-{n}", most=20_000) for n in range(10_000)]))
    assert time.process_time() - began < 10
    with pytest.raises(LimitPassed) as caught:
        LimitsProjection().apply(tx, record([use("one more", most=20_000)]))
    assert caught.value.counted == 20_000
    tx.close()
