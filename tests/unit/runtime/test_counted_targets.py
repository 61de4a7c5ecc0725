"""Counting distinct targets under limits: what lets one more be changed, and what does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hikeshi.journal import Record, decode_record, encode_record
from hikeshi.runtime.limits import LimitPassed, LimitsProjection

pytestmark = pytest.mark.safety(11)

AT = datetime(2026, 2, 3, tzinfo=UTC)


class Count:
    """The table of one journal."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.tx = connection
        self.projection = LimitsProjection()
        connection.executescript(self.projection.schema)

    def use(self, *targets: str, after_s: float = 0, kind: str = "TargetsCounted", **more: Any) -> None:
        given = {"key": "k", "rule": "y:1", "most": 2, "within_s": None, "consented": False, **more}
        uses = [{**given, "target": target} for target in targets]
        self.projection.apply(self.tx, self.record(kind, uses, AT + timedelta(seconds=after_s)))

    def record(self, kind: str, uses: Any, at: datetime) -> Record:
        return decode_record(encode_record(run="r", seq=1, at=at, kind=kind, path="p", data={"uses": uses}))

    def rows(self) -> list[tuple[str, str, float]]:
        found = self.tx.execute("SELECT key, target, at FROM limit_uses ORDER BY key, target")
        return [(key, target, (datetime.fromisoformat(at) - AT).total_seconds()) for key, target, at in found]


@pytest.fixture
def count() -> Iterator[Count]:
    connection = sqlite3.connect(":memory:")
    yield Count(connection)
    connection.close()


def test_as_many_targets_as_are_allowed_count_and_no_more(count: Count) -> None:
    """The next one is asked about, with how many there were."""
    count.use("a", "b")

    with pytest.raises(LimitPassed, match="y:1: 2 distinct targets count already, and 2 are allowed") as caught:
        count.use("c")
    assert (caught.value.rule, caught.value.most, caught.value.counted) == ("y:1", 2, 2)
    assert [target for _, target, _ in count.rows()] == ["a", "b"]


def test_the_same_target_counts_once(count: Count) -> None:
    """However often it is changed."""
    for _ in range(3):
        count.use("a", "b")

    assert len(count.rows()) == 2


def test_what_people_consented_to_counts_and_is_let_through(count: Count) -> None:
    """It uses up the limit for others all the same."""
    count.use("a", "b")
    count.use("c", consented=True)

    assert [target for _, target, _ in count.rows()] == ["a", "b", "c"]
    with pytest.raises(LimitPassed) as caught:
        count.use("d")
    assert caught.value.counted == 3


def test_limits_with_other_keys_do_not_count_together(count: Count) -> None:
    """Another run's, another action's."""
    count.use("a", "b")
    count.use("c", "d", key="other")

    assert len(count.rows()) == 4


def test_a_window_forgets_what_was_before_it(count: Count) -> None:
    """And nothing that is within it: what was exactly so long ago is not within it any more."""
    count.use("a", "b", within_s=60)
    with pytest.raises(LimitPassed):
        count.use("c", within_s=60, after_s=59)

    count.use("c", "d", within_s=60, after_s=60)
    assert len(count.rows()) == 4
    with pytest.raises(LimitPassed):
        count.use("e", after_s=10_000)


def test_a_use_counts_from_its_last_time_on_even_if_a_clock_was_set_back(count: Count) -> None:
    """A later use never looks older than it is."""
    count.use("a")
    count.use("a", after_s=50)
    count.use("a", after_s=20)

    assert count.rows() == [("k", "a", 50.0)]


def test_a_limit_of_nothing_lets_nothing_through(count: Count) -> None:
    """Not one."""
    with pytest.raises(LimitPassed):
        count.use("a", most=0)


def test_other_events_count_nothing(count: Count) -> None:
    """Whatever they hold."""
    count.use("a", kind="ActionIntended")

    assert count.rows() == []
