"""Limits and the breaker: what counts, under which key, and when it is too much."""

from __future__ import annotations

import itertools

import pytest

from hikeshi.guardrails import Breaker, Guardrails, Limit, Per, Population

HOUR_S = 3600


def key(limit: Limit, **changed: str) -> str:
    return limit.scope_key(**{"run": "r1", "step": "a[0].b", "playbook": "p1", "action": "edr.isolate_host", **changed})


@pytest.mark.safety(11)
@pytest.mark.parametrize(
    ("per", "shared", "apart"),
    [
        (Per.STEP, ("playbook", "action"), ("run", "step")),
        (Per.RUN, ("playbook", "action", "step"), ("run",)),
        (Per.PLAYBOOK, ("run", "action", "step"), ("playbook",)),
        (Per.ACTION, ("run", "playbook", "step"), ("action",)),
        (Per.WINDOW, ("run", "playbook", "step", "action"), ()),
    ],
)
def test_targets_are_counted_over_what_the_limit_says(
    per: Per, shared: tuple[str, ...], apart: tuple[str, ...]
) -> None:
    """A count is shared by everything but what the limit counts by."""
    limit = Limit("y:1", per, at_most=3)

    assert all(key(limit, **{name: "other"}) == key(limit) for name in shared)
    assert all(key(limit, **{name: "other"}) != key(limit) for name in apart)


@pytest.mark.safety(11)
def test_a_limit_that_is_raised_goes_on_counting() -> None:
    """The allowed number, the reason and the place in the file are no part of the key."""
    before = Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S, actions=("a.b", "c.d"), why="x")
    after = Limit("y:9", Per.WINDOW, at_most=9, within_s=HOUR_S, actions=("c.d", "a.b"), population=Population(9, 50))

    assert key(before) == key(after)
    assert len(key(before)) == 32


def test_limits_about_other_things_count_apart() -> None:
    """Two limits share a count only if they count the same."""
    limits = [
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S),
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S + 1),
        Limit("y:1", Per.PLAYBOOK, at_most=3, within_s=HOUR_S),
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S, actions=("edr.*",)),
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S, playbooks=("edr.*",)),
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S, actions=("a", "b")),
        Limit("y:1", Per.WINDOW, at_most=3, within_s=HOUR_S, actions=("a",), playbooks=("b",)),
    ]

    assert all(key(one) != key(other) for one, other in itertools.combinations(limits, 2))


def test_a_step_and_a_run_of_one_name_count_apart() -> None:
    """What is joined into a key stays apart in it."""
    limit = Limit("y:1", Per.STEP, at_most=3)

    assert key(limit, run="a", step="bc") != key(limit, run="ab", step="c")


@pytest.mark.safety(11)
def test_the_allowed_number_is_allowed_and_the_next_is_not() -> None:
    """At most three means that the fourth is asked about."""
    limit = Limit("y:1", Per.RUN, at_most=3)

    assert [limit.passed_by(count) for count in (0, 2, 3, 4, 100)] == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("at_most", "population", "most"),
    [
        (3, None, 3),
        (None, Population(400, 2), 8),
        (3, Population(400, 2), 3),
        (30, Population(400, 2), 8),
        (None, Population(149, 2), 2),
        (None, Population(150, 2), 3),
        (None, Population(1000, 0.1), 1),
        (None, Population(1000, 0.29), 2),
        (None, Population(10, 100), 10),
        (None, Population(10, 33.3), 3),
    ],
)
def test_of_a_number_and_a_share_the_smaller_one_holds(
    at_most: int | None, population: Population | None, most: int
) -> None:
    """A share is rounded down, exactly."""
    assert Limit("y:1", Per.RUN, at_most=at_most, population=population).most == most


def test_a_limit_is_about_the_actions_and_playbooks_that_it_names() -> None:
    """Patterns of actions and of playbooks both have to fit; case does not count."""
    isolate = Limit("y:1", Per.RUN, at_most=1, actions=("edr.isolate_host",))
    identity = Limit("y:2", Per.RUN, at_most=1, actions=("x.y", "Identity.*"), playbooks=("phish*",))
    every = Limit("y:3", Per.RUN, at_most=1)
    rules = Guardrails(limits=[isolate, identity, every])

    assert rules.limits_for("edr.isolate_host", "phishing") == [isolate, every]
    assert rules.limits_for("identity.disable_user", "phishing") == [identity, every]
    assert rules.limits_for("identity.disable_user", "other") == [every]
    assert rules.limits_for("edr.isolate_host2", "") == [every]


@pytest.mark.parametrize(
    ("asking", "alerts", "trips"),
    [
        (4, 4, False),
        (5, 5, True),
        (5, 24, True),
        (5, 25, False),
        (6, 29, True),
        (6, 30, False),
        (5, 0, True),
        (5, None, True),
        (4, None, False),
    ],
)
@pytest.mark.safety(11)
def test_the_breaker_trips_past_its_share_and_not_below_its_least_number(
    asking: int, alerts: int | None, trips: bool
) -> None:
    """More than 20 per cent trips it, 20 do not; alerts that could not be counted are not taken for plenty."""
    assert Breaker("y:1", 20, 5, HOUR_S).trips(asking=asking, alerts=alerts) is trips


def test_the_breaker_compares_a_broken_share_exactly() -> None:
    """A third of a per cent is no rounding matter."""
    assert not Breaker("y:1", 0.1, 1, HOUR_S).trips(asking=1, alerts=1000)
    assert Breaker("y:1", 0.1, 1, HOUR_S).trips(asking=1, alerts=999)


def test_the_breaker_watches_what_it_names() -> None:
    """Actions and sources both have to fit."""
    breaker = Breaker("y:1", 20, 5, HOUR_S, actions=("edr.*",), sources=("siem",))

    assert breaker.is_about("edr.isolate_host", "siem")
    assert not breaker.is_about("edr.isolate_host", "mail")
    assert not breaker.is_about("identity.disable_user", "siem")
    assert Breaker("y:1", 20, 5, HOUR_S).is_about("any.thing", "any")
