"""Waiting for a time, for a read that says so, and for an event: driven, left alone, and after a restart."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.connector import Forbidden, RateLimited, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Call, Fault
from hikeshi.testing.run_harness import Outcome

TIME = "id: t\nsteps:\n  - {id: w, wait: 2h}\n  - {id: after, set: {at: now}}\n"
READ = """
id: t
steps:
  - id: w
    wait: {action: edr.find_hosts, with: {name: new}, until: "result | length > 0", every: 1m, at_most: 10m}
    on_error: continue
  - {id: after, set: {k: "errors.w.kind | default('none')"}}
"""
EVENT = """
id: t
inputs: {host: {type: string, default: pc1}}
steps:
  - {id: w, wait: {event: scan, when: "event.host == inputs.host", at_most: 1h}, on_error: continue}
  - {id: after, set: {k: "errors.w.kind | default('none')"}}
outputs: {got: "{{ steps.w | default(none) }}"}
"""


@pytest.fixture
def people() -> Conversation:
    return Conversation()


def took_s(outcome: Outcome) -> float:
    return (outcome.records[-1].at - outcome.records[0].at).total_seconds()


async def test_a_run_that_waits_is_left_until_its_time(people: Conversation) -> None:
    """It says when it wants to be gone on with; gone on with too early, it is left again."""
    waiting = await people.begin(TIME)
    assert [str(event.wake_at) for event in waiting.of(ev.RunParked)] == ["2026-03-02 11:00:00+00:00"]
    early = await people.later(3600)
    assert early.status == "waiting"
    outcome = await people.later(3600)

    assert outcome.status == "succeeded"
    assert outcome.node("after").output["at"].startswith("2026-03-02T11:00:0")


async def test_a_wait_that_is_over_long_ago_ends_at_once(people: Conversation) -> None:
    """Nobody was there in time; nothing is waited for twice."""
    await people.begin(TIME)
    outcome = await people.later(86_400)

    assert outcome.status == "succeeded"
    assert 86_400 <= took_s(outcome) < 86_402


async def test_a_driven_run_waits_by_itself(people: Conversation) -> None:
    """No more and no less than it says."""
    people.harness.park_after_s = None
    assert took_s(await people.begin(TIME)) == 7200


@pytest.mark.parametrize("looks", [1, 3])
async def test_a_wait_for_a_read_goes_on_where_it_was_after_a_restart(people: Conversation, looks: int) -> None:
    """The reads that were made are not made again, and the bound counts from its beginning."""
    await people.begin(READ)
    for _ in range(looks):
        await people.later(60)
    assert len(people.harness.world.called("find_hosts")) == looks + 1
    people.harness.world.add_host("new")
    outcome = await people.later(60)

    assert len(people.harness.world.called("find_hosts")) == looks + 2
    assert [each["name"] for each in outcome.node("w").output] == ["new"]
    assert outcome.node("after").output == {"k": "none"}


async def test_a_wait_for_a_read_ends_when_its_time_is_over(people: Conversation) -> None:
    """No look is made that would be too late to count."""
    people.harness.park_after_s = None
    outcome = await people.begin(READ)

    assert len(people.harness.world.called("find_hosts")) == 11
    assert outcome.node("after").output == {"k": "timeout"}
    assert took_s(outcome) == 600


async def test_a_read_that_passes_is_made_again_and_counts_as_not_yet(people: Conversation) -> None:
    """Rate limited, then down: looked at again, no sooner than the product asked for."""
    people.harness.park_after_s = None
    people.harness.world.add_host("new")
    people.harness.world.script("find_hosts", RateLimited("slow down", retry_after_s=150), Unavailable("down"))
    outcome = await people.begin(READ)

    assert outcome.status_of("w") is StepStatus.SUCCEEDED
    assert took_s(outcome) == 210


async def test_a_read_that_is_refused_ends_the_wait(people: Conversation) -> None:
    """Asking again would not help."""
    people.harness.world.script("find_hosts", Forbidden("no"))
    outcome = await people.begin(READ)

    assert outcome.node("after").output == {"k": "forbidden"}
    assert took_s(outcome) == 0


async def test_a_read_that_hangs_does_not_outlast_the_wait(people: Conversation) -> None:
    """Its attempt is bounded by what is left."""
    people.harness.world.script("find_hosts", Fault("hang"))
    outcome = await people.begin(READ.replace("at_most: 10m", "at_most: 1s").replace("every: 1m", "every: 1s"))

    assert outcome.node("after").output == {"k": "timeout"}


@pytest.mark.parametrize("until", ["result.nothing == 1", "result + 1 == 2"])
async def test_a_condition_that_fails_ends_the_wait(people: Conversation, until: str) -> None:
    """It would fail the next time, too."""
    outcome = await people.begin(READ.replace("result | length > 0", until))

    assert outcome.node("after").output == {"k": "expression"}


# --- events -------------------------------------------------------------------------------------------------------


async def test_a_wait_for_an_event_takes_the_first_one_that_fits(people: Conversation) -> None:
    """Others pass, also those of another name."""
    await people.begin(EVENT)
    for name, data in (("scan", {"host": "pc2"}), ("other", {"host": "pc1"}), ("scan", {"host": "pc1", "n": 1})):
        await people.harness.signal(name, data)
    await people.harness.signal("scan", {"host": "pc1", "n": 2})
    outcome = await people.later(1)

    assert outcome.outputs == {"got": {"host": "pc1", "n": 1}}
    assert len(outcome.of(ev.SignalPassed)) == 1


async def test_an_event_that_came_before_the_wait_counts_if_the_run_had_begun(people: Conversation) -> None:
    """What happened between the start and the wait is not lost; what happened before the start is not meant."""
    await people.harness.signal("scan", {"host": "pc1", "n": "before"})
    people.harness.clock.advance(1)  # type: ignore[attr-defined]  # the fake one
    await people.begin(EVENT.replace("steps:\n", "steps:\n  - {wait: 5m}\n"))
    await people.harness.signal("scan", {"host": "pc1", "n": "meanwhile"})
    outcome = await people.later(300)

    assert outcome.outputs == {"got": {"host": "pc1", "n": "meanwhile"}}


async def test_an_event_that_passed_is_not_looked_at_again_after_a_restart(people: Conversation) -> None:
    """The wait goes on after it."""
    await people.begin(EVENT)
    await people.harness.signal("scan", {"host": "pc2"})
    await people.later(60)
    outcome = await people.later(60)

    assert len(outcome.of(ev.SignalArrived)) == 1
    assert outcome.of(ev.RunParked)[-1].signals == [["scan", 1]]


async def test_an_event_in_time_counts_even_if_nobody_looked_in_time(people: Conversation) -> None:
    """The run was left alone for a day."""
    await people.begin(EVENT)
    await people.harness.signal("scan", {"host": "pc1"})
    outcome = await people.later(86_400)

    assert outcome.outputs == {"got": {"host": "pc1"}}


async def test_an_event_after_the_time_does_not_count(people: Conversation) -> None:
    """Though nobody had noticed that the time was over."""
    await people.begin(EVENT)
    people.harness.clock.advance(3601)  # type: ignore[attr-defined]  # the fake one
    await people.harness.signal("scan", {"host": "pc1"})
    outcome = await people.later(1)

    assert outcome.node("after").output == {"k": "timeout"}


async def test_no_event_in_time_fails_the_step(people: Conversation) -> None:
    """As a timeout, which may be continued."""
    people.harness.park_after_s = None
    outcome = await people.begin(EVENT)

    assert outcome.node("after").output == {"k": "timeout"}
    assert 3600 <= took_s(outcome) <= 3630


@pytest.mark.parametrize("data", [{}, {"host": 7}, {"other": "x"}])
async def test_an_event_without_what_the_condition_reads_is_no_match_or_an_error_of_the_step(
    people: Conversation, data: Mapping[str, Any]
) -> None:
    """Whatever somebody sends, the run neither hangs nor dies of it."""
    await people.begin(EVENT)
    await people.harness.signal("scan", data)
    outcome = await people.later(3600)

    assert outcome.node("after").output["k"] in ("timeout", "expression")


async def test_an_event_that_is_nested_too_deep_ends_no_run(people: Conversation) -> None:
    """There is no stored form of it, so it comes as nothing, to the step and not to the process."""
    deep: Any = "pc1"
    for _ in range(150):
        deep = {"a": deep}
    await people.begin(EVENT)
    await people.harness.signal("scan", {"host": "pc1", "deep": deep})
    outcome = await people.later(3600)

    assert outcome.status == "failed"
    assert outcome.outputs == {"got": None}


async def test_two_waits_for_the_same_event_both_get_it(people: Conversation) -> None:
    """A signal is nobody's."""
    await people.begin(
        "id: t\nsteps:\n  - parallel:\n"
        "      - {id: a, wait: {event: scan, at_most: 1h}}\n      - {id: b, wait: {event: scan, at_most: 1h}}\n"
    )
    await people.harness.signal("scan", {"n": 1})
    outcome = await people.later(1)

    assert [outcome.node(f"steps[0].{name}").output for name in "ab"] == [{"n": 1}, {"n": 1}]


async def test_a_wait_in_one_branch_does_not_hold_up_the_other(people: Conversation) -> None:
    """The run is left only when nothing goes on by itself."""
    seen: list[str] = []

    async def note(call: Call) -> None:
        seen.append(call.verb)

    people.harness.world.on_call = note
    outcome = await people.begin(
        "id: t\nsteps:\n  - parallel:\n      - {wait: 2h}\n      - {id: a, action: edr.get_host, with: {name: pc1}}\n"
    )

    assert outcome.status == "waiting"
    assert outcome.status_of("steps[0].a") is StepStatus.SUCCEEDED
    assert seen == ["find_hosts"]
