"""Cancelling, and a run's time limit: nothing more starts, what was sent is finished, `finally` runs, holds stay."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.connector import Applied, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import Call, Fault
from hikeshi.testing.run_harness import Outcome

FIND = "  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
CUT = "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}, hold: 8h}\n"
AFTER = "  - {id: after, action: messaging.post, with: {channel: c, text: after}}\n"
FINALLY = "finally:\n  - {id: tell, action: messaging.post, with: {channel: c, text: 'cancelled'}}\n"
HEAD = "id: t\nsteps:\n" + FIND


@pytest.fixture
def people() -> Conversation:
    return Conversation()


def cancelled_at(people: Conversation, verb: str, *, times: int = 1) -> Callable[[Call], Awaitable[None]]:
    """Return what cancels the run when a verb has been called so many times, while that call is under way."""
    left = [times]

    async def note(call: Call) -> None:
        left[0] -= call.verb == verb
        if call.verb == verb and left[0] == 0:
            await people.harness.tell("cancel", {"reason": "enough"}, sender="mei")

    return note


async def cancelled_while(people: Conversation, verb: str, text: str, *called: str, times: int = 1) -> Outcome:
    people.harness.world.on_call = cancelled_at(people, verb, times=times)
    return await people.begin(text, *called)


def error_of(outcome: Outcome) -> tuple[str, str]:
    assert outcome.state.error is not None
    return outcome.state.error.kind, outcome.state.error.message


# --- what is under way ------------------------------------------------------------------------------------------------


async def test_a_change_that_was_sent_is_finished(people: Conversation) -> None:
    """It is seen to be done, held and recorded; nothing after it starts, `finally` runs, and the hold stays."""
    outcome = await cancelled_while(people, "isolate_host", HEAD + CUT + AFTER + FINALLY)

    assert outcome.status == "cancelled"
    assert error_of(outcome) == ("cancelled", "cancelled by mei: enough")
    assert outcome.status_of("cut") is StepStatus.SUCCEEDED
    assert outcome.status_of("after") is StepStatus.CANCELLED
    assert people.sent() == ["isolate_host pc1", "post cancelled"]
    assert people.harness.holds() == {"pc1": "active"}


async def test_a_change_whose_state_was_only_read_is_not_sent(people: Conversation) -> None:
    """Between the look before it and its intent there is nothing to finish."""
    outcome = await cancelled_while(people, "isolation_of", HEAD + CUT + FINALLY)

    assert outcome.status_of("cut") is StepStatus.CANCELLED
    assert outcome.of(ev.ActionIntended) == []
    assert people.sent() == ["post cancelled"]
    assert people.harness.holds() == {}


async def test_a_change_that_fails_after_the_cancel_is_not_tried_again(people: Conversation) -> None:
    """It has failed; that is what is recorded."""
    people.harness.world.script("isolate_host", Fault("dropped", Unavailable("down", applied=Applied.MAYBE)))
    outcome = await cancelled_while(people, "isolate_host", HEAD + CUT + FINALLY)

    assert outcome.status == "cancelled"
    assert outcome.status_of("cut") is StepStatus.FAILED
    assert outcome.state.failures == ["cut"]
    assert people.sent() == ["isolate_host pc1", "post cancelled"]


async def test_a_change_that_is_unknown_after_the_cancel_stays_unknown(people: Conversation) -> None:
    """The run ends without waiting for people, and still says that nobody knows."""
    people.harness.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    people.harness.world.script("isolation_of", None, *[Unavailable("down")] * 40)
    outcome = await cancelled_while(people, "isolate_host", HEAD + CUT + AFTER + FINALLY)

    assert outcome.status == "cancelled"
    assert outcome.status_of("cut") is StepStatus.UNKNOWN
    assert outcome.state.unknown == {"cut"}
    assert people.harness.holds() == {"pc1": "unknown"}
    assert people.sent() == ["isolate_host pc1", "post cancelled"]


async def test_a_read_that_is_under_way_is_finished(people: Conversation) -> None:
    """Its result is kept, and nothing follows."""
    outcome = await cancelled_while(people, "find_hosts", HEAD + CUT + FINALLY)

    assert outcome.status_of("find") is StepStatus.SUCCEEDED
    assert outcome.status_of("cut") is StepStatus.CANCELLED
    assert people.sent() == ["post cancelled"]


async def test_a_message_that_was_sent_is_finished_and_not_sent_twice(people: Conversation) -> None:
    """People were told; the record says so."""
    outcome = await cancelled_while(people, "post", HEAD + AFTER + CUT)

    assert outcome.status_of("after") is StepStatus.SUCCEEDED
    assert people.sent() == ["post after"]


async def test_no_further_item_of_a_loop_starts(people: Conversation) -> None:
    """Those under way are finished, the others were never begun."""
    outcome = await cancelled_while(
        people,
        "isolate_host",
        "id: t\nsteps:\n  - id: sweep\n    for_each: \"['pc1', 'pc2', 'pc3']\"\n    concurrency: 1\n    steps:\n"
        "      - {id: find, action: edr.get_host, with: {name: '{{ item }}'}}\n"
        "      - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
        + FINALLY
        + "outputs: {all: '{{ steps.sweep | default(none) }}'}\n",
        times=2,
    )

    assert people.sent() == ["isolate_host pc1", "isolate_host pc2", "post cancelled"]
    assert outcome.status_of("sweep") is StepStatus.CANCELLED
    assert outcome.status_of("sweep[2]") is None


async def test_a_called_playbook_ends_and_its_finally_runs_too(people: Conversation) -> None:
    """Inner first."""
    called = HEAD.replace("id: t", "id: called") + CUT + AFTER + FINALLY.replace("'cancelled'", "inner")
    outcome = await cancelled_while(
        people, "isolate_host", "id: t\nsteps:\n  - {id: sub, playbook: called}\n" + AFTER + FINALLY, called
    )

    assert people.sent() == ["isolate_host pc1", "post inner", "post cancelled"]
    assert outcome.status_of("sub") is StepStatus.CANCELLED
    assert outcome.status_of("sub.after") is StepStatus.CANCELLED


async def test_no_further_pass_of_a_while_block_starts(people: Conversation) -> None:
    """The one under way is finished as far as it had come."""
    outcome = await cancelled_while(
        people,
        "find_hosts",
        "id: t\nsteps:\n  - id: again\n    while: 'true'\n    at_most: 9\n    steps:\n    " + FIND + FINALLY,
        times=3,
    )

    assert len(people.harness.world.called("find_hosts")) == 3
    assert outcome.status_of("again") is StepStatus.CANCELLED
    assert people.sent() == ["post cancelled"]


async def test_a_handler_that_is_under_way_is_not_gone_on_with(people: Conversation) -> None:
    """Its step that was sent is finished; the others are not begun, nor is `on_failure`."""
    handler = (
        "[{action: edr.find_hosts, with: {name: pc2}}, {id: more, action: messaging.post, with: {channel: c, text: x}}]"
    )
    outcome = await cancelled_while(
        people,
        "find_hosts",
        f"id: t\nsteps:\n  - {{id: find, action: edr.get_host, with: {{name: gone}}, on_error: {handler}}}\n"
        "on_failure: [{action: messaging.post, with: {channel: c, text: failed}}]\n" + FINALLY,
        times=2,
    )

    assert outcome.status == "cancelled"
    assert outcome.status_of("find.on_error.more") is StepStatus.CANCELLED
    assert "post x" not in people.sent()
    assert people.sent()[-1] == "post cancelled"


async def test_no_handler_begins_after_the_cancel(people: Conversation) -> None:
    """What fails while the run is being ended has no consequences but that."""
    people.harness.world.script("find_hosts", Unavailable("down"))
    outcome = await cancelled_while(
        people,
        "find_hosts",
        HEAD.replace("{name: pc1}", "{name: pc1}, on_error: [{action: messaging.post, with: {channel: c, text: x}}]")
        + "on_failure: [{action: messaging.post, with: {channel: c, text: failed}}]\n"
        + FINALLY,
    )

    assert outcome.status_of("find") is StepStatus.FAILED
    assert people.sent() == ["post cancelled"]


async def test_what_tidies_up_is_not_cancelled(people: Conversation) -> None:
    """A cancel that comes while `finally` runs changes what the run is called, and nothing that it does."""
    outcome = await cancelled_while(
        people,
        "post",
        HEAD + FINALLY + "  - {wait: 5m}\n  - {id: last, action: messaging.post, with: {channel: c, text: last}}\n",
    )
    outcome = await people.later(300)

    assert outcome.status == "cancelled"
    assert people.sent() == ["post cancelled", "post last"]


# --- what waits -------------------------------------------------------------------------------------------------------

WAITS = {
    "a time": "wait: 2h",
    "a read": "wait: {action: edr.find_hosts, with: {name: no}, until: 'result | length > 0', every: 5m, at_most: 1h}",
    "an event": "wait: {event: scan, at_most: 1h}",
    "an approval": "approve: Go?, by: [mei], within: 1h",
    "a form": "ask: What?, form: {a: {type: string}}, by: [mei], within: 1h",
}
LISTED = "steps:\n  - {{id: w, {}, on_error: [{{action: messaging.post, with: {{channel: c, text: handled}}}}]}}\n"


@pytest.mark.parametrize("what", WAITS)
async def test_what_waits_ends_as_cancelled(people: Conversation, what: str) -> None:
    """At once, without its handler; nothing is asked any more, and `finally` runs."""
    waiting = await people.begin("id: t\n" + LISTED.format(WAITS[what]) + AFTER + FINALLY)
    assert waiting.status_of("w") is StepStatus.RUNNING
    outcome = await people.send("mei", "cancel", reason="enough")

    assert outcome.status == "cancelled"
    assert outcome.status_of("w") is StepStatus.CANCELLED
    assert outcome.status_of("after") in (StepStatus.CANCELLED, StepStatus.BLOCKED)
    assert people.sent() == ["post cancelled"]
    assert people.asked() == []


@pytest.mark.parametrize("what", WAITS)
async def test_a_run_that_is_driven_is_cancelled_while_it_waits(people: Conversation, what: str) -> None:
    """The message wakes it: hours before its time."""
    people.harness.park_after_s = None

    async def note(call: Call) -> None:
        if call.verb == "list_alerts" and people.harness.clock.now() > START:
            await people.harness.tell("cancel", {}, sender="mei")

    people.harness.world.on_call = note
    outcome = await people.begin(
        "id: t\nsteps:\n  - parallel:\n"
        f"      - {{id: w, {WAITS[what]}}}\n"
        "      - steps: [{wait: 7m}, {action: edr.list_alerts}]\n" + FINALLY
    )

    assert outcome.status == "cancelled"
    assert outcome.status_of("steps[0].w") is StepStatus.CANCELLED
    assert 420 <= (outcome.records[-1].at - outcome.records[0].at).total_seconds() < 480
    assert error_of(outcome)[1] == "cancelled by mei: no reason given"


async def test_a_step_that_waits_to_be_tried_again_has_failed(people: Conversation) -> None:
    """It says why, and no further attempt is made."""
    people.harness.world.script("find_hosts", *[Unavailable("down")] * 9)
    await people.begin(HEAD.replace("pc1}", "pc1}, retry: {attempts: 9, wait: 10m, max_wait: 10m}") + CUT + FINALLY)
    outcome = await people.send("mei", "cancel")

    assert outcome.status == "cancelled"
    assert outcome.node("find").error is not None
    assert outcome.status_of("find") is StepStatus.FAILED
    assert len(people.harness.world.called("find_hosts")) == 1


async def test_a_change_that_is_held_by_an_approval_ends_as_cancelled(people: Conversation) -> None:
    """Though what it needs has long been there."""
    await people.begin(
        HEAD
        + "  - {id: ok, needs: [find], approve: Go?, by: [mei], within: 1h}\n"
        + CUT.replace("cut,", "cut, needs: [find],")
    )
    outcome = await people.send("mei", "cancel")

    assert outcome.status_of("cut") is StepStatus.CANCELLED
    assert people.sent() == []


async def test_a_change_that_was_asked_about_again_ends_as_cancelled(people: Conversation) -> None:
    """Its target was not shown, and now nobody has to look at it."""
    await people.begin("id: t\nsteps:\n  - {id: ok, approve: Go?, by: [mei], within: 1h}\n" + FIND + CUT + FINALLY)
    people.harness.world.hosts["fake"].clear()
    people.harness.world.add_host("pc1", id_="another")
    await people.say("mei", "approve")
    assert people.asked() == ["cut"]
    outcome = await people.send("mei", "cancel")

    assert outcome.status_of("cut") is StepStatus.CANCELLED
    assert people.asked() == []
    assert people.sent() == ["post cancelled"]


async def test_an_outcome_that_nobody_knows_does_not_hold_up_the_end(people: Conversation) -> None:
    """The run waited for a person because of it; cancelled, it ends, and the step stays unknown."""
    people.harness.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    people.harness.world.script("isolation_of", None, *[Unavailable("down")] * 40)
    waiting = await people.begin(HEAD + CUT + AFTER + FINALLY)
    assert (waiting.status, waiting.status_of("cut")) == ("waiting", StepStatus.UNKNOWN)
    outcome = await people.send("mei", "cancel")

    assert outcome.status == "cancelled"
    assert outcome.status_of("cut") is StepStatus.UNKNOWN
    assert people.sent() == ["isolate_host pc1", "post cancelled"]
    assert people.harness.holds() == {"pc1": "unknown"}


async def test_a_paused_run_can_be_cancelled(people: Conversation) -> None:
    """It need not be resumed for that."""
    await people.begin(HEAD + "  - {wait: 1h}\n" + CUT + FINALLY)
    await people.send("mei", "pause")
    outcome = await people.send("kei", "cancel", reason="wrong host")

    assert outcome.status == "cancelled"
    assert people.sent() == ["post cancelled"]


async def test_a_second_cancel_is_refused(people: Conversation) -> None:
    """The run is being ended; what it still waits for is in `finally`."""
    await people.begin("id: t\nsteps: [{wait: 1h}]\nfinally: [{wait: 1h}]\n")
    await people.send("mei", "cancel", reason="enough")
    await people.send("kei", "cancel")
    outcome = await people.later(3600)

    assert people.refusals() == ["the run is being ended already: cancelled by mei: enough"]
    assert outcome.status == "cancelled"


async def test_questions_in_finally_are_asked_and_answered_after_a_cancel(people: Conversation) -> None:
    """What has to be decided to tidy up is decided."""
    asks = "finally:\n  - {id: f, ask: 'Done?', form: {a: {type: string}}, by: [mei], within: 1h}\n"
    await people.begin("id: t\nsteps: [{wait: 1h}]\n" + asks)
    await people.send("mei", "cancel")
    assert people.asked() == ["finally.f"]
    outcome = await people.say("mei", "answer", "finally.f", answers={"a": "yes"})

    assert outcome.node("finally.f").output == {"a": "yes"}
    assert outcome.status == "cancelled"


async def test_holds_stay_and_keep_their_time(people: Conversation) -> None:
    """Cancelling lets nothing go."""
    await people.begin(HEAD + CUT + "  - {wait: 1h}\n")
    await people.send("mei", "cancel")
    (row,) = people.harness.journal.query("SELECT status, expires_at FROM holds")

    assert (row["status"], row["expires_at"][:13]) == ("active", "2026-03-02T17")
    assert people.sent() == ["isolate_host pc1"]


# --- the time limit of a run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("park_after_s", [None, 1])
@pytest.mark.parametrize("what", WAITS)
async def test_the_time_limit_of_a_run_cancels_it(people: Conversation, what: str, park_after_s: float | None) -> None:
    """Driven or left alone: what waits ends, `finally` runs, and the error says why."""
    people.harness.park_after_s = park_after_s
    outcome = await people.begin("id: t\ntimeout: 10m\n" + LISTED.format(WAITS[what]) + AFTER + FINALLY)
    if park_after_s is not None:
        outcome = await people.later(600)

    assert outcome.status == "cancelled"
    assert error_of(outcome) == ("timeout", "the run took longer than 10m")
    assert outcome.status_of("w") is StepStatus.CANCELLED
    assert people.sent() == ["post cancelled"]
    assert people.asked() == []


async def test_a_change_that_is_under_way_at_the_time_limit_is_finished(people: Conversation) -> None:
    """It takes longer than the run may; it is seen to its end all the same."""
    people.harness.park_after_s = None
    people.harness.world.script("isolate_host", Fault("slow", looks=12))
    outcome = await people.begin("timeout: 20s\n" + HEAD + CUT + AFTER + FINALLY)

    assert outcome.status == "cancelled"
    assert outcome.status_of("cut") is StepStatus.SUCCEEDED
    assert people.harness.holds() == {"pc1": "active"}
    assert people.sent() == ["isolate_host pc1", "post cancelled"]


async def test_a_run_that_ends_in_time_knows_nothing_of_its_limit(people: Conversation) -> None:
    """Nothing is waited for after its last step."""
    outcome = await people.begin("timeout: 1h\n" + HEAD + CUT)

    assert outcome.status == "succeeded"
    assert (outcome.records[-1].at - outcome.records[0].at).total_seconds() < 60


async def test_finally_may_take_longer_than_the_time_limit(people: Conversation) -> None:
    """The limit is over once; what tidies up has no limit."""
    people.harness.park_after_s = None
    outcome = await people.begin("id: t\ntimeout: 10m\nsteps: [{wait: 1h}]\nfinally: [{wait: 3h}]\n")

    assert outcome.status == "cancelled"
    assert outcome.status_of("finally[0]") is StepStatus.SUCCEEDED


async def test_a_vote_and_the_end_of_time_together_are_no_contradiction(people: Conversation) -> None:
    """Approved in time and left alone until after the limit: the approval stands, the run ends, nothing is sent."""
    await people.begin("timeout: 30m\n" + HEAD + "  - {id: ok, approve: Go?, by: [mei], within: 1h}\n" + CUT + FINALLY)
    digest = people.harness.questions()["ok"]["digest"]
    people.harness.clock.advance(1801)  # type: ignore[attr-defined]  # the fake one
    await people.harness.tell("approve", {"path": "ok", "digest": digest}, sender="mei")
    outcome = await people.harness.go_on()

    assert outcome.state.finished in ("cancelled", "succeeded")
    assert (outcome.status == "succeeded") == ("isolate_host pc1" in people.sent())
