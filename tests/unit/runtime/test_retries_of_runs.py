"""Running again what failed in a run: nothing that is confirmed is called once more."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from office import Office

from hikeshi.app import Hikeshi, KeyHeld, NothingToRetry, UnknownRun
from hikeshi.connector import Applied, Forbidden, Unavailable
from hikeshi.core import RunState
from hikeshi.testing.fake_connector import Fault

TEXT = """
id: t
inputs: {name: {type: string, default: pc1}, found: {type: list, items: indicator, default: ["203.0.113.1"]}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - {id: tell, action: messaging.post, with: {channel: c, text: first}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: block, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
  - {id: last, action: messaging.post, with: {channel: c, text: last}}
outputs: {state: "{{ steps.cut.state }}", blocked: "{{ steps.block }}"}
"""
LOOP = """
id: t
steps:
  - id: sweep
    for_each: "['pc1', 'pc2', 'pc3']"
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
outputs: {all: "{{ steps.sweep }}"}
"""
HANDLED = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - id: cut
    action: edr.isolate_host
    with: {host: "{{ steps.find }}", reason: r}
    on_error: [{action: messaging.post, with: {channel: c, text: handled}}]
on_failure: [{action: messaging.post, with: {channel: c, text: failed}}]
finally: [{action: messaging.post, with: {channel: c, text: tidied}}]
"""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path)
    yield made
    await made.close()


def calls(office: Office) -> Counter[str]:
    """Return how often each verb was called, and forget the calls."""
    counted = Counter(call.verb for call in office.world.calls)
    office.world.calls.clear()
    return counted


async def retried(office: Office, app: Hikeshi, run: str, step: str | None = None) -> RunState:
    return await app.retry(run, step, actor="kei")


async def failed(office: Office, text: str, *faults: tuple[str, Exception | Fault | None]) -> tuple[Hikeshi, str]:
    """Run a playbook that fails, and forget the calls."""
    office.write(text)
    app = office.process()
    for verb, fault in faults:
        office.world.script(verb, fault)  # type: ignore[arg-type]  # what a fake takes
    state = await office.start(app)
    assert state.finished == "failed"
    calls(office)
    return app, state.run


async def test_reads_changes_and_messages_that_are_confirmed_are_not_made_again(office: Office) -> None:
    """Only what failed is called, and what never came to its turn because of it."""
    app, run = await failed(office, TEXT, ("block_indicators", Forbidden("no")))
    state = await retried(office, app, run)

    assert calls(office) == Counter({"blocks_of": 2, "block_indicators": 1, "post": 1})
    assert state.finished == "succeeded"
    assert state.outputs["state"] == "isolated"
    assert [text for _, _, text in office.world.messages] == ["first", "last"]
    carried = [r.path for r in app.records(state.run) if r.kind == "ActionSucceeded" and r.data["carried_from"]]
    assert carried == ["find", "tell[fake]", "cut"]
    assert {r.data["carried_from"] for r in app.records(state.run) if r.kind == "ActionSucceeded"} == {run, None}


async def test_a_retry_is_a_run_of_its_own_that_names_the_other(office: Office) -> None:
    """By whom it was started and of what; and the old one stays as it was."""
    app, run = await failed(office, TEXT, ("block_indicators", Forbidden("no")))
    before = [record.encoded for record in app.records(run)]
    state = await retried(office, app, run)

    (row,) = office.journal.query("SELECT retry_of, actor FROM runs WHERE run = ?", (state.run,))
    assert (row["retry_of"], row["actor"]) == (run, "kei")
    assert [record.encoded for record in app.records(run)] == before


async def test_what_was_carried_opens_no_second_hold(office: Office) -> None:
    """The change is held once, by the run that made it."""
    app, run = await failed(office, TEXT, ("block_indicators", Forbidden("no")))
    await retried(office, app, run)

    rows = office.journal.query("SELECT action, run = ? AS old, status FROM holds ORDER BY action", (run,))
    assert [(row["action"], row["old"], row["status"]) for row in rows] == [
        ("edr.isolate_host", 1, "active"),
        ("firewall.block_indicators", 1, "void"),
        ("firewall.block_indicators", 0, "active"),
    ]


async def test_a_retry_that_fails_may_be_retried(office: Office) -> None:
    """What the first run confirmed is carried through both."""
    app, run = await failed(office, TEXT, *[("block_indicators", Forbidden("no"))] * 2)
    second = await retried(office, app, run)
    assert second.finished == "failed"
    calls(office)
    third = await retried(office, app, second.run)

    assert third.finished == "succeeded"
    assert calls(office)["isolate_host"] == calls(office)["find_hosts"] == 0


async def test_only_the_items_of_a_loop_that_failed_are_done(office: Office) -> None:
    """The others keep what they gave."""
    app, run = await failed(office, LOOP, ("isolate_host", None), ("isolate_host", Forbidden("no")))
    state = await retried(office, app, run)

    assert calls(office) == Counter({"isolate_host": 1, "isolation_of": 2})
    assert [each["status"] for each in state.outputs["all"]] == ["succeeded"] * 3
    assert sorted(office.world.isolation.values()) == ["isolated"] * 3


async def test_one_step_alone_may_be_retried(office: Office) -> None:
    """What else failed counts as failed, and is not tried."""
    app, run = await failed(office, LOOP, ("isolate_host", None), *[("isolate_host", Forbidden("no"))] * 2)
    state = await retried(office, app, run, "sweep[2].cut")

    assert calls(office)["isolate_host"] == 1
    assert [each["status"] for each in state.outputs["all"]] == ["succeeded", "failed", "succeeded"]
    assert state.finished == "failed"
    assert state.failures == ["sweep[1].cut"]


async def test_a_step_that_holds_others_may_be_named(office: Office) -> None:
    """Then everything that failed inside of it is done again."""
    app, run = await failed(office, TEXT, ("block_indicators", Forbidden("no")))
    state = await retried(office, app, run, "block[fake]")
    assert state.finished == "succeeded"


async def test_handlers_and_what_tidies_up_answer_to_the_new_run(office: Office) -> None:
    """They are done anew where they apply: `finally` always, the handler only if it fails again."""
    app, run = await failed(office, HANDLED, ("isolate_host", Forbidden("no")))
    office.world.messages.clear()
    state = await retried(office, app, run)
    assert [text for _, _, text in office.world.messages] == ["tidied"]
    assert state.finished == "succeeded"


async def test_a_retry_that_fails_again_handles_it_again(office: Office) -> None:
    """People are told of this failure, too."""
    app, run = await failed(office, HANDLED, *[("isolate_host", Forbidden("no"))] * 2)
    office.world.messages.clear()
    await retried(office, app, run)

    assert sorted(text for _, _, text in office.world.messages) == ["failed", "handled", "tidied"]


async def test_a_change_of_another_target_is_not_carried(office: Office) -> None:
    """What the step is about has become another host: it is read, and changed, anew."""
    text = """
id: t
inputs: {found: {type: list, items: indicator, default: ["203.0.113.1"]}}
steps:
  - {id: list, action: edr.find_hosts, with: {name: pc1}, on_error: continue}
  - {id: other, action: edr.find_hosts, with: {name: pc3}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ (steps.list | default(steps.other))[0] }}", reason: r}}
  - {id: block, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
"""
    app, run = await failed(office, text, ("find_hosts", Forbidden("no")), ("block_indicators", Forbidden("no")))
    assert office.world.isolation == {("fake", "id-pc3"): "isolated"}
    state = await retried(office, app, run)

    assert office.world.isolation == {("fake", "id-pc3"): "isolated", ("fake", "id-pc1"): "isolated"}
    assert state.finished == "succeeded"


async def test_an_approval_is_asked_for_again(office: Office) -> None:
    """What people allowed was for the other run."""
    text = TEXT.replace("  - {id: cut", "  - {id: ok, approve: 'Go?', by: [mei], within: 1h}\n  - {id: cut")
    office.write(text)
    app = office.process()
    waiting = await office.start(app)
    office.world.script("isolate_host", Forbidden("no"))
    (asked,) = app.questions(waiting.run)
    first = await app.tell(waiting.run, "approve", {"path": "ok", "digest": asked["digest"]}, actor="mei")
    assert first.finished == "failed"
    again = await app.retry(first.run, actor="ana")

    assert again.status == "waiting"
    assert office.sent("isolate_host") == []
    (asked,) = app.questions(again.run)
    state = await app.tell(again.run, "approve", {"path": "ok", "digest": asked["digest"]}, actor="mei")
    assert state.finished == "succeeded"
    assert office.sent("isolate_host") == ["isolate_host pc1"]


async def test_which_step_is_retried_is_not_forgotten_by_the_next_process(office: Office) -> None:
    """What else failed is not tried there either."""
    waits = LOOP.replace("      - {id: cut", "      - {id: w, wait: 1h}\n      - {id: cut")
    office.write(waits)
    app = office.process()
    first = await office.start(app)
    office.clock.advance(3600)
    office.world.script("isolate_host", *[Forbidden("no")] * 3)
    await office.work(app)
    assert app.fold(first.run).finished == "failed"
    calls(office)
    again = await retried(office, app, first.run, "sweep[2].cut")
    await office.end(app)
    office.clock.advance(3600)
    app = office.process()
    await office.work(app)

    assert office.sent("isolate_host") == ["isolate_host pc3"]
    assert app.fold(again.run).failures == ["sweep[0].cut", "sweep[1].cut"]


async def test_a_retry_that_was_left_alone_goes_on_as_a_retry(office: Office) -> None:
    """A process that goes on with it carries the same results."""
    text = TEXT.replace(
        "  - {id: last",
        "  - {id: w, wait: 1h}\n  - {id: again, action: edr.get_host, with: {name: pc2}}\n  - {id: last",
    )
    app, run = await failed(office, text, ("block_indicators", Forbidden("no")))
    waiting = await retried(office, app, run)
    assert waiting.status == "waiting"
    await office.end(app)
    office.clock.advance(3600)
    (state,) = await office.work(office.process())

    assert state.finished == "succeeded"
    assert calls(office)["isolate_host"] == 0


async def test_a_run_that_is_cancelled_may_be_retried(office: Office) -> None:
    """What it had done is not done again; the rest is."""
    office.write(TEXT.replace("  - {id: block", "  - {wait: 1h}\n  - {id: block"))
    app = office.process()
    first = await office.start(app)
    await app.tell(first.run, "cancel", {}, actor="mei")
    calls(office)
    await retried(office, app, first.run)
    office.clock.advance(3600)
    (state,) = await office.work(app)

    assert state.finished == "succeeded"
    assert calls(office) == Counter({"blocks_of": 2, "block_indicators": 1, "post": 1})


async def test_nothing_is_retried_while_an_outcome_is_unknown(office: Office) -> None:
    """Not even of a run that has ended: first somebody has to look."""
    office.write(TEXT)
    app = office.process()
    office.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    office.world.script("isolation_of", None, *[Unavailable("down")] * 40)
    state = await office.start(app)
    with pytest.raises(NothingToRetry, match="is not over"):
        await retried(office, app, state.run)
    await app.tell(state.run, "cancel", {}, actor="mei")
    with pytest.raises(NothingToRetry, match="the outcome of cut is unknown"):
        await retried(office, app, state.run)
    office.world.faults.clear()
    await app.resolve(state.run, "cut", happened=True, actor="mei")
    calls(office)

    again = await retried(office, app, state.run)
    assert again.finished == "succeeded"
    assert calls(office)["isolate_host"] == 0


async def test_what_cannot_be_retried_is_refused_with_its_reason(office: Office) -> None:
    """A run that is under way, one that succeeded, a step that has not failed, a run that nobody knows."""
    office.write(TEXT)
    app = office.process()
    done = await office.start(app)
    with pytest.raises(NothingToRetry, match="there is nothing to do again"):
        await retried(office, app, done.run)
    with pytest.raises(UnknownRun):
        await retried(office, app, "nowhere")
    office.world.script("block_indicators", Forbidden("no"))
    other = await office.start(app, {"name": "pc2"})
    office.world.blocked.clear()
    with pytest.raises(NothingToRetry):
        await retried(office, app, other.run, "cut")
    assert len(app.runs()) == 2


async def test_a_retry_takes_the_key_of_its_playbook(office: Office) -> None:
    """It waits for a run of the same key, as any other does."""
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: queue}\nsteps:", 1))
    app = office.process()
    office.world.script("isolate_host", Forbidden("no"))
    first = await office.start(app)
    assert first.finished == "failed"
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: queue}\nsteps:\n  - {wait: 1h}", 1))
    app = office.process()
    holder = await office.start(app)
    again = await retried(office, app, first.run)

    assert (holder.status, again.status) == ("waiting", "pending")


async def test_a_retry_of_a_playbook_that_refuses_a_second_run_is_refused(office: Office) -> None:
    """Before anything is started."""
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: reject}\nsteps:", 1))
    app = office.process()
    office.world.script("isolate_host", Forbidden("no"))
    first = await office.start(app)
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: reject}\nsteps:\n  - {wait: 1h}", 1))
    app = office.process()
    await office.start(app)
    before = len(app.runs())
    with pytest.raises(KeyHeld):
        await retried(office, app, first.run)
    assert len(app.runs()) == before


async def test_a_retry_joins_the_same_run_under_way(office: Office) -> None:
    """Where the playbook says so, and the inputs are the same."""
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: join}\nsteps:", 1))
    app = office.process()
    office.world.script("isolate_host", Forbidden("no"))
    first = await office.start(app)
    office.write(TEXT.replace("steps:", "concurrency: {key: one, on_conflict: join}\nsteps:\n  - {wait: 1h}", 1))
    app = office.process()
    holder = await office.start(app)

    assert (await retried(office, app, first.run)).run == holder.run


async def test_a_run_that_was_cancelled_before_its_turn_may_be_retried(office: Office) -> None:
    """It had done nothing, so everything is done."""
    text = TEXT.replace("steps:", "concurrency: {key: one, on_conflict: queue}\nsteps:\n  - {wait: 1h}", 1)
    office.write(text)
    app = office.process()
    holder = await office.start(app)
    queued = await office.start(app, {"name": "pc2"})
    for run in (queued.run, holder.run):
        await app.tell(run, "cancel", {}, actor="mei")
    again = await retried(office, app, queued.run)
    office.clock.advance(3600)
    await office.work(app)

    assert app.fold(again.run).finished == "succeeded"
    assert office.sent("isolate_host") == ["isolate_host pc2"]
