"""Pausing: nothing more is decided or started until the run is resumed; what is under way comes to its end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.connector import Applied, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Call, Fault
from hikeshi.testing.run_harness import Outcome

FIND = "  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
CUT = "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
AFTER = "  - {id: after, action: messaging.post, with: {channel: c, text: after}}\n"
HEAD = "id: t\nsteps:\n" + FIND
ASK = "  - {id: ok, approve: 'Go?', by: [mei], within: 1h}\n"


@pytest.fixture
def people() -> Conversation:
    return Conversation()


def at_call(people: Conversation, verb: str, kind: str) -> Callable[[Call], Awaitable[None]]:
    """Return what sends a message to the run while a verb is called for the first time."""
    sent: list[str] = []

    async def note(call: Call) -> None:
        if call.verb == verb and not sent:
            sent.append(verb)
            await people.harness.tell(kind, {}, sender="mei")

    return note


async def paused_while(people: Conversation, verb: str, text: str, *called: str) -> Outcome:
    people.harness.world.on_call = at_call(people, verb, "pause")
    return await people.begin(text, *called)


async def test_what_was_sent_is_finished_and_nothing_follows(people: Conversation) -> None:
    """The change is seen and held; the run waits; resumed, it goes on where it was."""
    waiting = await paused_while(people, "isolate_host", HEAD + CUT + AFTER)

    assert waiting.status == "waiting"
    assert waiting.status_of("cut") is StepStatus.SUCCEEDED
    assert waiting.status_of("after") is StepStatus.WAITING
    assert people.sent() == ["isolate_host pc1"]
    outcome = await people.send("kei", "resume")

    assert outcome.status == "succeeded"
    assert people.sent() == ["isolate_host pc1", "post after"]
    assert [(event.actor, type(event)) for event in outcome.events if hasattr(event, "actor")][1:] == [
        ("mei", ev.PauseRequested),
        ("kei", ev.RunResumed),
    ]


async def test_time_alone_brings_a_paused_run_nowhere(people: Conversation) -> None:
    """Gone on with by whoever works for the project, it stays as it is."""
    await paused_while(people, "find_hosts", HEAD + CUT)
    for _ in range(3):
        outcome = await people.later(86_400)

    assert outcome.status == "waiting"
    assert people.sent() == []


SLOW_RETRY = CUT.replace("reason: r}", "reason: r}, retry: {attempts: 3, wait: 10m}")
GONE = Fault("dropped", Unavailable("down", applied=Applied.MAYBE))


async def test_no_further_attempt_is_made(people: Conversation) -> None:
    """Its time comes while the run is paused; it is made once the run is resumed."""
    people.harness.world.script("isolate_host", GONE)
    await people.begin(HEAD + SLOW_RETRY + AFTER)
    await people.send("mei", "pause")
    await people.later(3600)
    await people.later(3600)
    assert people.sent() == ["isolate_host pc1"]

    outcome = await people.send("mei", "resume")
    assert people.sent() == ["isolate_host pc1", "isolate_host pc1", "post after"]
    assert outcome.status == "succeeded"


async def test_a_failure_while_the_run_is_paused_is_followed_by_nothing_until_it_is_resumed(
    people: Conversation,
) -> None:
    """It was under way at the pause, so it came to its end; whether it is tried again is decided later."""
    people.harness.world.script("isolate_host", GONE)
    await paused_while(people, "isolate_host", HEAD + SLOW_RETRY + AFTER)
    await people.later(3600)
    assert people.sent() == ["isolate_host pc1"]

    await people.send("mei", "resume")
    outcome = await people.later(3600)
    assert people.sent() == ["isolate_host pc1", "isolate_host pc1", "post after"]
    assert outcome.status == "succeeded"


async def test_an_attempt_that_is_due_in_a_driven_run_is_not_made_while_it_is_paused(people: Conversation) -> None:
    """Another branch keeps the run going, so nobody restarts anything in between."""
    people.harness.park_after_s = None
    world = people.harness.world
    world.script("isolate_host", GONE)
    people.harness.world.on_call = at_call(people, "list_alerts", "pause")
    text = "id: t\nsteps:\n  - parallel:\n      - steps:\n"
    text += "".join(f"          {line}\n" for line in (FIND + SLOW_RETRY).replace("  - ", "- ").splitlines())
    text += "      - steps: [{wait: 1m}, {action: edr.list_alerts}]\n      - {wait: 5h}\n"
    waiting = await people.begin(text)
    assert waiting.status == "waiting"
    assert len(world.sent("isolate_host")) == 1
    assert waiting.records[-1].at - waiting.records[0].at > timedelta(hours=4)

    outcome = await people.send("mei", "resume")
    assert len(world.sent("isolate_host")) == 2
    assert outcome.status == "succeeded"


async def test_no_further_look_of_a_wait_is_made(people: Conversation) -> None:
    """Reads are things that start, too."""
    wait = "wait: {action: edr.find_hosts, with: {name: new}, until: 'result | length > 0', every: 1m, at_most: 10m}"
    await people.begin(f"id: t\nsteps:\n  - {{id: w, {wait}}}\n")
    await people.send("mei", "pause")
    await people.later(60)
    await people.later(60)
    assert len(people.harness.world.called("find_hosts")) == 1

    people.harness.world.add_host("new")
    outcome = await people.send("mei", "resume")
    assert outcome.status_of("w") is StepStatus.SUCCEEDED


async def test_a_vote_counts_while_the_run_is_paused_and_sends_nothing_before_it_is_resumed(
    people: Conversation,
) -> None:
    """People may decide; the change comes later."""
    await people.begin(HEAD + ASK + CUT)
    await people.send("mei", "pause")
    waiting = await people.say("mei", "approve")
    assert waiting.status_of("ok") is StepStatus.SUCCEEDED
    assert people.sent() == []

    outcome = await people.send("mei", "resume")
    assert people.sent() == ["isolate_host pc1"]
    assert outcome.status == "succeeded"


async def test_a_target_that_was_asked_about_again_is_not_changed_while_the_run_is_paused(people: Conversation) -> None:
    """It needs no decision any more, and still it does not start."""
    await people.begin("id: t\nsteps:\n" + ASK + FIND + CUT)
    people.harness.world.hosts["fake"].clear()
    people.harness.world.add_host("pc1", id_="another")
    await people.say("mei", "approve")
    await people.send("mei", "pause")
    await people.say("mei", "approve", "cut")
    assert people.sent() == []

    await people.send("mei", "resume")
    assert people.harness.world.isolation == {("fake", "another"): "isolated"}


async def test_a_question_whose_time_is_over_while_the_run_is_paused_is_over(people: Conversation) -> None:
    """A pause does not stretch what people were told."""
    await people.begin(HEAD + ASK + CUT)
    await people.send("mei", "pause")
    await people.later(3600)
    outcome = await people.send("mei", "resume")

    assert outcome.status == "failed"
    assert outcome.node("ok").error is not None
    assert people.sent() == []


async def test_a_wait_that_is_over_while_the_run_is_paused_goes_on_when_it_is_resumed(people: Conversation) -> None:
    """At once."""
    await people.begin("id: t\nsteps:\n  - {id: w, wait: 1h}\n" + AFTER)
    await people.send("mei", "pause")
    await people.later(7200)
    assert people.sent() == []
    outcome = await people.send("mei", "resume")

    assert people.sent() == ["post after"]
    assert outcome.status == "succeeded"


async def test_an_unknown_outcome_may_be_resolved_while_the_run_is_paused(people: Conversation) -> None:
    """What needs it begins when the run is resumed; nothing is under way at any of these moments."""
    people.harness.world.script("isolate_host", Fault("lost", Unavailable("down", applied=Applied.MAYBE)))
    people.harness.world.script("isolation_of", None, *[Unavailable("down")] * 12)
    await people.begin(HEAD + CUT + AFTER)
    await people.send("mei", "pause")
    people.harness.world.faults.clear()
    waiting = await people.send("mei", "resolve", path="cut", happened=True)
    assert waiting.status_of("cut") is StepStatus.SUCCEEDED
    assert people.sent() == ["isolate_host pc1"]

    outcome = await people.send("mei", "resume")
    assert people.sent() == ["isolate_host pc1", "post after"]
    assert outcome.status == "succeeded"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("pause", "pause", "the run is paused already"),
        ("resume", "resume", "the run is not paused"),
        ("cancel", "resume", "the run is not paused"),
    ],
)
async def test_what_makes_no_sense_is_refused(people: Conversation, first: str, second: str, reason: str) -> None:
    """And recorded with its reason."""
    await people.begin("id: t\nsteps: [{wait: 1h}]\nfinally: [{wait: 1h}]\n")
    await people.send("mei", first)
    await people.send("mei", second)

    assert people.refusals()[-1] == reason
