"""A batch that a product refuses as a whole: what it does not take is found, and keeps nothing else from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from hikeshi.connector.door import current_door
from hikeshi.connector.errors import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    PartialFailure,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.core import events as ev
from hikeshi.runtime.halves import by_halves
from hikeshi.runtime.rules import ChangeStopped
from hikeshi.testing.fake_connector import Call, FakeWorld
from hikeshi.testing.run_harness import Outcome, RunHarness

TEXT = """
id: t
inputs: {found: {type: list, items: indicator, max_length: 5000}}
steps:
  - {action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
"""
Refusing = Callable[[Sequence[str]], ConnectorError | None]


@pytest.fixture
def harness() -> RunHarness:
    made = RunHarness()
    made.world = FakeWorld()
    return made


async def blocked(harness: RunHarness, many: int, refusing: Refusing) -> Outcome:
    """Block so many addresses in one step, on a product that refuses some calls."""

    async def refuse(call: Call) -> None:
        if call.verb == "block_indicators":
            error = refusing([each.value for each in call.arguments["indicators"]])
            if error is not None:
                raise error

    harness.world.on_call = refuse
    return await harness.run(TEXT, inputs={"found": [f"203.0.{n // 250}.{n % 250}" for n in range(many)]})


def unless_without(*bad: str) -> Refusing:
    """Refuse each call in which one of these is."""
    return lambda values: Invalid("not a routable address") if set(bad) & set(values) else None


def sizes(harness: RunHarness) -> list[int]:
    return [len(call.arguments["indicators"]) for call in harness.world.called("block_indicators")]


async def test_one_that_is_not_taken_keeps_no_other_from_being_blocked(harness: RunHarness) -> None:
    """The step fails and says which one; all others are blocked and held."""
    outcome = await blocked(harness, 500, unless_without("203.0.1.7"))

    assert outcome.status == "failed"
    [failed] = outcome.of(ev.ActionFailed)
    assert failed.error.message == "1 of 500 targets: 203.0.1.7: not a routable address"
    assert len(harness.world.blocked) == 499
    assert [label for label, status in harness.holds().items() if status != "active"] == ["203.0.1.7"]
    assert sizes(harness)[:4] == [500, 250, 250, 125]
    assert len(sizes(harness)) == 19


async def test_several_that_are_not_taken_are_found(harness: RunHarness) -> None:
    """Wherever they stand."""
    bad = ["203.0.0.0", "203.0.0.249", "203.0.1.249"]
    await blocked(harness, 500, unless_without(*bad))
    assert [label for label, status in harness.holds().items() if status != "active"] == bad


async def test_a_product_that_takes_none_is_not_asked_for_each(harness: RunHarness) -> None:
    """Most likely it is not about any of them, and the reason is said once."""
    outcome = await blocked(harness, 500, lambda _: Forbidden("this key may only read"))

    assert len(sizes(harness)) == 19  # twelve refusals, and the parts that were waiting by then
    [failed] = outcome.of(ev.ActionFailed)
    assert (failed.error.kind, failed.error.message) == ("forbidden", "this key may only read")
    assert set(harness.holds().values()) == {"void"}


@pytest.mark.safety(7)
async def test_a_part_whose_answer_is_lost_is_read_back_and_not_sent_again(harness: RunHarness) -> None:
    """Of the others it is known what became of them."""

    def refusing(values: Sequence[str]) -> ConnectorError | None:
        if len(values) == 40:
            return Invalid("one of them is wrong")
        return Timeout("no answer", applied=Applied.MAYBE) if "203.0.0.30" in values else None

    await blocked(harness, 40, refusing)

    assert sizes(harness)[:3] == [40, 20, 20]
    assert len([status for status in harness.holds().values() if status == "active"]) >= 20


@pytest.mark.safety(20)
async def test_each_part_goes_out_for_the_intent_that_was_recorded(harness: RunHarness) -> None:
    """Under a key of its own, for a product that answers the same key with what it answered before."""
    seen: list[tuple[str, tuple[str, ...]]] = []

    def refusing(values: Sequence[str]) -> ConnectorError | None:
        door = current_door()
        assert door is not None
        seen.append((door.key, door.keys))
        return Invalid("too many") if len(values) > 2 else None

    outcome = await blocked(harness, 4, refusing)

    assert outcome.status == "succeeded"
    [intent] = outcome.of(ev.ActionIntended)
    assert [keys for _, keys in seen] == [(), (intent.key,) * 2, (intent.key,) * 2]
    assert seen[0][0] == intent.key
    assert len({key for key, _ in seen}) == 3


# --- the parts themselves


async def parts(
    many: int, errors: Callable[[Sequence[int]], ConnectorError | None], *, apart: bool = True
) -> list[str]:
    """Return what became of numbers from 0, part by part: `0-3 taken`, or the error."""

    async def work(some: Sequence[int]) -> None:
        error = errors(some)
        if error is not None:
            raise error

    made = await by_halves(range(many), work, apart=apart)
    return [f"{some[0]}-{some[-1]} {'taken' if came_to is None else came_to}" for some, came_to in made]


async def test_parts_come_in_the_order_of_the_entries() -> None:
    assert await parts(8, lambda some: Invalid("no") if 5 in some else None) == [
        "0-3 taken",
        "4-4 taken",
        "5-5 no",
        "6-7 taken",
    ]


@pytest.mark.parametrize("error", [RateLimited, Timeout, Unauthorized, Unavailable, ChangeStopped])
async def test_what_would_meet_every_part_ends_it(error: type[ConnectorError]) -> None:
    """What was not sent any more is told so, and was not applied."""

    def errors(some: Sequence[int]) -> ConnectorError | None:
        return Conflict("exists") if len(some) == 8 else error("gone") if 2 in some else None

    assert await parts(8, errors) == ["0-3 gone", "4-7 it was not tried: gone"]
    assert await parts(8, lambda _: error("gone")) == ["0-7 gone"]


@pytest.mark.parametrize(
    "error",
    [
        Invalid("half of it is done", applied=Applied.MAYBE),
        PartialFailure({"1": Invalid("no")}),
    ],
    ids=repr,
)
async def test_what_may_have_been_applied_is_not_sent_again(error: ConnectorError) -> None:
    """Not even a part of it."""
    assert await parts(8, lambda _: error) == [f"0-7 {error}"]


async def test_what_cannot_be_read_back_stays_together() -> None:
    assert await parts(8, lambda _: Invalid("no"), apart=False) == ["0-7 no"]


async def test_a_defect_of_a_connector_ends_in_an_error_of_its_own() -> None:
    """It is no word of the product."""

    async def work(_: Sequence[int]) -> None:
        raise KeyError("id")

    with pytest.raises(KeyError):
        await by_halves(range(8), work)
