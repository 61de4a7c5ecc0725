"""Holds whose time is over: undone once, on time, whatever became of the run that opened them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office, until

from hikeshi.app import Hikeshi
from hikeshi.connector import Applied, Forbidden, PartialFailure, RateLimited, Unavailable
from hikeshi.core import RunState
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import Fault

pytestmark = pytest.mark.safety(22)

TEXT = """
id: t
inputs: {name: {type: string, default: pc1}, time: {type: string, default: 1h}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, hold: "{{ inputs.time }}"}
"""
CUT, FREED = "isolate_host pc1", "release_host pc1"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


async def held(office: Office, text: str = TEXT, **inputs: str) -> tuple[Hikeshi, RunState]:
    """Isolate a host for a time, which counts from 9 o'clock."""
    office.write(text)
    app = office.process()
    return app, await office.start(app, inputs)


async def at(office: Office, app: Hikeshi, minutes: float) -> list[RunState]:
    """Go to this many minutes after nine, and let a process do everything that is due then."""
    office.clock.advance(max(0.0, (START + timedelta(minutes=minutes) - office.clock.now()).total_seconds()))
    return await office.work(app)


def row(office: Office) -> dict[str, object]:
    return dict(office.journal.query("SELECT * FROM holds ORDER BY opened_at, hold")[0])


async def test_a_hold_is_released_when_its_time_is_over_and_not_before(office: Office) -> None:
    """By the declared inverse of the change, in a run of the engine's own."""
    app, _ = await held(office)
    assert app.due().next_at == START + timedelta(hours=1)
    assert await at(office, app, 59.9) == []
    assert office.sent() == [CUT]
    (state,) = await at(office, app, 60)

    assert state.finished == "succeeded"
    assert office.sent() == [CUT, FREED]
    assert office.world.isolation == {("fake", "id-pc1"): "normal"}
    assert office.hold_statuses() == ["released"]
    (own,) = [each for each in app.runs() if each["playbook"] == "release-expired"]
    assert (own["run"], own["actor"]) == (f"release-{row(office)['hold']}-1", "hikeshi")
    assert await at(office, app, 3000) == []
    assert office.sent() == [CUT, FREED]


async def test_the_time_counts_from_before_the_change_is_sent(office: Office) -> None:
    """However long the product takes to get there."""
    office.world.script("isolate_host", Fault("slow", looks=8))
    app, state = await held(office)
    assert state.finished == "succeeded"
    assert office.clock.now() > START + timedelta(seconds=3)
    assert app.due().next_at == START + timedelta(hours=1)


async def test_a_process_that_opened_no_run_finds_what_is_due(office: Office) -> None:
    """Only the journal knows of the hold."""
    app, _ = await held(office)
    await office.end(app)
    await at(office, office.process(), 61)

    assert office.sent() == [CUT, FREED]


@pytest.mark.parametrize("how", ["cancelled", "paused", "waiting", "failed", "unknown"])
async def test_a_hold_ends_on_time_whatever_became_of_its_run(office: Office, how: str) -> None:
    """It is not the run that undoes it."""
    more = {
        "failed": "  - {action: edr.get_host, with: {name: gone}}\n",
        "unknown": "  - {id: two, action: edr.get_host, with: {name: pc2}}\n"
        "  - {action: edr.isolate_host, with: {host: '{{ steps.two }}', reason: r}}\n",
    }
    if how == "unknown":
        office.world.script("isolate_host", None, Fault("lost", Unavailable("gone", applied=Applied.MAYBE)))
        office.world.script("isolation_of", None, None, None, *[Unavailable("down")] * 10)
    app, state = await held(office, TEXT + more.get(how, "  - {wait: 5h}\n"))
    if how in ("cancelled", "paused"):
        await app.tell(state.run, {"cancelled": "cancel", "paused": "pause"}[how], {}, actor="mei")
    assert app.fold(state.run).status == {"paused": "waiting", "unknown": "waiting"}.get(how, how)
    office.world.faults.clear()
    await at(office, app, 60)

    assert office.sent("release_host") == [FREED]


async def test_of_two_processes_one_alone_releases(office: Office) -> None:
    """Both find it due at the same moment."""
    app, _ = await held(office)
    others = [app, office.process(), office.process()]
    office.clock.advance(3600)
    await asyncio.gather(*(office.work(each) for each in others))

    assert office.sent() == [CUT, FREED]
    assert [each["playbook"] for each in app.runs()].count("release-expired") == 1


async def test_a_release_goes_on_when_its_process_dies(office: Office) -> None:
    """Another one sees what became of it, and sends nothing twice."""
    app, _ = await held(office)
    office.clock.advance(3600)
    office.world.script("release_host", Fault("slow", looks=30))
    task = asyncio.create_task(office.work(app))
    await until(lambda: office.sent("release_host"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert office.process().due().runs == []  # its process lives
    await office.end(app)
    await office.work(office.processes[0])

    assert office.sent() == [CUT, FREED]
    assert office.hold_statuses() == ["released"]


async def test_a_product_that_is_down_is_asked_until_it_is_there(office: Office) -> None:
    """For about two hours in the same run; nothing is given up meanwhile, and nothing done twice."""
    app, _ = await held(office)
    office.world.script("isolation_of", *[Unavailable("down")] * 5)
    office.world.script("release_host", Fault("dropped", Unavailable("down", applied=Applied.MAYBE)))
    await at(office, app, 60)
    assert office.hold_statuses() == ["active"]
    for minutes in range(61, 90):
        await at(office, app, minutes)

    assert office.hold_statuses() == ["released"]
    assert office.world.isolation == {("fake", "id-pc1"): "normal"}
    assert [each["playbook"] for each in app.runs()].count("release-expired") == 1


async def test_what_the_product_asks_to_wait_is_waited(office: Office) -> None:
    """A rate limit is no failure."""
    app, _ = await held(office)
    office.world.script("release_host", RateLimited("slow down", retry_after_s=900))
    await at(office, app, 60)
    await at(office, app, 74)
    assert office.sent() == [CUT]
    await at(office, app, 76)
    assert office.sent() == [CUT, FREED]


async def test_a_release_that_failed_for_good_is_tried_again_later(office: Office) -> None:
    """After five minutes, then less and less often; it stays a hold, and each try is a run that can be read."""
    app, _ = await held(office)
    office.world.script("release_host", *[Forbidden("no")] * 3)
    (first,) = await at(office, app, 60)
    assert first.finished == "failed"
    assert office.hold_statuses() == ["active"]
    assert await at(office, app, 64) == []
    assert [state.finished for state in await at(office, app, 66)] == ["failed"]
    assert await at(office, app, 75) == []
    assert [state.finished for state in await at(office, app, 77)] == ["failed"]
    assert [state.finished for state in await at(office, app, 98)] == ["succeeded"]

    assert office.sent() == [CUT, FREED]
    assert office.hold_statuses() == ["released"]
    assert [each["playbook"] for each in app.runs()].count("release-expired") == 4


async def test_a_release_of_unknown_outcome_waits_for_a_person(office: Office) -> None:
    """It is not sent again by itself, and closes once somebody says what became of it."""
    app, _ = await held(office)
    office.world.script("release_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    (waiting,) = await at(office, app, 60)
    assert waiting.status == "waiting"
    assert await at(office, app, 600) == []
    office.world.faults.clear()
    (path,) = waiting.unknown
    state = await app.resolve(waiting.run, path, happened=True, actor="mei")

    assert state.finished == "succeeded"
    assert office.hold_statuses() == ["released"]
    assert office.sent() == [CUT, FREED]


async def test_a_release_that_did_not_happen_is_made_after_all(office: Office) -> None:
    """Somebody looked, and it is still isolated."""
    app, _ = await held(office)
    office.world.script("release_host", Fault("dropped", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    (waiting,) = await at(office, app, 60)
    office.world.faults.clear()
    (path,) = waiting.unknown
    state = await app.resolve(waiting.run, path, happened=False, actor="mei")
    assert state.finished == "failed"
    await at(office, app, 90)

    assert office.hold_statuses() == ["released"]
    assert office.world.isolation == {("fake", "id-pc1"): "normal"}


async def test_what_somebody_else_let_go_is_closed_without_sending_anything(office: Office) -> None:
    """It is as it should be already."""
    app, _ = await held(office)
    office.world.isolation["fake", "id-pc1"] = "normal"
    await at(office, app, 60)

    assert office.sent() == [CUT]
    assert office.hold_statuses() == ["released"]


async def test_what_a_playbook_released_is_not_released_again(office: Office) -> None:
    """Nothing is due then."""
    app, _ = await held(office, TEXT + "  - {release: steps.find}\n")
    assert office.hold_statuses() == ["released"]
    assert await at(office, app, 60) == []
    assert office.sent() == [CUT, FREED]


async def test_a_hold_of_unknown_outcome_does_not_end_by_itself(office: Office) -> None:
    """Nobody knows whether there is anything to undo; once somebody does, its time counts as it was."""
    office.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    app, state = await held(office)
    assert await at(office, app, 61) == []
    office.world.faults.clear()
    await app.resolve(state.run, "cut", happened=True, actor="mei")
    await at(office, app, 61)

    assert office.sent() == [CUT, FREED]


# --- several holds ----------------------------------------------------------------------------------------------------


async def test_the_first_of_two_holds_passes_on_and_the_last_one_releases(office: Office) -> None:
    """The second run found the host isolated already, and wants it so for longer."""
    app, _ = await held(office)
    office.clock.advance(600)
    second = await office.start(app, {"time": "2h"})
    assert second.nodes["cut"].already
    assert office.hold_statuses() == ["active", "active"]
    await at(office, app, 60)
    assert office.sent() == [CUT]
    assert office.hold_statuses() == ["passed_on", "active"]
    await at(office, app, 131)

    assert office.sent() == [CUT, FREED]
    assert office.hold_statuses() == ["passed_on", "released"]


async def test_a_second_hold_that_ends_first_passes_on_to_the_first(office: Office) -> None:
    """Whoever wants it the longest has it the longest."""
    app, _ = await held(office, time="3h")
    await office.start(app, {"time": "1h"})
    await at(office, app, 61)
    assert sorted(office.hold_statuses()) == ["active", "passed_on"]
    assert office.sent() == [CUT]
    await at(office, app, 181)

    assert office.sent() == [CUT, FREED]


async def test_two_holds_that_end_at_the_same_moment_release_once(office: Office) -> None:
    """Each sees the other; they must not leave it to each other."""
    app, _ = await held(office)
    await office.start(app)
    await asyncio.gather(*(at(office, each, 60) for each in (app, office.process())))
    await at(office, app, 61)

    assert office.sent() == [CUT, FREED]
    assert sorted(office.hold_statuses()) == ["passed_on", "released"]


async def test_a_hold_without_an_end_keeps_what_others_would_release(office: Office) -> None:
    """The first one ends, the second is for somebody to release."""
    app, _ = await held(office)
    office.write(TEXT.replace(', hold: "{{ inputs.time }}"', ""), "t")
    other = office.process()
    await office.start(other)
    await at(office, app, 600)

    assert office.sent() == [CUT]
    assert sorted(office.hold_statuses()) == ["active", "passed_on"]


async def test_each_target_of_a_batch_is_released(office: Office) -> None:
    """Each by itself, and only what was blocked here."""
    office.world.blocked.add(("fake", "203.0.113.2"))
    app, state = await held(
        office,
        "id: t\ninputs: {found: {type: list, items: indicator, default: [203.0.113.1, 203.0.113.2, 203.0.113.3]}}\n"
        "steps:\n  - action: firewall.block_indicators\n    with: {indicators: '{{ inputs.found }}', reason: r}\n"
        "    hold: 1h\n",
    )
    assert state.finished == "succeeded"
    await at(office, app, 60)

    assert office.world.blocked == {("fake", "203.0.113.2")}
    assert office.hold_statuses() == ["released", "released"]


async def test_another_way_to_undo_is_used_when_the_time_is_over(office: Office) -> None:
    """The playbook names it, with what the change gave."""
    office.world.add_user("mei@example.com")
    app, state = await held(
        office,
        "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
        "  - {id: who, action: identity.get_user, with: {name: mei@example.com}}\n"
        "  - id: cut\n    action: edr.isolate_host\n    with: {host: '{{ steps.find }}', reason: r}\n    hold: 1h\n"
        "    undo: {action: identity.disable_user, with: {user: '{{ steps.who }}', reason: '{{ steps.cut.state }}'}}\n",
    )
    assert state.finished == "succeeded"
    await at(office, app, 60)

    assert [call.verb for call in office.world.sent()] == ["isolate_host", "disable_user"]
    assert office.world.sent()[-1].arguments["reason"] == "isolated"
    assert "released" in office.hold_statuses()


async def test_holds_are_released_in_the_order_in_which_they_end(office: Office) -> None:
    """After a long time without any process, all at once."""
    office.write(TEXT)
    app = office.process()
    for name, time in (("pc1", "3h"), ("pc2", "1h"), ("pc3", "2h")):
        await office.start(app, {"name": name, "time": time})
    assert [hold.label for hold in (office.clock.advance(86_400), app.due())[1].holds] == ["pc2", "pc3", "pc1"]
    await office.work(app)

    assert sorted(office.sent("release_host")) == ["release_host pc1", "release_host pc2", "release_host pc3"]
    assert app.holds() == []


# --- what a product lifts by itself -----------------------------------------------------------------------------------

BLOCKED = """
id: t
steps:
  - action: firewall.block_indicators
    with: {indicators: [{kind: ipv4, value: 203.0.113.1}], reason: r, expires_in_s: 3600}
"""
KEY = ("fake", "203.0.113.1")


@pytest.mark.parametrize("lifted", [True, False])
async def test_what_a_product_was_to_lift_is_looked_at_and_closed(office: Office, lifted: bool) -> None:
    """When its time is over: nothing is sent if it did, and what it did not lift is lifted. Nothing is forgotten."""
    office.world.ends[KEY] = START + timedelta(hours=1)
    app, _ = await held(office, BLOCKED)
    assert app.due().next_at == START + timedelta(minutes=60)
    if lifted:
        office.world.blocked.clear()
    assert await at(office, app, 59.9) == []
    (state,) = await at(office, app, 60)

    assert state.finished == "succeeded"
    assert office.hold_statuses() == ["released"]
    assert len(office.world.sent("unblock_indicators")) == (0 if lifted else 1)
    assert office.world.blocked == set()
    assert await at(office, app, 3000) == []


async def test_a_block_for_a_time_ends_on_a_product_that_cannot_count(office: Office) -> None:
    """Many products keep a block until somebody lifts it: the time that the action was given is the hold's, too."""
    app, _ = await held(office, BLOCKED)

    assert app.due().next_at == START + timedelta(hours=1)
    (state,) = await at(office, app, 60)
    assert state.finished == "succeeded"
    assert [call.arguments["indicators"][0].value for call in office.world.sent("unblock_indicators")] == [
        "203.0.113.1"
    ]
    assert office.hold_statuses() == ["released"]


async def test_the_hold_of_a_step_counts_more_than_its_arguments(office: Office) -> None:
    """`hold` is what the playbook's author wants undone, whatever the product was told."""
    app, _ = await held(office, BLOCKED.rstrip() + "\n    hold: 30m\n")

    assert app.due().next_at == START + timedelta(minutes=30)


# --- many at the same time ------------------------------------------------------------------------------------------

LIST = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - {id: wall, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}, hold: 1h}
"""


async def list_held(office: Office, many: int) -> Hikeshi:
    office.write(LIST)
    app = office.process()
    await office.start(app, {"found": [f"203.0.{n // 250}.{n % 250}" for n in range(many)]})
    return app


@pytest.mark.safety(22)
async def test_the_holds_of_a_list_are_released_by_few_runs_and_calls(office: Office) -> None:
    """Five hundred in a run, and in a call: a long list that ends at once must not ask the product for each entry."""
    app = await list_held(office, 1100)
    await at(office, app, 61)

    releases = [each["run"] for each in app.runs() if each["playbook"] == "release-expired"]
    assert len(releases) == 3
    assert sorted(len(call.arguments["indicators"]) for call in office.world.sent("unblock_indicators")) == [
        100,
        500,
        500,
    ]
    assert app.holds() == []
    assert office.world.blocked == set()


@pytest.mark.safety(22)
async def test_of_two_processes_that_find_other_holds_due_one_releases_each(office: Office) -> None:
    """Whoever comes second with one of them gets none, and finds the rest at the next look."""
    app = await list_held(office, 5)
    office.clock.advance(3700)
    due = app.due().holds
    other = office.process()
    both = await asyncio.gather(app.release_due(due[:4]), other.release_due(due[1:]))

    assert [state is None for state in both] == [False, True]
    assert [hold.hold for hold in app.due().holds] == [due[4].hold]
    await office.work(other)
    assert sorted(len(call.arguments["indicators"]) for call in office.world.sent("unblock_indicators")) == [1, 4]
    assert app.holds() == []


async def test_hosts_are_released_one_by_one(office: Office) -> None:
    """Their inverse takes one of them, so each has a run and a time of its own."""
    office.write(TEXT)
    app = office.process()
    for name in ("pc1", "pc2", "pc3"):
        await office.start(app, {"name": name, "time": "1h"})
    await at(office, app, 61)
    assert len([each for each in app.runs() if each["playbook"] == "release-expired"]) == 3


@pytest.mark.safety(22)
async def test_what_is_not_released_of_a_list_is_tried_again_alone(office: Office) -> None:
    """The others are over."""
    app = await list_held(office, 3)
    office.world.script("unblock_indicators", Fault("lost", PartialFailure({"203.0.0.1": Forbidden("read-only")})))
    await at(office, app, 61)
    assert [hold.label for hold in app.holds()] == ["203.0.0.1"]
    await at(office, app, 75)
    assert app.holds() == []
    assert [len(call.arguments["indicators"]) for call in office.world.sent("unblock_indicators")] == [3, 1]
