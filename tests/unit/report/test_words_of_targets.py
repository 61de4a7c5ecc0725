"""What is said of many targets of one change: few words, and none of them wrong for any target."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord
from hikeshi.report.words import words_for

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

Outcome = Literal["done", "already", "failed", "unknown"]


def fate(target: str, outcome: Outcome, why: str | None = None) -> ev.SettledTarget:
    return ev.SettledTarget(target, outcome, None if why is None else ErrorRecord("forbidden", why))


def opened(count: int, expires_at: datetime | None = None) -> ev.HoldsOpened:
    holds = [ev.OpenedHold(f"h{at}", f"ipv4:10.0.0.{at}", f"10.0.0.{at}", None) for at in range(1, count + 1)]
    return ev.HoldsOpened("a", "firewall.block_indicators", "fw", holds, None, None, expires_at)


def test_one_target_is_told_with_its_reason() -> None:
    """As if it were the only one there can be."""
    assert words_for(ev.TargetsSettled("a", [fate("t", "failed", "not allowed")])) == ("t: failed: not allowed", "bad")


@pytest.mark.parametrize(
    ("outcome", "weight"), [("done", "good"), ("already", "detail"), ("failed", "bad"), ("unknown", "warning")]
)
def test_each_outcome_has_its_weight(outcome: Outcome, weight: str) -> None:
    """And without an error, no reason is made up."""
    assert words_for(ev.TargetsSettled("a", [fate("t", outcome)])) == (f"t: {outcome}", weight)
    both = ev.TargetsSettled("a", [fate("t", outcome), fate("u", outcome)])
    assert words_for(both) == (f"t, u: {outcome}", weight)


def test_a_reason_that_all_share_is_said_once() -> None:
    """Three targets are named, the others are counted."""
    event = ev.TargetsSettled("a", [fate(name, "unknown", "no answer") for name in "tuvwx"])
    assert words_for(event) == ("t, u, v and 2 more: unknown: no answer", "warning")


def test_different_reasons_stand_beside_their_targets() -> None:
    """Also where one of them has none: it is not given the reason of another."""
    two = ev.TargetsSettled("a", [fate("t", "failed", "no"), fate("u", "failed", "busy")])
    assert words_for(two) == ("t (no), u (busy): failed", "bad")
    some = [fate("t", "failed", "no"), fate("u", "failed"), fate("v", "failed", "busy"), fate("w", "failed", "no")]
    assert words_for(ev.TargetsSettled("a", some)) == ("t (no), u, v (busy) and 1 more: failed", "bad")


@pytest.mark.parametrize(
    ("outcomes", "words", "weight"),
    [
        (["already", "done", "unknown", "failed"], "w: failed; v: unknown; u: done; t: already", "bad"),
        (["already", "unknown", "done"], "u: unknown; v: done; t: already", "warning"),
        (["already", "done", "already"], "u: done; t, v: already", "good"),
    ],
)
def test_of_mixed_outcomes_the_worst_comes_first_and_weighs(outcomes: list[Outcome], words: str, weight: str) -> None:
    """One failure among a thousand is not told as a success, wherever in the batch it is."""
    event = ev.TargetsSettled("a", [fate(name, outcome) for name, outcome in zip("tuvw", outcomes, strict=False)])
    assert words_for(event) == (words, weight)


def test_a_reason_belongs_to_its_outcome() -> None:
    """What is done is not said to have failed for a reason of others."""
    event = ev.TargetsSettled("a", [fate("t", "done"), fate("u", "failed", "no"), fate("v", "failed", "no")])
    assert words_for(event) == ("u, v: failed: no; t: done", "bad")


def test_one_hold_is_told_with_its_name() -> None:
    """It is what somebody types who wants to release it."""
    assert words_for(opened(1)) == ("hold h1 opened on 10.0.0.1", "detail")
    until = words_for(opened(1, AT))
    assert until == ("hold h1 opened on 10.0.0.1 until 2026-03-04 05:06:07 UTC", "detail")


def test_many_holds_are_counted() -> None:
    """Three are named by their targets, and all end at the same time."""
    assert words_for(opened(5, AT)) == (
        "5 holds opened on 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more until 2026-03-04 05:06:07 UTC",
        "detail",
    )
    assert words_for(opened(3)) == ("3 holds opened on 10.0.0.1, 10.0.0.2, 10.0.0.3", "detail")
