"""Undoing what a run did: everything that was so before is so again, and nothing that others want otherwise."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office, until

from hikeshi.app import Hikeshi, UnknownRun
from hikeshi.app.undo_plan import HoldRefused, UndoPlan, UnknownHold
from hikeshi.connector import Applied, Forbidden, Unavailable
from hikeshi.core import RunState
from hikeshi.testing.fake_connector import Fault

USER, GROUP, IP = "mei@example.com", "admins", "203.0.113.1"
HOST = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
"""
TWO = (
    HOST
    + """\
  - {id: other, action: edr.get_host, with: {name: pc2}, needs: [cut]}
  - {id: cut2, action: edr.isolate_host, with: {host: "{{ steps.other }}", reason: r}}
"""
)
ALL = f"""
id: t
vars: {{hash: {{kind: sha256, value: {"a" * 64}}}, ip: {{kind: ipv4, value: {IP}}}}}
steps:
  - {{id: find, action: edr.get_host, with: {{name: pc1}}}}
  - {{id: who, action: identity.get_user, with: {{name: {USER}}}}}
  - {{id: cut, action: edr.isolate_host, with: {{host: "{{{{ steps.find }}}}", reason: r}}}}
  - {{id: hashes, action: edr.block_hashes, with: {{hashes: ["{{{{ vars.hash }}}}"], reason: r}}, needs: [cut]}}
  - id: wall
    needs: [hashes]
    action: firewall.block_indicators
    with: {{indicators: ["{{{{ vars.ip }}}}"], reason: r}}
  - {{id: bar, action: identity.disable_user, with: {{user: "{{{{ steps.who }}}}", reason: r}}, needs: [wall]}}
  - {{id: end, action: identity.revoke_sessions, with: {{user: "{{{{ steps.who }}}}", reason: r}}, needs: [bar]}}
  - {{id: groups, action: identity.groups_of, with: {{user: "{{{{ steps.who }}}}"}}, needs: [end]}}
  - id: out
    for_each: steps.groups
    concurrency: 1
    action: identity.remove_from_group
    with: {{user: "{{{{ steps.who }}}}", group: "{{{{ item }}}}", reason: r}}
"""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


async def did(office: Office, text: str = HOST, park_after_s: float = 0) -> tuple[Hikeshi, RunState]:
    """Run a playbook in a process that stays with its runs while they wait for a time, unless it is told not to."""
    office.write(text)
    app = office.process(park_after_s=park_after_s)
    return app, await office.start(app)


async def undo(app: Hikeshi, run: str, step: str | None = None, *, override: bool = False) -> RunState:
    plan = await app.plan_undo(run, step)
    return await app.undo(plan, actor="kei", override=override)


def does(plan: UndoPlan) -> list[tuple[str, str]]:
    return [(each.hold.path, each.does) for each in plan.inverses]


def world(office: Office) -> object:
    """Return what is there, but for what a read or a failed look leaves behind."""
    isolation = {key: state for key, state in office.world.isolation.items() if state != "normal"}
    return isolation, set(office.world.blocked), set(office.world.disabled), set(office.world.members)


def people(office: Office) -> None:
    user, group = office.world.add_user(USER), office.world.add_group(GROUP)
    more = office.world.add_group("operators")
    office.world.members |= {("fake", user.id, group.id), ("fake", user.id, more.id)}


# --- everything as it was ---------------------------------------------------------------------------------------------


@pytest.mark.safety(20)
async def test_every_change_with_an_inverse_is_taken_back_the_last_one_first(office: Office) -> None:
    """A host, blocks, an account and its groups are what they were; what cannot be undone is named with the reason."""
    people(office)
    before = world(office)
    app, state = await did(office, ALL)
    assert state.finished == "succeeded"
    made = [call.verb for call in office.world.sent()]
    plan = await app.plan_undo(state.run)
    assert does(plan) == [
        ("out[1]", "undo"),
        ("out[0]", "undo"),
        ("end", "cannot"),
        ("bar", "undo"),
        ("wall[fake]", "undo"),
        ("hashes[fake]", "undo"),
        ("cut", "undo"),
    ]
    assert plan.inverses[2].why == "ended sessions cannot be given back; the person signs in again"
    assert world(office) != before

    undone = await app.undo(plan, actor="kei")

    assert undone.finished == "succeeded"
    assert world(office) == before
    back = [call.verb for call in office.world.sent()][len(made) :]
    assert back == [
        "add_to_group",
        "add_to_group",
        "enable_user",
        "unblock_indicators",
        "unblock_hashes",
        "release_host",
    ]
    assert app.left_of(plan) == []
    assert set(office.hold_statuses()) == {"released", "done"}


@pytest.mark.safety(20)
async def test_what_was_so_before_the_run_stays_so(office: Office) -> None:
    """An account that was disabled, a block that stood there and a group that it was not in: none is touched."""
    people(office)
    office.world.disabled.add(("fake", f"id-{USER}"))
    office.world.blocked.add(("fake", IP))
    office.world.members.discard(("fake", f"id-{USER}", "id-operators"))
    before = world(office)
    app, state = await did(office, ALL)
    undone = await undo(app, state.run)

    assert undone.finished == "succeeded"
    assert world(office) == before
    sent = {call.verb for call in office.world.sent()}
    assert sent & {"enable_user", "unblock_indicators", "disable_user", "block_indicators"} == set()


async def test_an_undo_is_a_run_that_says_what_it_is_for(office: Office) -> None:
    """With its own actor, and the reason that was given."""
    app, state = await did(office)
    plan = await app.plan_undo(state.run)
    undone = await app.undo(plan, actor="kei", reason="false alarm")
    started = next(iter(app.records(undone.run))).data

    assert (started["actor"], started["reason"]) == ("kei", f"undo {state.run}: false alarm")
    assert started["inputs"]["run"] == state.run


async def test_one_step_alone_is_undone(office: Office) -> None:
    """The others stay, and a step that changed nothing is named together with those that did."""
    app, state = await did(office, TWO)
    undone = await undo(app, state.run, "cut")
    assert undone.finished == "succeeded"
    assert world(office)[0] == {("fake", "id-pc2"): "isolated"}  # type: ignore[index]
    with pytest.raises(HoldRefused, match=r"no step 'find' .* changed anything \(steps that did: cut, cut2\)"):
        await app.plan_undo(state.run, "find")


async def test_a_step_is_undone_with_all_that_is_inside_of_it(office: Office) -> None:
    """Items of a loop belong to it; a step whose name begins alike does not."""
    people(office)
    app, state = await did(office, ALL + "  - {id: outer, action: edr.get_host, with: {name: pc2}}\n")
    assert does(await app.plan_undo(state.run, "out")) == [("out[1]", "undo"), ("out[0]", "undo")]


async def test_one_that_fails_keeps_no_other_from_being_tried(office: Office) -> None:
    """It stays held, and the result says so and why."""
    app, state = await did(office, TWO)
    office.world.script("release_host", Forbidden("not allowed"))
    plan = await app.plan_undo(state.run)
    undone = await app.undo(plan, actor="kei")

    assert undone.finished == "failed"
    assert office.sent("release_host") == ["release_host pc1"]
    (left,) = app.left_of(plan)
    assert (left.label, left.release_error, left.release_run) == ("pc2", "not allowed", undone.run)
    again = await undo(app, state.run)
    assert again.finished == "succeeded"
    assert app.holds() == []


async def test_a_product_that_is_down_does_not_hold_up_the_others_for_long(office: Office) -> None:
    """Somebody looks on and can try again, so a few attempts within seconds are enough."""
    app, state = await did(office, TWO)
    office.world.script("release_host", *[Unavailable("down")] * 3)
    begun = office.clock.now()
    undone = await undo(app, state.run)

    assert undone.finished == "failed"
    assert (office.clock.now() - begun).total_seconds() < 30
    assert office.sent("release_host") == ["release_host pc1"]


async def test_undoing_what_was_undone_says_by_which_run(office: Office) -> None:
    """There is nothing to do, and nothing is begun."""
    app, state = await did(office)
    first = await undo(app, state.run)
    plan = await app.plan_undo(state.run)

    assert does(plan) == [("cut", "over")]
    assert first.run in (plan.inverses[0].why or "")
    with pytest.raises(HoldRefused, match="nothing to undo"):
        await app.undo(plan, actor="kei")


async def test_a_run_that_is_not_over_is_not_undone(office: Office) -> None:
    """It might go on to change more; one step of it may be taken back."""
    app, state = await did(office, HOST + "  - {wait: 5h}\n", park_after_s=1)
    with pytest.raises(HoldRefused, match=f"hikeshi cancel {state.run}"):
        await app.plan_undo(state.run)
    assert does(await app.plan_undo(state.run, "cut")) == [("cut", "undo")]


async def test_a_dry_run_and_a_run_that_does_not_exist_are_not_undone(office: Office) -> None:
    """Each is told by its own words."""
    office.write(HOST)
    app = office.process()
    planned = await app.start_run("t", {}, actor="ana", mode="plan")
    with pytest.raises((HoldRefused, UnknownRun)):
        await app.plan_undo(planned.run)
    with pytest.raises(UnknownRun):
        await app.plan_undo("nothing")
    with pytest.raises(UnknownHold, match="hikeshi holds"):
        await app.plan_release(["nothing"])


async def test_a_change_of_unknown_outcome_is_not_undone_by_guessing(office: Office) -> None:
    """Somebody says first whether it happened."""
    office.world.script("isolate_host", Fault("lost", Unavailable("gone", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 20)
    app, state = await did(office)
    office.world.faults.clear()
    (inverse,) = (await app.plan_undo(state.run, "cut")).inverses
    assert (inverse.does, inverse.hold.status) == ("cannot", "unknown")
    assert f"hikeshi resolve {state.run} 'cut'" in (inverse.why or "")


async def test_a_change_that_its_playbook_keeps_is_named_as_such(office: Office) -> None:
    """`undo: none` is the author's word."""
    app, state = await did(office, HOST.replace("reason: r}}", "reason: r}, undo: none}"))
    (inverse,) = (await app.plan_undo(state.run)).inverses
    assert (inverse.does, inverse.why) == ("cannot", "its playbook says that it stays: undo: none")


# --- what others want -------------------------------------------------------------------------------------------------


@pytest.mark.safety(21)
async def test_what_another_run_still_holds_passes_on(office: Office) -> None:
    """The host stays isolated until the last hold goes."""
    app, first = await did(office)
    office.clock.advance(60)
    second = await office.start(app)
    (inverse,) = (await app.plan_undo(first.run)).inverses
    assert inverse.does == "pass_on"
    assert second.run in (inverse.why or "")

    await undo(app, first.run)
    assert office.sent("release_host") == []
    assert office.hold_statuses() == ["passed_on", "active"]
    await undo(app, second.run)
    assert office.sent("release_host") == ["release_host pc1"]
    assert office.hold_statuses() == ["passed_on", "released"]


@pytest.mark.safety(21)
async def test_what_somebody_else_changed_since_is_left_to_a_person(office: Office) -> None:
    """It is neither as the run left it nor as it was before: nothing is sent, and the text says who decides."""
    app, state = await did(office)
    office.world.isolation["fake", "id-pc1"] = "releasing"
    (inverse,) = (await app.plan_undo(state.run)).inverses
    assert inverse.does == "decide"
    undone = await undo(app, state.run)

    assert undone.finished == "failed"
    error = undone.nodes[undone.failures[0]].error
    assert error is not None
    assert error.kind == "changed"
    assert "state=releasing" in error.message
    assert f"hikeshi undo {state.run} --step 'cut' --override" in error.message
    assert office.sent("release_host") == []
    assert office.hold_statuses() == ["active"]


@pytest.mark.safety(21)
async def test_a_person_may_override_and_is_on_record(office: Office) -> None:
    """Then the inverse is sent all the same."""
    app, state = await did(office)
    office.world.isolation["fake", "id-pc1"] = "releasing"
    undone = await undo(app, state.run, override=True)

    assert undone.finished == "succeeded"
    assert office.sent("release_host") == ["release_host pc1"]
    started = next(iter(app.records(undone.run))).data
    assert (started["actor"], started["inputs"]["override"]) == ("kei", True)


@pytest.mark.safety(21)
async def test_a_playbook_cannot_override(office: Office) -> None:
    """Whatever its inputs are called: only the engine's own undo looks at that."""
    await did(office)
    office.world.isolation["fake", "id-pc1"] = "releasing"
    text = "id: undo-run\ninputs: {override: {type: boolean, default: true}}\nsteps:\n"
    office.write(
        text + "  - {id: find, action: edr.get_host, with: {name: pc1}}\n  - {release: steps.find}\n", "undo-run"
    )
    state = await office.start(office.process(), name="undo-run")

    assert state.finished == "failed"
    assert office.sent("release_host") == []


@pytest.mark.safety(21)
async def test_an_expired_hold_is_not_released_over_somebody_elses_head_either(office: Office) -> None:
    """The engine tries again later; meanwhile whoever looks at what is held is told why."""
    app, _ = await did(office, HOST.replace("reason: r}}", "reason: r}, hold: 1h}"))
    office.world.isolation["fake", "id-pc1"] = "releasing"
    office.clock.advance(3601)
    await office.work(app)
    (hold,) = app.holds()
    assert "somebody else changed it since" in (hold.release_error or "")
    assert office.sent("release_host") == []
    office.world.isolation["fake", "id-pc1"] = "normal"
    office.clock.advance(400)
    await office.work(app)
    assert app.holds() == []


@pytest.mark.safety(20, 21)
async def test_what_somebody_else_released_is_closed_and_nothing_is_sent(office: Office) -> None:
    """It is as it was before."""
    app, state = await did(office)
    office.world.isolation["fake", "id-pc1"] = "normal"
    assert does(await app.plan_undo(state.run)) == [("cut", "close")]
    undone = await undo(app, state.run)

    assert undone.finished == "succeeded"
    assert office.sent("release_host") == []
    assert office.hold_statuses() == ["released"]


@pytest.mark.safety(13, 21)
async def test_a_target_that_cannot_be_read_is_not_undone(office: Office) -> None:
    """Not taken for released, and not for unchanged."""
    app, state = await did(office)
    office.world.script("isolation_of", *[Unavailable("down")] * 50)
    plan = await app.plan_undo(state.run)
    assert does(plan) == [("cut", "try")]
    undone = await app.undo(plan, actor="kei")

    assert undone.finished == "failed"
    assert office.sent("release_host") == []
    assert office.hold_statuses() == ["active"]


# --- crashes ----------------------------------------------------------------------------------------------------------


async def test_an_undo_goes_on_when_its_process_dies(office: Office) -> None:
    """Nothing is sent twice, and a second undo of the same run waits for it."""
    app, state = await did(office, TWO)
    office.world.script("release_host", Fault("slow", looks=30))
    task = asyncio.create_task(undo(app, state.run))
    await until(lambda: office.sent("release_host") or task.done())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await office.end(app)
    other = office.process()
    with pytest.raises(HoldRefused, match="is undoing run"):
        await other.plan_undo(state.run)
    await office.work(other)

    assert office.sent("release_host") == ["release_host pc2", "release_host pc1"]
    assert office.hold_statuses() == ["released", "released"]


async def test_what_somebody_is_releasing_is_not_released_by_the_engine_as_well(office: Office) -> None:
    """Its time is over while the undo waits for a person."""
    app, state = await did(office, HOST.replace("reason: r}}", "reason: r}, hold: 1h}"))
    office.world.script("release_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, None, *[Unavailable("down")] * 20)
    waiting = await undo(app, state.run)
    assert waiting.status == "waiting"
    office.world.faults.clear()
    office.clock.advance(7200)
    assert app.due().holds == []
    (path,) = waiting.unknown
    done = await app.resolve(waiting.run, path, happened=True, actor="mei")
    assert done.finished == "succeeded"
    assert office.hold_statuses() == ["released"]


# --- single holds -----------------------------------------------------------------------------------------------------


async def test_single_holds_are_released(office: Office) -> None:
    """Those that are named, each once; the others stay."""
    app, _ = await did(office, TWO)
    one = next(hold for hold in app.holds() if hold.label == "pc1")
    plan = await app.plan_release([one.hold, one.hold])
    state = await app.undo(plan, actor="kei", reason="clean")

    assert state.finished == "succeeded"
    assert [hold.label for hold in app.holds()] == ["pc2"]
    assert next(iter(app.records(state.run))).data["reason"] == "release: clean"


async def test_a_long_list_is_undone_in_few_calls(office: Office) -> None:
    """Five hundred at once; hosts, each with requests of its own, twenty beside each other."""
    office.write(
        "id: t\ninputs: {found: {type: list, items: indicator}}\nsteps:\n"
        '  - {action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}\n'
    )
    app = office.process()
    state = await office.start(app, {"found": [f"203.0.{n // 250}.{n % 250}" for n in range(1100)]})
    plan = await app.plan_undo(state.run)
    assert [len(step) for step in plan.steps] == [500, 500, 100]
    await app.undo(plan, actor="mei")

    assert [len(call.arguments["indicators"]) for call in office.world.sent("unblock_indicators")] == [500, 500, 100]
    assert app.holds() == []
