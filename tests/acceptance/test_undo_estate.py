"""An undo on a simulated company: afterwards it is what it was before the run, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drill import ACTOR, Drill, Place

from hikeshi.core import RunState
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256

ADMIN = "adm-kobayashi@minato.example"
DISABLED = "emi.mori@minato.example"
INDICATORS = [C2_ADDRESS, C2_DOMAIN, MALWARE_SHA256]
WHOLE = {"hostname": FILE_SERVER, "indicators": INDICATORS, "user": ADMIN, "severity": "high"}
HELD = """
id: held-block
name: Block for a time
inputs: {indicators: {type: list, items: indicator}}
steps:
  - id: block
    action: edr.block_hashes
    with: {hashes: "{{ inputs.indicators }}", reason: test}
    hold: 2h
"""


UNBLOCK = """
id: unblock
name: Let something run again
inputs: {indicators: {type: list, items: indicator}}
steps:
  - {id: unblock, action: edr.unblock_hashes, with: {hashes: "{{ inputs.indicators }}", reason: test}}
"""


def what_is_there(place: Place) -> Any:
    """Return the estate without what no undo brings back: what was said, finished jobs, and ended sessions."""
    place.estate.settle()
    there = json.loads(place.estate.snapshot_bytes())
    del there["messages"]
    del there["firewall"]["jobs"]
    for user in there["users"].values():
        del user["sessions_valid_from"]
    return there


async def undo(drill: Drill, run: str, *, override: bool = False) -> RunState:
    plan = await drill.hikeshi.plan_undo(run)
    return await drill.hikeshi.undo(plan, actor=ACTOR, override=override)


@pytest.mark.safety(20)
@pytest.mark.parametrize("user", [ADMIN, DISABLED, "kenji.sato@minato.example", None])
async def test_a_contained_host_is_let_go_and_everything_is_as_it_was(
    drill: Drill, place: Place, user: str | None
) -> None:
    """An account that was disabled stays disabled, groups come back, and every block is gone."""
    before = what_is_there(place)
    outcome = await drill.run("contain-host", {**WHOLE, "user": user})
    assert outcome.status == "succeeded"
    assert place.isolated() == [FILE_SERVER]
    contained = what_is_there(place)

    undone = await undo(drill, outcome.state.run)

    assert undone.finished == "succeeded"
    assert what_is_there(place) == before != contained
    assert drill.hikeshi.holds() == []


@pytest.mark.safety(20)
async def test_what_somebody_had_blocked_before_stays_blocked(drill: Drill, place: Place) -> None:
    """Two runs block the same; what the second one found there already is not its own to take back."""
    await drill.run("block-indicators", {"indicators": [C2_ADDRESS, MALWARE_SHA256]})
    before = what_is_there(place)
    second = await drill.run("block-indicators", {"indicators": INDICATORS})
    assert what_is_there(place) != before

    await undo(drill, second.state.run)

    assert what_is_there(place) == before
    assert (place.tagged(), place.prevented()) == ({C2_ADDRESS}, {MALWARE_SHA256})


@pytest.mark.safety(21)
async def test_a_host_stays_isolated_until_the_last_run_lets_it_go(drill: Drill, place: Place) -> None:
    """The first undo takes back everything but what the second run holds as well."""
    before = what_is_there(place)
    first = await drill.run("contain-host", WHOLE)
    second = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    await undo(drill, first.state.run)
    assert place.isolated() == [FILE_SERVER]
    assert (place.tagged(), place.listed(), place.prevented()) == (set(), set(), set())
    await undo(drill, second.state.run)

    assert place.isolated() == []
    assert what_is_there(place) == before


@pytest.mark.safety(21)
async def test_a_block_that_somebody_made_anew_is_not_taken_away(drill: Drill, place: Place) -> None:
    """Somebody deleted ours and blocked the hash for good: that is their decision, until a person says otherwise."""
    drill.add_playbook("held-block", HELD)
    outcome = await drill.run("held-block", {"indicators": [MALWARE_SHA256]})
    (ours,) = place.estate.iocs.values()
    ours.expires_at = None
    ours.details.pop("expiration")

    refused = await undo(drill, outcome.state.run)
    assert refused.finished == "failed"
    assert place.prevented() == {MALWARE_SHA256}
    undone = await undo(drill, outcome.state.run, override=True)
    assert undone.finished == "succeeded"
    assert place.prevented() == set()


@pytest.mark.safety(20)
async def test_a_block_that_had_an_end_gets_it_back(drill: Drill, place: Place) -> None:
    """Somebody had blocked a hash for two hours; a run unblocked it, and its undo does not block it for good."""
    drill.add_playbook("held-block", HELD)
    await drill.run("held-block", {"indicators": [MALWARE_SHA256]})
    other = Drill(drill.folder.parent / "other", drill.secrets)
    other.configure(place.simulation.project_settings(place.url))
    other.add_playbook("unblock", UNBLOCK)
    try:
        outcome = await other.run("unblock", {"indicators": [MALWARE_SHA256]})
        assert place.prevented() == set()
        assert (await undo(other, outcome.state.run)).finished == "succeeded"
    finally:
        await other.aclose()
    (again,) = place.estate.iocs.values()
    assert again.expires_at is not None
    assert abs((again.expires_at - place.estate.now()).total_seconds() - 7200) < 60


@pytest.mark.safety(22)
async def test_a_lost_engine_releases_too(drill: Drill, place: Place) -> None:
    """Falcon is told when the hold ends; nobody works for the project, and the block goes all the same."""
    drill.add_playbook("held-block", HELD)
    await drill.run("held-block", {"indicators": [MALWARE_SHA256]})
    place.estate.advance(2 * 3600 - 60)
    assert place.prevented() == {MALWARE_SHA256}
    place.estate.advance(120)
    assert place.prevented() == set()
    (hold,) = drill.hikeshi.holds()
    reading = (await drill.hikeshi.read_holds([hold]))[hold.hold]
    assert reading.standing == "released"
    assert "the product was to lift it by itself" in (reading.why or "")


async def test_drift_is_found_and_nothing_is_sent_for_it(drill: Drill, place: Place) -> None:
    """One host is released behind the engine's back, one account is as the run left it."""
    await drill.run("contain-host", WHOLE)
    place.estate.settle()
    place.host(FILE_SERVER).isolation = "normal"
    place.forget_changes()
    holds = drill.hikeshi.holds()
    readings = await drill.hikeshi.read_holds(holds)

    drifted = [hold.label for hold in holds if readings[hold.hold].standing != "held"]
    assert drifted == [FILE_SERVER]
    assert len(holds) > 5
    assert place.changes() == []
