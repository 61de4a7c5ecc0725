"""Leaving a run alone while nothing happens to it, and finding it again when something does."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office, until

from hikeshi.app import MessageNotWanted, RunIsDriven
from hikeshi.connector import Applied, Unavailable
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import Call, Fault

WAITS = {
    "a time": "wait: 2h",
    "a read": "wait: {action: edr.find_hosts, with: {name: no}, until: 'result | length > 0', every: 2h, at_most: 9h}",
    "an event": "wait: {event: scan, at_most: 2h}",
    "an approval": "approve: Go?, by: [role:lead], within: 2h",
    "a form": "ask: What?, form: {a: {type: string}}, by: [mei], within: 2h",
}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


def playbook(step: str) -> str:
    return f"id: t\nsteps:\n  - {{id: w, {step}}}\n  - {{id: after, set: {{x: '1'}}}}\n"


def row(office: Office) -> dict[str, object]:
    return dict(office.journal.query("SELECT * FROM runs")[0])


def kinds(office: Office, run: str) -> list[str]:
    return [record.kind for record in office.journal.read(run)]


@pytest.mark.parametrize("what", WAITS)
async def test_a_run_that_waits_is_left_and_says_when_it_wants_to_be_gone_on_with(office: Office, what: str) -> None:
    """Nobody owns it then, and nothing in the process remembers it."""
    office.write(playbook(WAITS[what]))
    app = office.process()
    state = await office.start(app)

    assert kinds(office, state.run)[-1] == "RunParked"
    assert (row(office)["owner"], row(office)["parked"]) == ("", 1)
    assert row(office)["wake_at"] == (START + timedelta(hours=2)).isoformat()
    assert not app.errands.drives(state.run)
    assert (app.due().runs, app.due().next_at) == ([], START + timedelta(hours=2))
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await asyncio.sleep(0)
    assert [task for task in left if not task.done()] == []


@pytest.mark.parametrize("what", WAITS)
async def test_it_is_due_when_its_time_has_come(office: Office, what: str) -> None:
    """To any process, and to none before."""
    office.write(playbook(WAITS[what]))
    state = await office.start(office.process())
    other = office.process()
    office.clock.advance(7199)
    assert other.due().runs == []
    office.clock.advance(1)
    assert other.due().runs == [state.run]


async def test_of_several_times_the_first_one_counts(office: Office) -> None:
    """The others come later; each time it is gone on with once."""
    office.write("id: t\nsteps:\n  - parallel: [{wait: 3h}, {wait: 1h}, {wait: 2h}]\n")
    app = office.process()
    state = await office.start(app)
    for hours in (1, 2, 3):
        assert row(office)["wake_at"] == (START + timedelta(hours=hours)).isoformat()
        office.clock.advance((START + timedelta(hours=hours) - office.clock.now()).total_seconds())
        await office.work(app)

    assert kinds(office, state.run).count("RunTakenOver") == 3
    assert app.fold(state.run).finished == "succeeded"


async def test_a_run_that_waits_only_shortly_is_not_left(office: Office) -> None:
    """It would be gone on with at once."""
    office.write(playbook("wait: 5s"))
    state = await office.start(office.process(park_after_s=10))

    assert state.finished == "succeeded"
    assert "RunParked" not in kinds(office, state.run)


async def test_a_run_is_not_left_while_an_action_is_under_way(office: Office) -> None:
    """However long it takes."""
    office.write(
        "id: t\nsteps:\n  - parallel:\n      - {wait: 2h}\n"
        "      - steps:\n          - {id: find, action: edr.get_host, with: {name: pc1}}\n"
        "          - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
    )
    office.world.script("isolate_host", Fault("slow", looks=12))
    state = await office.start(office.process())

    (cut,) = [node for path, node in state.nodes.items() if path.endswith(".cut")]
    assert cut.status == "succeeded"
    assert kinds(office, state.run)[-3:] == ["TargetsSettled", "ActionSucceeded", "RunParked"]


async def test_a_signal_makes_it_due(office: Office) -> None:
    """Only one of the name it waits for, and only if it has not looked at it."""
    office.write(playbook('wait: {event: scan, when: "event.n == 1", at_most: 2h}'))
    app = office.process()
    state = await office.start(app)
    await app.signal("other", {"n": 1}, source="test")
    assert app.due().runs == []
    await app.signal("scan", {"n": 0}, source="test")
    assert app.due().runs == [state.run]
    await office.work(app)
    assert app.due().runs == []
    await app.signal("scan", {"n": 1}, source="test")
    await office.work(app)

    assert app.fold(state.run).finished == "succeeded"


async def test_a_message_makes_it_due(office: Office) -> None:
    """It was posted by a face that did not go on with the run."""
    office.write(playbook("wait: 2h"))
    app = office.process()
    state = await office.start(app)
    await office.journal.post(state.run, "cancel", {}, sender="mei", at=office.clock.now())
    assert app.due().runs == [state.run]
    await office.work(app)

    assert app.fold(state.run).finished == "cancelled"
    assert office.journal.messages(state.run) == []


@pytest.mark.parametrize("kind", ["cancel", "pause"])
async def test_a_message_that_comes_while_a_run_is_being_left_is_not_lost(office: Office, kind: str) -> None:
    """Whenever it comes: it is taken by the process that leaves the run, or makes the run due."""
    for tick in range(0, 40, 3):
        office.write(playbook("wait: 2h"), "t")
        app = office.process()
        task = asyncio.create_task(office.start(app))
        unfinished: list[sqlite3.Row] = []
        while not unfinished:
            await asyncio.sleep(0)
            unfinished = office.journal.query("SELECT run FROM runs WHERE finished_at IS NULL AND NOT paused")
        for _ in range(tick):
            await asyncio.sleep(0)
        await office.journal.post(unfinished[0]["run"], kind, {}, sender="mei", at=office.clock.now())
        await task
        await office.work(app)
        assert office.journal.messages(unfinished[0]["run"]) == []


async def test_somebody_who_tells_a_run_that_is_just_being_left_is_heard(office: Office) -> None:
    """Another process drives it when they look, and nobody does a moment later."""
    office.write(playbook("wait: 2h"))
    for tick in range(10, 34, 2):
        driver, face = office.process(), office.process()
        task = asyncio.create_task(office.start(driver))
        for _ in range(tick):
            await asyncio.sleep(0)
        (unfinished,) = office.journal.query("SELECT run FROM runs WHERE finished_at IS NULL")
        state = await asyncio.wait_for(face.tell(unfinished["run"], "cancel", {}, actor="mei"), 10)
        assert state.finished == "cancelled"
        await task


async def test_somebody_who_tells_a_run_that_ends_at_that_moment_is_told_so(office: Office) -> None:
    """It took nothing any more; or it did, and was cancelled."""
    office.write("id: t\nsteps:\n  - {id: w, wait: 100ms}\n")
    for tick in range(4, 24, 2):
        driver, face = office.process(), office.process()
        task = asyncio.create_task(office.start(driver))
        for _ in range(tick):
            await asyncio.sleep(0)
        unfinished = office.journal.query("SELECT run FROM runs WHERE finished_at IS NULL")
        if not unfinished:
            break
        try:
            state = await asyncio.wait_for(face.tell(unfinished[0]["run"], "cancel", {}, actor="mei"), 10)
        except MessageNotWanted as exc:
            assert "is over: succeeded" in str(exc)  # noqa: PT017 - either of the two is right
        else:
            assert state.finished == "cancelled"
        await task


async def test_a_signal_that_comes_while_a_run_is_being_left_is_not_lost(office: Office) -> None:
    """It is looked at by the process that leaves the run, or makes the run due."""
    office.write(playbook("wait: {event: scan, at_most: 2h}"))
    for tick in range(0, 40, 3):
        app = office.process()
        task = asyncio.create_task(office.start(app))
        for _ in range(12 + tick):
            await asyncio.sleep(0)
        await app.signal("scan", {}, source="test")
        state = await task
        await office.work(app)
        assert app.fold(state.run).finished == "succeeded"
        office.clock.advance(10)


async def test_of_two_processes_that_go_on_with_it_one_wins(office: Office) -> None:
    """The other is told that somebody was quicker; the run knows one owner at a time."""
    office.write(playbook("wait: 2h"))
    first, second = office.process(), office.process()
    state = await office.start(first)
    office.clock.advance(7200)
    results = await asyncio.gather(first.go_on(state.run), second.go_on(state.run), return_exceptions=True)

    assert sorted(type(each).__name__ for each in results) == ["RunIsDriven", "RunState"]
    assert kinds(office, state.run).count("RunTakenOver") == 1
    assert [record.seq for record in office.journal.read(state.run)] == list(range(1, 6 + 2))


async def test_a_run_that_is_driven_is_not_gone_on_with_by_others(office: Office) -> None:
    """Nor a second time by the process that drives it."""
    office.write(playbook("wait: 2h"))
    first, second = office.process(park_after_s=0), office.process()
    task = asyncio.create_task(office.start(first))
    await until(lambda: office.journal.query("SELECT 1 FROM runs"))
    run = str(row(office)["run"])
    for app in (first, second):
        assert app.due().runs == []
        with pytest.raises(RunIsDriven):
            await app.go_on(run)
    assert (await task).finished == "succeeded"


async def test_a_message_whose_run_was_left_is_not_repeated_by_that(office: Office) -> None:
    """Leaving a run is no crash: nothing was under way, so nothing may have been sent twice."""
    office.write("id: t\nsteps:\n  - {wait: 2h}\n  - {id: tell, action: messaging.post, with: {channel: c, text: x}}\n")
    app = office.process()
    state = await office.start(app)
    office.clock.advance(7200)
    await office.work(app)

    assert not app.fold(state.run).nodes["tell[fake]"].possibly_repeated
    assert len(office.world.messages) == 1


async def test_who_looks_on_waits_with_the_run(office: Office) -> None:
    """With nothing to leave it for, it is driven through hours."""
    office.write(playbook("wait: 2h"))
    state = await office.start(office.process(park_after_s=0))

    assert state.finished == "succeeded"
    assert "RunParked" not in kinds(office, state.run)


@pytest.mark.parametrize("park_after_s", [0.0, 1.0])
async def test_a_run_that_only_a_person_can_bring_on_is_left(office: Office, park_after_s: float) -> None:
    """Whoever looks on is told, and the run is due to nobody until somebody says something."""
    office.write(
        "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
        "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
    )
    office.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    app = office.process(park_after_s=park_after_s)
    state = await office.start(app)
    assert (state.status, row(office)["parked"], row(office)["wake_at"]) == ("waiting", 1, None)
    assert app.due().runs == []
    assert [each["waits_for"] for each in app.runs()] == ["resolve"]

    office.world.faults.clear()
    await office.journal.post(
        state.run, "resolve", {"path": "cut", "happened": True}, sender="mei", at=office.clock.now()
    )
    await office.work(office.process())
    assert app.fold(state.run).finished == "succeeded"


async def test_a_plan_is_never_left(office: Office) -> None:
    """It waits for nothing."""
    office.write(playbook("wait: 2h"))
    plan = await office.process().start_run("t", {}, actor="ana", mode="plan")

    assert plan.finished == "succeeded"
    assert "RunParked" not in kinds(office, plan.run)


async def test_a_run_that_is_begun_for_others_does_nothing_in_its_process(office: Office) -> None:
    """Detached: it is due at once, and whoever works for the project does it all."""
    office.write("id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n")
    app = office.process()
    state = await app.start_run("t", {}, actor="ana", mode="live", detach=True)
    assert office.world.calls == []
    assert kinds(office, state.run)[:2] == ["RunStarted", "RunParked"]
    assert app.due().runs == [state.run]
    await office.work(office.process())

    assert app.fold(state.run).finished == "succeeded"


async def test_what_a_run_did_before_it_was_left_is_not_done_again(office: Office) -> None:
    """Ten times left and gone on with: one read, one change."""
    office.write(
        "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
        "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
        + "".join("  - {wait: 1h}\n" for _ in range(10))
    )
    seen: list[str] = []

    async def note(call: Call) -> None:
        seen.append(call.verb)

    office.world.on_call = note
    state = await office.start(office.process())
    for _ in range(10):
        office.clock.advance(3600)
        app = office.process()
        await office.work(app)

    assert app.fold(state.run).finished == "succeeded"
    assert seen == ["find_hosts", "isolation_of", "isolate_host", "isolation_of"]


@pytest.mark.parametrize("limit", ["1h", "40s"])
async def test_a_run_that_is_over_does_not_wait_for_its_time_limit(office: Office, limit: str) -> None:
    """It ends with its last step, and nothing is written to it afterwards."""
    office.write(f"id: t\ntimeout: {limit}\nsteps:\n  - {{id: s, action: edr.find_hosts, with: {{name: no}}}}\n")
    app = office.process()
    began = office.clock.now()

    state = await office.start(app)

    assert (state.finished, kinds(office, state.run)[-1]) == ("succeeded", "RunFinished")
    assert office.clock.now() - began < timedelta(seconds=1)
