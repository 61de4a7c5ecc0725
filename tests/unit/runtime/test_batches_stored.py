"""A change of many targets in the journal and in the ledger: few records, and a hold for each target."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from hikeshi.connector import Forbidden, PartialFailure
from hikeshi.core import events as ev
from hikeshi.runtime.holds_projection import HoldsProjection
from hikeshi.runtime.ledger import Ledger
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import Outcome, RunHarness

pytestmark = pytest.mark.safety(17)

BLOCK = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - id: block
    action: firewall.block_indicators
    with: {indicators: "{{ inputs.found }}", reason: beacon}
    hold: 8h
"""
RELEASE = "  - {id: free, release: inputs.found, needs: [block]}\n"


def addresses(count: int) -> list[str]:
    return [f"198.18.{at // 250}.{at % 250 + 1}" for at in range(count)]


async def blocked(harness: RunHarness, found: Sequence[str], more: str = "") -> Outcome:
    return await harness.run(BLOCK + more, inputs={"found": list(found)})


def targets_in(events: Sequence[Any]) -> list[str]:
    return [each.target for event in events for each in getattr(event, "opened", None) or event.settled]


async def test_twenty_five_hundred_targets_are_three_records_of_each_kind(harness: RunHarness) -> None:
    """At most a thousand targets a record, in their order, and each in exactly one."""
    found = addresses(2500)
    outcome = await blocked(harness, found)

    assert outcome.status == "succeeded"
    wanted = [f"ipv4:{value}" for value in found]
    opened, settled = outcome.of(ev.HoldsOpened), outcome.of(ev.TargetsSettled)
    assert [len(event.opened) for event in opened] == [1000, 1000, 500]
    assert [len(event.settled) for event in settled] == [1000, 1000, 500]
    assert targets_in(opened) == targets_in(settled) == wanted
    assert len({event.expires_at for event in opened}) == 1
    assert [each.hold for event in opened for each in event.opened] == [
        each.hold for event in settled for each in event.settled
    ]


async def test_each_of_them_has_a_hold_that_undoes_it_alone(harness: RunHarness) -> None:
    """The inverse of a hold names the one indicator that it is on, under what the inverse calls it."""
    found = addresses(2500)
    await blocked(harness, found)
    holds = Ledger(harness.journal).of_run("run-1")

    assert {hold.status for hold in holds} == {"active"}
    assert len({hold.hold for hold in holds}) == 2500
    assert {hold.label: hold.undo for hold in holds} == {
        value: {
            "action": "firewall.unblock_indicators",
            "arguments": {"reason": "beacon", "indicators": [{"kind": "ipv4", "value": value}]},
        }
        for value in found
    }


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (999, [999]), (1000, [1000]), (1001, [1000, 1])])
async def test_a_record_is_begun_only_for_who_is_in_it(harness: RunHarness, count: int, sizes: list[int]) -> None:
    """Not one too many where the targets fill the last one."""
    outcome = await blocked(harness, addresses(count))
    assert [len(event.opened) for event in outcome.of(ev.HoldsOpened)] == sizes
    assert [len(event.settled) for event in outcome.of(ev.TargetsSettled)] == sizes
    assert len(harness.holds()) == count


async def test_a_refusal_in_the_last_record_is_that_of_its_target_alone(harness: RunHarness) -> None:
    """And what was blocked already has no hold, in whichever record it stands."""
    found = addresses(1100)
    refused, already = found[1050], found[3]
    harness.world.blocked.add(("fake", already))
    harness.world.script("block_indicators", Fault("lost", PartialFailure({refused: Forbidden("not this one")})))
    outcome = await blocked(harness, found)

    fates = {each.target: each for event in outcome.of(ev.TargetsSettled) for each in event.settled}
    told = {target: each.outcome for target, each in fates.items() if each.outcome != "done"}
    assert told == {f"ipv4:{refused}": "failed", f"ipv4:{already}": "already"}
    assert fates[f"ipv4:{refused}"].error.message == "not this one"
    assert fates[f"ipv4:{already}"].hold is None
    statuses = harness.holds()
    assert statuses.pop(refused) == "void"
    assert already not in statuses
    assert (len(statuses), set(statuses.values())) == (1098, {"active"})


async def test_what_was_opened_together_is_released_one_by_one(harness: RunHarness) -> None:
    """Each hold is closed, and the product has none of them left."""
    outcome = await blocked(harness, addresses(12), RELEASE)
    assert outcome.status == "succeeded"
    assert set(harness.holds().values()) == {"released"}
    assert harness.world.blocked == set()


async def test_an_inverse_of_ones_own_is_the_same_for_all_of_them(harness: RunHarness) -> None:
    """What a playbook says in `undo` is not mixed with what each target would have brought."""
    undo = "{action: firewall.unblock_indicators, with: {indicators: '{{ inputs.found }}', reason: mine}}"
    outcome = await blocked(harness, addresses(3), f"    undo: {undo}\n")

    assert outcome.status == "succeeded"
    holds = Ledger(harness.journal).of_run("run-1")
    assert len(holds) == 3
    every = [{"kind": "ipv4", "value": value} for value in addresses(3)]
    for hold in holds:
        assert hold.undo is not None
        assert hold.undo["arguments"]["reason"] == "mine"
        assert [
            each if isinstance(each, dict) else {"kind": "ipv4", "value": each}
            for each in hold.undo["arguments"]["indicators"]
        ] == every


async def test_the_ledger_is_the_same_when_it_is_filled_again_from_the_records(harness: RunHarness) -> None:
    """A projection of a newer version is; nothing of a hold lives anywhere else."""
    outcome = await blocked(harness, addresses(1001))
    before = [dict(row) for row in harness.journal.query("SELECT * FROM holds ORDER BY hold")]
    assert len(before) == 1001

    tx = sqlite3.connect(":memory:")
    tx.row_factory = sqlite3.Row
    projection = HoldsProjection()
    tx.executescript(projection.schema)
    for record in outcome.records:
        projection.apply(tx, record)
    assert [dict(row) for row in tx.execute("SELECT * FROM holds ORDER BY hold")] == before
    tx.close()
