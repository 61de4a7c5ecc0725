"""Undoing many changes: the product is asked once, and each hold has its own attempt, records and outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Firewall, Indicator, build_spec
from hikeshi.connector.door import Door, current_door
from hikeshi.connector.errors import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    PartialFailure,
    Timeout,
    Unavailable,
)
from hikeshi.connector.registry import build
from hikeshi.core import events as ev
from hikeshi.runtime.together import Together
from hikeshi.secrets import Redactor
from hikeshi.testing.fake_connector import Call, FakeWorld, Fault, fake_connector
from hikeshi.testing.run_harness import Outcome, RunHarness

TEXT = """
id: t
inputs: {found: {type: list, items: indicator, max_length: 5000}}
steps:
  - {action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
  - {id: free, release: inputs.found}
"""


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def harness(world: FakeWorld) -> RunHarness:
    made = RunHarness()
    made.world = world
    return made


async def released(harness: RunHarness, many: int) -> Outcome:
    """Block so many addresses in one step, and release them in the next."""
    return await harness.run(TEXT, inputs={"found": [f"203.0.{n // 250}.{n % 250}" for n in range(many)]})


def sizes(calls: Sequence[Call], name: str = "indicators") -> list[int]:
    return [len(call.arguments[name]) for call in calls]


@pytest.mark.safety(20)
async def test_what_is_released_together_is_sent_together(harness: RunHarness) -> None:
    """Five hundred in a call; each hold is closed by its own record."""
    outcome = await released(harness, 1200)

    assert outcome.status == "succeeded"
    assert sizes(harness.world.sent("unblock_indicators")) == [500, 500, 200]
    assert sizes(harness.world.called("blocks_of"))[:5] == [1200, 1200, 500, 500, 200]
    assert harness.world.blocked == set()
    assert set(harness.holds().values()) == {"released"}
    assert len({event.hold for event in outcome.of(ev.HoldReleased)}) == 1200
    intended = [event for event in outcome.of(ev.ActionIntended) if event.action == "firewall.unblock_indicators"]
    assert [len(event.targets) for event in intended] == [1] * 1200


async def test_one_that_the_product_does_not_take_keeps_no_other_contained(harness: RunHarness) -> None:
    """A call that is refused as a whole is halved until the one is alone."""
    stubborn = "203.0.0.7"

    async def refuse(call: Call) -> None:
        if call.verb == "unblock_indicators" and any(each.value == stubborn for each in call.arguments["indicators"]):
            raise Forbidden("this entry is read-only")

    harness.world.on_call = refuse
    outcome = await released(harness, 100)

    assert outcome.status == "failed"
    assert {label for label, status in harness.holds().items() if status != "released"} == {stubborn}
    assert {value for _, value in harness.world.blocked} == {stubborn}
    assert len(harness.world.sent("unblock_indicators")) < 20


async def test_what_the_product_names_in_a_partial_failure_is_all_that_fails(harness: RunHarness) -> None:
    """The others were accepted, and are not sent again."""
    refused = PartialFailure({"203.0.0.3": Conflict("in use")})
    harness.world.script("unblock_indicators", Fault("lost", refused))
    outcome = await released(harness, 5)

    assert outcome.status == "failed"
    assert {label for label, status in harness.holds().items() if status != "released"} == {"203.0.0.3"}
    assert sizes(harness.world.sent("unblock_indicators")) == [5]


@pytest.mark.safety(7)
async def test_an_answer_that_is_lost_makes_all_of_them_unknown_until_they_are_read(harness: RunHarness) -> None:
    """Nothing is sent again: reading back shows that it took effect."""
    harness.world.script("unblock_indicators", Fault("lost", Timeout("no answer", applied=Applied.MAYBE)))
    outcome = await released(harness, 40)

    assert outcome.status == "succeeded"
    assert sizes(harness.world.sent("unblock_indicators")) == [40]
    assert set(harness.holds().values()) == {"released"}


@pytest.mark.safety(7)
async def test_an_answer_that_is_lost_with_no_effect_is_told_of_each(harness: RunHarness) -> None:
    """Each hold goes on by itself from there: they are tried again, together."""
    harness.world.script("unblock_indicators", Fault("dropped", Timeout("no answer", applied=Applied.MAYBE)))
    outcome = await released(harness, 40)

    assert outcome.status == "succeeded"
    assert sum(sizes(harness.world.sent("unblock_indicators"))) == 80
    assert set(harness.holds().values()) == {"released"}


@pytest.mark.parametrize("error", [Unavailable("busy"), Timeout("no answer")])
async def test_what_would_meet_each_of_them_is_not_tried_one_by_one(harness: RunHarness, error: ConnectorError) -> None:
    """A product that is away is not asked forty times; all are due again at the same moment."""
    harness.world.script("unblock_indicators", error)
    outcome = await released(harness, 40)

    assert outcome.status == "succeeded"
    sent = sizes(harness.world.called("unblock_indicators"))
    assert (sent[0], sum(sent)) == (40, 80)
    assert len({event.due_at for event in outcome.of(ev.RetryScheduled)}) == 1


async def test_changes_with_other_arguments_go_alone(harness: RunHarness) -> None:
    """What the inverse takes besides its target is part of the call."""
    outcome = await harness.run("""
id: t
steps:
  - {action: firewall.block_indicators, with: {indicators: [{kind: ipv4, value: 198.51.100.1}], reason: one}}
  - {action: firewall.block_indicators, with: {indicators: [{kind: ipv4, value: 198.51.100.2}], reason: two}}
  - {release: "[{'kind': 'ipv4', 'value': '198.51.100.1'}, {'kind': 'ipv4', 'value': '198.51.100.2'}]"}
""")

    assert outcome.status == "succeeded"
    calls = harness.world.sent("unblock_indicators")
    assert sorted(call.arguments["reason"] for call in calls) == ["one", "two"]
    assert sizes(calls) == [1, 1]


async def test_an_end_from_outside_ends_the_call_as_well(harness: RunHarness) -> None:
    """What nobody waits for any more does not go on behind everybody's back."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(call: Call) -> None:
        if call.verb == "unblock_indicators":
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.set()
                raise

    harness.world.on_call = hang
    task: asyncio.Task[Any] = asyncio.ensure_future(released(harness, 10))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 5)


async def test_what_was_given_up_while_it_waited_for_its_turn_is_not_sent(world: FakeWorld) -> None:
    """Nobody would record what became of it."""
    connector = build(fake_connector(world), "fake", {}, Redactor())
    spec = build_spec("firewall", Firewall, "unblock_indicators")
    together, going, goes_on = Together(), asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> None:
        going.set()
        await goes_on.wait()

    def sending(value: str) -> asyncio.Task[None]:
        door = Door("live", Effect.CHANGE, spec.name, intended=True, key=value)
        targets = [Indicator(kind="ipv4", value=value)]
        return asyncio.ensure_future(
            together.send(spec, {"indicators": targets, "reason": "r"}, targets, connector, None, door)
        )

    world.on_call = wait
    first = sending("203.0.113.1")
    await going.wait()
    second, third = sending("203.0.113.2"), sending("203.0.113.3")
    await asyncio.sleep(0)
    second.cancel()
    goes_on.set()
    await asyncio.gather(first, third)

    sent = [[each.value for each in call.arguments["indicators"]] for call in world.sent("unblock_indicators")]
    assert sent == [["203.0.113.1"], ["203.0.113.3"]]
    assert second.cancelled()


async def test_a_call_says_for_which_intents_it_is_made(harness: RunHarness) -> None:
    """The journal has the key of each, so what left can be told from it."""
    keys: list[str] = []

    async def note(call: Call) -> None:
        door = current_door()
        if call.verb == "unblock_indicators" and door is not None:
            keys.extend(door.keys)

    harness.world.on_call = note
    outcome = await released(harness, 3)
    intents = [each for each in outcome.of(ev.ActionIntended) if each.action == "firewall.unblock_indicators"]
    assert sorted(keys) == sorted(each.key for each in intents)
    assert len(set(keys)) == 3
