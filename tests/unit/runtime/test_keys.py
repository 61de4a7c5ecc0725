"""Runs of the same key: they wait, join or are refused; and a key is free again whatever became of its holder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office, until

from hikeshi.app import KeyHeld, MessageNotWanted
from hikeshi.core import RunState
from hikeshi.core import events as ev


def playbook(on_conflict: str, name: str = "t") -> str:
    return f"""
id: {name}
inputs: {{host: {{type: string}}, why: {{type: string, default: x}}}}
concurrency: {{key: "{{{{ inputs.host }}}}", on_conflict: {on_conflict}}}
steps:
  - {{id: w, wait: 1h}}
  - {{id: find, action: edr.get_host, with: {{name: "{{{{ inputs.host }}}}"}}}}
  - {{id: cut, action: edr.isolate_host, with: {{host: "{{{{ steps.find }}}}", reason: "{{{{ inputs.why }}}}"}}}}
finally:
  - {{action: messaging.post, with: {{channel: c, text: done}}}}
"""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


def key_of(office: Office) -> list[tuple[str, str]]:
    return [(row["key"], row["run"]) for row in office.journal.query("SELECT * FROM run_keys ORDER BY key, run")]


def events_of(office: Office, run: str) -> list[str]:
    return [record.kind for record in office.journal.read(run)]


# --- queue ------------------------------------------------------------------------------------------------------------


async def test_a_later_run_waits_for_its_turn(office: Office) -> None:
    """It does nothing before, not even a read, and takes the key when the first has ended."""
    office.write(playbook("queue"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    second = await office.start(app, {"host": "pc1", "why": "y"})
    assert (first.status, second.status) == ("waiting", "pending")
    assert events_of(office, second.run) == ["RunStarted", "RunParked"]

    office.clock.advance(3600)
    await office.work(app)
    assert office.sent("isolate_host") == ["isolate_host pc1"]
    assert key_of(office) == [("t:pc1", second.run)]

    office.clock.advance(3600)
    await office.work(app)
    assert app.fold(second.run).finished == "succeeded"
    assert app.fold(second.run).nodes["cut"].already
    assert key_of(office) == []


async def test_runs_of_other_keys_do_not_wait(office: Office) -> None:
    """The key is what the playbook makes of the inputs."""
    office.write(playbook("queue"))
    app = office.process()
    states = [await office.start(app, {"host": host}) for host in ("pc1", "pc2")]

    assert [state.status for state in states] == ["waiting", "waiting"]
    assert key_of(office) == [("t:pc1", states[0].run), ("t:pc2", states[1].run)]


async def test_those_that_wait_go_on_in_the_order_in_which_they_were_started(office: Office) -> None:
    """Each after the one before it."""
    office.write(playbook("queue"))
    app = office.process()
    runs = []
    for why in ("a", "b", "c", "d"):
        runs.append((await office.start(app, {"host": "pc1", "why": why})).run)
        office.clock.advance(1)
    ended: list[str] = []
    for _ in range(12):
        office.clock.advance(3600)
        ended += [state.run for state in await office.work(app) if state.finished]

    assert ended == runs
    taken = [run for run in runs if "KeyAcquired" in events_of(office, run)]
    assert taken == runs


async def test_a_driven_run_takes_the_key_by_itself_when_it_is_free(office: Office) -> None:
    """Nobody has to come for it if its process is there."""
    office.write(playbook("queue"))
    first, second = office.process(park_after_s=0.0), office.process(park_after_s=0.0)
    runs = await asyncio.gather(office.start(first, {"host": "pc1"}), office.start(second, {"host": "pc1", "why": "y"}))

    assert [state.finished for state in runs] == ["succeeded", "succeeded"]
    assert office.sent("isolate_host") == ["isolate_host pc1"]


async def test_the_key_of_a_process_that_died_stays_with_its_run(office: Office) -> None:
    """The run is gone on with by another process, ends, and only then the next one has its turn."""
    office.write(playbook("queue"))
    dying, other = office.process(park_after_s=90_000.0), office.process()
    task = asyncio.create_task(office.start(dying, {"host": "pc1"}))
    await until(lambda: key_of(office))
    (holder,) = [run for _, run in key_of(office)]
    second = await office.start(other, {"host": "pc1", "why": "y"})
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await office.end(dying)
    await office.work(other)
    assert key_of(office) == [("t:pc1", holder)]
    assert other.fold(second.run).status == "pending"

    office.clock.advance(3600)
    await office.work(other)
    assert other.fold(holder).finished == "succeeded"
    assert key_of(office) == [("t:pc1", second.run)]


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_the_key_is_free_however_the_holder_ends(office: Office, how: str) -> None:
    """Cancelled or failed; the next one goes on at once."""
    office.write(playbook("queue"))
    app = office.process()
    first = await office.start(app, {"host": "pc1" if how == "cancelled" else "gone"})
    second = await office.start(app, {"host": "pc1" if how == "cancelled" else "gone", "why": "y"})
    if how == "cancelled":
        await app.tell(first.run, "cancel", {}, actor="mei")
    else:
        office.clock.advance(3600)
        await office.work(app)
    await office.work(app)

    assert app.fold(first.run).finished == how
    assert key_of(office)[0][1] == second.run


async def test_a_queued_run_can_be_cancelled(office: Office) -> None:
    """It never began: no step, no `finally`, and the one that has the key knows nothing of it."""
    office.write(playbook("queue"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    second = await office.start(app, {"host": "pc1", "why": "y"})
    state = await app.tell(second.run, "cancel", {"reason": "no longer"}, actor="mei")

    assert state.finished == "cancelled"
    assert state.nodes == {}
    assert office.sent() == []
    assert key_of(office) == [("t:pc1", first.run)]
    office.clock.advance(3600)
    await office.work(app)
    assert app.fold(first.run).finished == "succeeded"


async def test_a_paused_holder_keeps_its_key(office: Office) -> None:
    """Whoever waits goes on waiting."""
    office.write(playbook("queue"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    second = await office.start(app, {"host": "pc1", "why": "y"})
    await app.tell(first.run, "pause", {}, actor="mei")
    office.clock.advance(7200)
    await office.work(app)

    assert key_of(office) == [("t:pc1", first.run)]
    assert app.fold(second.run).status == "pending"


# --- join and reject --------------------------------------------------------------------------------------------------


async def test_the_same_run_once_more_joins_the_one_under_way(office: Office) -> None:
    """Nothing is started; who asked again is told of the first, and that stands in its record."""
    office.write(playbook("join"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    again = await app.start_run("t", {"host": "pc1"}, actor="kei", mode="live")
    assert again.run == first.run
    office.clock.advance(3600)
    await office.work(app)

    assert [row["run"] for row in app.runs()] == [first.run]
    joined = [record.data["actor"] for record in office.journal.read(first.run) if record.kind == "RunJoined"]
    assert joined == ["kei"]


async def test_with_other_inputs_a_run_waits_instead_of_joining(office: Office) -> None:
    """Somebody who asks for something else must get it."""
    office.write(playbook("join"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    other = await office.start(app, {"host": "pc1", "why": "another reason"})
    assert (other.run != first.run, other.status) == (True, "pending")
    for _ in range(2):
        office.clock.advance(3600)
        await office.work(app)

    assert app.fold(other.run).finished == "succeeded"


async def test_a_run_that_would_join_one_that_has_ended_runs_itself(office: Office) -> None:
    """There is nothing to join any more."""
    office.write(playbook("join"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    office.clock.advance(3600)
    await office.work(app)
    second = await office.start(app, {"host": "pc1"})

    assert second.run != first.run
    assert key_of(office) == [("t:pc1", second.run)]


async def test_two_that_are_started_at_the_same_moment_are_one(office: Office) -> None:
    """Neither saw the other when it looked; the journal decides, and the loser joins."""
    office.write(playbook("join"))
    first, second = office.process(), office.process()
    states = await asyncio.gather(office.start(first, {"host": "pc1"}), office.start(second, {"host": "pc1"}))
    office.clock.advance(3600)
    await office.work(first)

    assert states[0].run == states[1].run
    assert office.sent("isolate_host") == ["isolate_host pc1"]
    statuses = sorted(row["status"] for row in first.runs())
    assert statuses in (["succeeded"], ["cancelled", "succeeded"])


async def test_a_run_is_refused_while_one_of_its_key_is_under_way(office: Office) -> None:
    """Before anything of it is stored; afterwards it may run."""
    office.write(playbook("reject"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    with pytest.raises(KeyHeld, match=f"run {first.run} has the key 't:pc1' and is under way"):
        await office.start(app, {"host": "pc1"})
    assert [row["run"] for row in app.runs()] == [first.run]

    office.clock.advance(3600)
    await office.work(app)
    assert (await office.start(app, {"host": "pc1"})).status == "waiting"


async def test_of_two_at_the_same_moment_one_is_refused(office: Office) -> None:
    """It ends as failed, having done nothing, and says which run has the key."""
    office.write(playbook("reject"))
    first, second = office.process(), office.process()
    results = await asyncio.gather(
        office.start(first, {"host": "pc1"}), office.start(second, {"host": "pc1"}), return_exceptions=True
    )
    lost = [each for each in results if isinstance(each, KeyHeld) or each.finished == "failed"]  # type: ignore[union-attr]

    assert len(lost) == 1
    assert len(key_of(office)) == 1
    if isinstance(lost[0], RunState):
        assert lost[0].nodes == {}
        assert "has 't:pc1' and is under way" in lost[0].error.message  # type: ignore[union-attr]


async def test_a_plan_needs_no_key(office: Office) -> None:
    """It changes nothing, so it stands in nobody's way."""
    office.write(playbook("reject"))
    app = office.process()
    await office.start(app, {"host": "pc1"})
    plan = await app.start_run("t", {"host": "pc1"}, actor="ana", mode="plan")

    assert plan.finished == "succeeded"


# --- a step that runs such a playbook ---------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", ["queue", "join"])
async def test_a_step_waits_for_the_key_of_the_playbook_it_runs(office: Office, on_conflict: str) -> None:
    """It needs the result, so it never joins another run; it frees the key when that playbook is over."""
    office.write(playbook(on_conflict))
    office.write("id: outer\nsteps:\n  - {id: sub, playbook: t, with: {host: pc1}}\n  - {id: w, wait: 1h}\n", "outer")
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    outer = await office.start(app, name="outer")
    assert outer.nodes["sub"].inner is None
    office.clock.advance(3600)
    await office.work(app)
    await office.work(app)
    assert key_of(office) == [("t:pc1", outer.run)]
    office.clock.advance(3600)
    await office.work(app)

    assert app.fold(first.run).finished == "succeeded"
    assert app.fold(outer.run).nodes["sub"].status == "succeeded"
    assert app.fold(outer.run).nodes["w"].status == "running"
    assert key_of(office) == []


async def test_a_step_fails_where_the_playbook_it_runs_refuses(office: Office) -> None:
    """As a conflict that its own handling may continue."""
    office.write(playbook("reject"))
    office.write(
        "id: outer\nsteps:\n  - {id: sub, playbook: t, with: {host: pc1}, on_error: continue}\n"
        "  - {id: after, set: {k: errors.sub.kind}}\n",
        "outer",
    )
    app = office.process()
    await office.start(app, {"host": "pc1"})
    outer = await office.start(app, name="outer")

    assert outer.nodes["after"].output == {"k": "conflict"}


async def test_a_cancelled_step_waits_for_no_key(office: Office) -> None:
    """The run that has it goes on."""
    office.write(playbook("queue"))
    office.write("id: outer\nsteps:\n  - {id: sub, playbook: t, with: {host: pc1}}\n", "outer")
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    outer = await office.start(app, name="outer")
    state = await app.tell(outer.run, "cancel", {}, actor="mei")

    assert state.finished == "cancelled"
    assert state.nodes["sub"].status == "cancelled"
    assert key_of(office) == [("t:pc1", first.run)]


async def test_two_steps_of_one_run_take_turns(office: Office) -> None:
    """They belong to the same run, and still do not touch the same host at the same time."""
    office.write(playbook("queue"))
    office.write(
        "id: outer\nsteps:\n  - parallel:\n"
        "      - {id: a, playbook: t, with: {host: pc1}}\n      - {id: b, playbook: t, with: {host: pc1}}\n",
        "outer",
    )
    app = office.process(park_after_s=90_000.0)
    outer = await office.start(app, name="outer")

    assert outer.finished == "succeeded"
    kinds = [(record.kind, record.path) for record in office.journal.read(outer.run)]
    order = [(kind, path) for kind, path in kinds if kind in ("KeyAcquired", "PlaybookFinished")]
    assert [kind for kind, _ in order] == ["KeyAcquired", "PlaybookFinished"] * 2
    assert order[0][1] == order[1][1] != order[2][1]


async def test_a_message_to_a_run_that_has_joined_another_is_refused(office: Office) -> None:
    """It is over; its text says so."""
    office.write(playbook("join"))
    app = office.process()
    first = await office.start(app, {"host": "pc1"})
    office.clock.advance(3600)
    await office.work(app)
    with pytest.raises(MessageNotWanted, match="is over: succeeded"):
        await app.tell(first.run, "cancel", {}, actor="mei")
    assert ev.RunFinished.__name__ in events_of(office, first.run)
