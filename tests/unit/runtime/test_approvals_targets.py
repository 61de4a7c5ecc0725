"""What people are shown is what an approval allows: exactly these targets, for exactly these actions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import CUT, FIND, HEAD, OK, Conversation, error_of

from hikeshi.connector import Applied, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import Outcome

pytestmark = pytest.mark.safety(28)

PLAIN = HEAD + OK + CUT
CUT_IN = CUT.replace("  - ", "      - ")


@pytest.fixture
def people() -> Conversation:
    return Conversation()


LATER = (
    "id: t\nsteps:\n"
    + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut it off?").replace("within: 15m", "within: 15m, quorum: 2")
    + "  - {id: which, ask: 'Which?', form: {host: {type: string}}, by: [mei], within: 5m}\n"
    + "  - {id: find, action: edr.get_host, with: {name: '{{ steps.which.host }}'}}\n"
    + CUT.replace("reason: r}", "reason: r}, retry: {attempts: 3}")
)


async def asked_again(people: Conversation) -> Outcome:
    """Approve what shows no target, and answer which host it is about."""
    await people.begin(LATER)
    assert people.shown() == []
    assert people.harness.questions()["ok"]["not_known"] != []
    await people.say("mei", "approve")
    await people.say("kei", "approve")
    return await people.say("mei", "answer", "which", answers={"host": "pc2"})


async def test_a_target_that_was_not_shown_is_asked_about_before_anything_is_sent(people: Conversation) -> None:
    """Of the same people, as many of them, and exactly that target is shown."""
    waiting = await asked_again(people)
    assert people.sent() == []
    assert people.asked() == ["cut"]
    assert people.shown("cut") == [("edr.isolate_host", "pc2")]
    assert [each.approval for each in waiting.of(ev.TargetsNotShown)] == ["ok"]

    await people.say("mei", "approve", "cut")
    assert people.sent() == []
    outcome = await people.say("kei", "approve", "cut")

    assert people.sent() == ["isolate_host pc2"]
    assert outcome.status == "succeeded"


async def test_a_target_that_was_not_shown_may_be_rejected(people: Conversation) -> None:
    """Then the change fails as rejected, though its approval was given."""
    await asked_again(people)
    outcome = await people.say("kei", "reject", "cut", note="wrong one")

    assert people.sent() == []
    assert error_of(outcome, "cut") == ("rejected", "rejected by kei: wrong one")


async def test_nobody_in_time_for_a_target_that_was_not_shown_is_a_rejection(people: Conversation) -> None:
    """As with the approval itself."""
    await asked_again(people)
    outcome = await people.later(900)

    assert people.sent() == []
    assert error_of(outcome, "cut")[0] == "rejected"


async def test_a_retry_of_what_was_asked_again_asks_nobody_once_more(people: Conversation) -> None:
    """The second attempt is about the same target."""
    people.harness.world.script("isolate_host", Fault("dropped", Unavailable("gone", applied=Applied.MAYBE)))
    await asked_again(people)
    await people.say("mei", "approve", "cut")
    await people.say("kei", "approve", "cut")
    outcome = await people.later(60)

    assert outcome.status == "succeeded"
    assert people.sent() == ["isolate_host pc2", "isolate_host pc2"]
    assert len(outcome.of(ev.QuestionAsked, "cut")) == 1


async def test_another_host_of_the_same_name_is_another_target(people: Conversation) -> None:
    """Somebody gave the name to another machine after the approval was shown."""
    await people.begin("id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + FIND + CUT)
    assert people.shown() == [("edr.isolate_host", "pc1")]
    people.harness.world.hosts["fake"].clear()
    people.harness.world.add_host("pc1", id_="another")
    await people.say("mei", "approve")

    assert people.sent() == []
    assert people.asked() == ["cut"]
    await people.say("mei", "approve", "cut")
    assert people.harness.world.isolation == {("fake", "another"): "isolated"}


async def test_every_target_of_a_loop_is_shown(people: Conversation) -> None:
    """The reads of the loop are made ahead, so people see each host that is going to be cut off."""
    await people.begin(
        "id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + "  - id: sweep\n"
        "    for_each: \"['pc1', 'pc3']\"\n    steps:\n"
        "      - {id: find, action: edr.get_host, with: {name: '{{ item }}'}}\n" + CUT_IN
    )
    assert people.shown() == [("edr.isolate_host", "pc1"), ("edr.isolate_host", "pc3")]
    await people.say("mei", "approve")

    assert sorted(people.sent()) == ["isolate_host pc1", "isolate_host pc3"]
    assert people.refusals() == []


async def test_what_came_into_a_loop_later_is_asked_about_alone(people: Conversation) -> None:
    """Those items that were shown are done; the new one waits."""
    world = people.harness.world
    await people.begin(
        "id: t\nsteps:\n"
        + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?")
        + "  - {id: found, action: edr.find_hosts, with: {name: pc1}}\n"
        + "  - {id: sweep, for_each: steps.found, action: edr.isolate_host, with: {host: '{{ item }}', reason: r}}\n"
    )
    assert people.shown() == [("edr.isolate_host", "pc1")]
    world.add_host("pc1", id_="twin")
    await people.say("mei", "approve")

    assert people.asked() == ["sweep[1]"]
    assert world.isolation == {("fake", "id-pc1"): "isolated"}
    await people.say("mei", "reject", "sweep[1]")
    assert world.isolation == {("fake", "id-pc1"): "isolated"}


BATCH = (
    "id: t\ninputs: {found: {type: list, items: indicator}}\nsteps:\n"
    "  - {id: ok, approve: Block?, by: [mei], within: 15m}\n"
    "  - id: block\n    for_each: inputs.found\n    batch: 2\n"
    "    action: firewall.block_indicators\n    with: {indicators: '{{ item }}', reason: r}\n"
)


async def test_every_target_of_each_batch_is_shown(people: Conversation) -> None:
    """A batch allows its targets one by one."""
    await people.begin(BATCH, inputs={"found": ["203.0.113.1", "203.0.113.2", "203.0.113.3"]})
    assert [label for _, label in people.shown()] == ["203.0.113.1", "203.0.113.2", "203.0.113.3"]
    await people.say("mei", "approve")

    assert people.sent() == ["block_indicators 203.0.113.1, 203.0.113.2", "block_indicators 203.0.113.3"]


async def test_an_approval_of_one_action_allows_no_other_on_the_same_target(people: Conversation) -> None:
    """What was shown is this action on this target."""
    world = people.harness.world
    text = (
        "id: t\nsteps:\n"
        + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?")
        + FIND
        + "  - {id: state, action: edr.isolation_of, with: {host: '{{ steps.find }}'}}\n"
        + CUT.replace("id: cut", "id: cut, when: \"steps.state.state == 'normal'\"")
        + CUT.replace("cut", "free")
        .replace("isolate_host", "release_host")
        .replace("id: free", "id: free, when: \"steps.state.state == 'isolated'\"")
    )
    await people.begin(text)
    assert people.shown() == [("edr.isolate_host", "pc1")]
    world.isolation["fake", "id-pc1"] = "isolated"  # by somebody else
    await people.say("mei", "approve")

    assert people.sent() == []
    assert people.asked() == ["free"]
    assert people.shown("free") == [("edr.release_host", "pc1")]


async def test_what_is_so_already_is_shown_as_such(people: Conversation) -> None:
    """Nothing would be sent now; who allows it allows it, should somebody else have let it go meanwhile."""
    world = people.harness.world
    world.isolation["fake", "id-pc1"] = "isolated"
    await people.begin(PLAIN)
    assert people.shown() == [("edr.isolate_host", "pc1")]
    assert [each["already"] for each in people.harness.questions()["ok"]["shows"]] == [True]
    world.isolation["fake", "id-pc1"] = "normal"
    await people.say("mei", "approve")

    assert people.sent() == ["isolate_host pc1"]


async def test_looking_ahead_sends_nothing_and_leaves_no_trace_in_the_run(people: Conversation) -> None:
    """It makes the reads that the covered steps need, and the run's own steps are as before."""
    waiting = await people.begin(
        "id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + FIND + CUT
    )

    assert people.sent() == []
    assert waiting.status_of("find") is StepStatus.WAITING
    assert waiting.of(ev.ActionPlanned) == []
    assert people.harness.holds() == {}


async def test_a_read_that_fails_while_looking_ahead_is_said_to_those_who_decide(people: Conversation) -> None:
    """They see that the target is not known, and why."""
    await people.begin(
        "id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + FIND.replace("pc1", "gone") + CUT
    )

    assert people.shown() == []
    assert "find: " in people.harness.questions()["ok"]["not_known"][0]
