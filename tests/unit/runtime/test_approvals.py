"""Approvals: who may decide, what a decision covers, and that nothing leads past it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.connector import Applied, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import Outcome

FIND = "  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
OK = "  - {id: ok, approve: 'Cut {{ steps.find.name }} off?', by: [mei, kei], within: 15m}\n"
CUT = "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"
HEAD = "id: t\nsteps:\n" + FIND
PLAIN = HEAD + OK + CUT
QUORUM = HEAD + OK.replace("by: [mei, kei]", "by: [mei, kei, ken, tester], quorum: 2") + CUT


@pytest.fixture
def people() -> Conversation:
    return Conversation()


def error_of(outcome: Outcome, path: str) -> tuple[str, str]:
    error = outcome.node(path).error
    assert error is not None
    return error.kind, error.message


# --- deciding ---------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_before_as_many_have_approved_as_must(people: Conversation) -> None:
    """Between the votes the run is left alone and gone on with; the output names everybody who approved."""
    await people.begin(QUORUM + "outputs: {by: '{{ steps.ok.by }}'}\n")
    await people.say("ken", "approve")
    assert people.sent() == []
    assert people.asked() == ["ok"]

    outcome = await people.say("kei", "approve")

    assert people.sent() == ["isolate_host pc1"]
    assert (outcome.status, outcome.outputs) == ("succeeded", {"by": ["kei", "ken"]})


async def test_one_rejection_rejects_even_the_last_vote_of_a_quorum(people: Conversation) -> None:
    """What others said before does not count any more, and who said no and why stands in the error."""
    await people.begin(QUORUM)
    await people.say("mei", "approve")
    outcome = await people.say("ken", "reject", note="it is the payroll server")

    assert error_of(outcome, "ok") == ("rejected", "rejected by ken: it is the payroll server")
    assert outcome.status_of("cut") is StepStatus.BLOCKED
    assert people.sent() == []


async def test_those_who_were_asked_first_may_still_decide_after_the_escalation(people: Conversation) -> None:
    """Escalating adds people; it takes nobody's say away, and votes that were cast go on counting."""
    await people.begin(QUORUM.replace("within: 15m", "within: 15m, escalate: {to: [ciso], within: 10m}"))
    await people.say("mei", "approve")
    await people.later(900)
    assert people.harness.questions()["ok"]["by"] == ["mei", "kei", "ken", "tester", "ciso"]

    outcome = await people.say("ciso", "approve")

    assert outcome.outputs == {}
    assert outcome.node("ok").output["by"] == ["ciso", "mei"]
    assert people.sent() == ["isolate_host pc1"]


async def test_nobody_in_both_times_is_a_rejection(people: Conversation) -> None:
    """It says how long was waited and how many had approved."""
    await people.begin(QUORUM.replace("within: 15m", "within: 15m, escalate: {to: [ciso], within: 10m}"))
    await people.say("mei", "approve")
    await people.later(900)
    outcome = await people.later(600)

    assert error_of(outcome, "ok") == ("rejected", "nobody decided within 25m (1 of 2 had approved)")
    assert [type(each).__name__ for each in outcome.events if each.path == "ok"][-3:] == [
        "QuestionEscalated",
        "TimerFired",
        "StepFailed",
    ]
    assert people.sent() == []


async def test_time_is_over_by_itself_in_a_run_that_is_driven(people: Conversation) -> None:
    """Nobody has to come for it: the run wakes up at the end of each of the two times."""
    people.harness.park_after_s = None
    outcome = await people.begin(PLAIN.replace("within: 15m", "within: 15m, escalate: {to: [ciso], within: 10m}"))

    took_s = (outcome.records[-1].at - outcome.records[0].at).total_seconds()
    assert outcome.status == "failed"
    assert 1500 <= took_s < 1531
    assert people.sent() == []


# --- votes that do not count --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "kind", "data", "reason"),
    [
        ("stranger", "approve", {}, "stranger is not among those who are asked at 'ok': mei, kei, ken, tester"),
        ("stranger", "reject", {}, "stranger is not among those who are asked at 'ok': mei, kei, ken, tester"),
        ("tester", "approve", {}, "who started a run can't decide about it; somebody else has to"),
        ("tester", "reject", {}, "who started a run can't decide about it; somebody else has to"),
        ("mei", "approve", {}, "mei has voted already"),
        ("mei", "reject", {}, "mei has voted already"),
        ("kei", "approve", {"digest": "0" * 64}, "what is asked at 'ok' has changed since it was shown"),
        ("kei", "approve", {"digest": None}, "what is asked at 'ok' has changed since it was shown"),
        ("kei", "approve", {"path": "cut"}, "the run asks for no approval at 'cut' (open: ok)"),
        ("kei", "approve", {"path": "nowhere"}, "the run asks for no approval at 'nowhere' (open: ok)"),
        ("kei", "approve", {"path": ""}, "the run asks for no approval at '' (open: ok)"),
        ("kei", "answer", {"answers": {}}, "the run asks for no question at 'ok'"),
        ("kei", "bless", {}, "a run knows no message of the kind 'bless'"),
    ],
)
async def test_a_vote_that_does_not_count_is_refused_with_its_reason(
    people: Conversation, sender: str, kind: str, data: dict[str, object], reason: str
) -> None:
    """It is recorded, nothing is sent, and the question stays open for the one vote that is missing."""
    await people.begin(QUORUM)
    await people.say("mei", "approve")
    await people.say(sender, kind, **data)

    assert len(people.refusals()) == 1
    assert people.refusals()[0].startswith(reason)
    assert people.sent() == []
    assert people.harness.journal.messages("run-1") == []

    outcome = await people.say("ken", "approve")
    assert outcome.status == "succeeded"


@pytest.mark.parametrize("kind", ["approve", "reject"])
@pytest.mark.parametrize(("first", "outcome"), [("approve", "approved"), ("reject", "rejected")])
async def test_a_vote_after_the_decision_changes_nothing(
    people: Conversation, kind: str, first: str, outcome: str
) -> None:
    """Whichever way it was decided, and whichever way the late one votes."""
    await people.begin(PLAIN + "  - {id: pause, needs: [], wait: 1h}\n")
    digest = people.harness.questions()["ok"]["digest"]
    await people.say("mei", first)
    before = people.sent()
    await people.send("kei", kind, path="ok", digest=digest)

    assert people.refusals() == [f"the approval at 'ok' is no longer open: it was {outcome}"]
    assert people.sent() == before


async def test_a_vote_after_the_time_counts_no_more(people: Conversation) -> None:
    """Even if nobody had looked at the clock in between."""
    await people.begin(PLAIN)
    people.harness.clock.advance(901)  # type: ignore[attr-defined]  # the fake one
    outcome = await people.say("mei", "approve")

    assert people.refusals() == ["the time for 'ok' was over at 2026-03-02 09:15:00 UTC"]
    assert error_of(outcome, "ok") == ("rejected", "nobody decided within 15m")
    assert people.sent() == []


async def test_a_vote_in_time_counts_even_if_it_is_read_after_the_time(people: Conversation) -> None:
    """Nobody drove the run when it came; that is not the fault of the one who decided."""
    await people.begin(PLAIN)
    digest = people.harness.questions()["ok"]["digest"]
    await people.harness.tell("approve", {"path": "ok", "digest": digest}, sender="mei")
    outcome = await people.later(3600)

    assert outcome.status == "succeeded"
    assert people.sent() == ["isolate_host pc1"]


# --- nothing continues a rejection ----------------------------------------------------------------------------------

HANDLER = "[{action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}]"
CUT_IN = CUT.replace("  - ", "      - ")
REJECTED = {
    "continue": HEAD + OK.replace("15m", "15m, on_error: continue") + CUT,
    "a handler": HEAD + OK.replace("15m", f"15m, on_error: {HANDLER}") + CUT,
    "a handler that continues": HEAD + OK.replace("15m", f"15m, on_error: {{steps: {HANDLER}, then: continue}}") + CUT,
    "the continue of a block": HEAD
    + "  - id: b\n    on_error: continue\n    steps:\n    "
    + OK
    + CUT_IN
    + CUT.replace("cut", "more"),
    "the continue of two blocks": HEAD
    + "  - id: b\n    on_error: continue\n    steps:\n      - steps:\n          "
    + OK.strip()
    + "\n        on_error: continue\n"
    + CUT_IN,
    "the failures that a loop allows": HEAD
    + "  - id: b\n    for_each: \"['a', 'b']\"\n    max_failures: 100%\n    on_error: continue\n    steps:\n    "
    + OK
    + CUT_IN
    + CUT.replace("cut", "more"),
    "needs nothing": HEAD + OK + CUT.replace("id: cut", "id: cut, needs: [find]"),
    "needs nothing at all": HEAD + OK + CUT.replace("id: cut", "id: cut, needs: []").replace("steps.find", "vars.h"),
}
VARS = "vars: {h: {connector: fake, id: id-pc1, name: pc1}}\n"


@pytest.mark.parametrize("how", REJECTED)
@pytest.mark.parametrize("answer", ["reject", "time over"])
async def test_a_rejection_is_continued_by_nothing(people: Conversation, how: str, answer: str) -> None:
    """Neither the change that was asked about is sent, nor anything after what it was inside of."""
    await people.begin(VARS + REJECTED[how])
    if answer == "time over":
        outcome = await people.later(900)
    else:
        for path in people.asked():
            outcome = await people.say("mei", "reject", path)

    assert people.sent() == []
    assert outcome.status == "failed"
    assert {outcome.node(path).error.kind for path in outcome.state.failures} == {"rejected"}  # type: ignore[union-attr]


async def test_a_rejection_in_a_called_playbook_is_not_continued_by_the_caller(people: Conversation) -> None:
    """Nor by the step that runs it, whatever it says."""
    called = PLAIN.replace("id: t", "id: called", 1)
    await people.begin(
        "id: t\nsteps:\n  - {id: sub, playbook: called, on_error: continue}\n" + FIND + CUT.replace("cut", "after"),
        called,
    )
    outcome = await people.say("mei", "reject", "sub.ok")

    assert people.sent() == []
    assert outcome.status_of("after") is StepStatus.BLOCKED


async def test_what_is_not_covered_goes_on_after_a_rejection(people: Conversation) -> None:
    """Reads and messages that do not need the approval, and what tells people of it."""
    await people.begin(
        HEAD
        + OK.replace("15m", "15m, on_error: [{action: messaging.post, with: {channel: c, text: no}}]")
        + "  - {id: look, needs: [find], action: edr.get_host, with: {name: pc2}}\n"
        + CUT
        + "on_failure:\n  - {action: messaging.post, with: {channel: c, text: failed}}\n"
    )
    outcome = await people.say("mei", "reject")

    assert outcome.status_of("look") is StepStatus.SUCCEEDED
    assert people.sent() == ["post no", "post failed"]


# --- what an approval covers ----------------------------------------------------------------------------------------

INSIDE = "{action: edr.isolate_host, with: {host: '{{ vars.h }}', reason: r}}"
FAILS = "set: {x: \"fail\"}, when: \"[1][5] == 1\""
COVERED = {
    "itself": f"  - {{id: cut, needs: [], {INSIDE[1:]}\n",
    "in a block": f"  - {{id: cut, needs: [], steps: [{INSIDE}]}}\n",
    "in parallel": f"  - {{id: cut, needs: [], parallel: [{INSIDE}]}}\n",
    "in blocks in a block": f"  - {{id: cut, needs: [], steps: [{{parallel: [{{steps: [{INSIDE}]}}]}}]}}\n",
    "in a loop": f"  - {{id: cut, needs: [], for_each: \"['a']\", steps: [{INSIDE}]}}\n",
    "as a loop": f"  - {{id: cut, needs: [], for_each: \"['a']\", {INSIDE[1:]}\n",
    "in a while": f"  - {{id: cut, needs: [], while: 'false', at_most: 2, steps: [{INSIDE}]}}\n",
    "in a playbook": "  - {id: cut, needs: [], playbook: called}\n",
    "in a playbook's finally": "  - {id: cut, needs: [], playbook: tidies}\n",
    "in a handler": f"  - {{id: cut, needs: [], set: {{x: 'inputs.nothing.at'}}, on_error: [{INSIDE}]}}\n",
    "through several": "  - {id: cut, needs: [], for_each: \"['a']\", steps: [{parallel: [{playbook: called}]}]}\n",
}
CALLED = f"id: called\n{VARS}steps:\n  - {INSIDE}\n"
TIDIES = f"id: tidies\n{VARS}steps:\n  - {{set: {{x: '1'}}}}\nfinally:\n  - {INSIDE}\n"


@pytest.mark.parametrize("where", COVERED)
async def test_a_covered_change_waits_wherever_it_stands(people: Conversation, where: str) -> None:
    """Though it needs nothing: it is held until the approval, and sent once then."""
    text = "id: t\n" + VARS + "inputs: {nothing: {type: dict, default: {}}}\nsteps:\n" + FIND + OK + COVERED[where]
    waiting = await people.begin(text, CALLED, TIDIES)

    assert people.sent() == []
    assert len(waiting.of(ev.ApprovalHeld)) == 1
    assert people.shown() == [("edr.isolate_host", "pc1")]

    await people.say("mei", "approve")
    assert people.sent() == ["isolate_host pc1"]


@pytest.mark.parametrize("where", COVERED)
async def test_a_covered_change_is_never_sent_after_a_rejection(people: Conversation, where: str) -> None:
    """Wherever it stands."""
    text = "id: t\n" + VARS + "inputs: {nothing: {type: dict, default: {}}}\nsteps:\n" + FIND + OK + COVERED[where]
    await people.begin(text, CALLED, TIDIES)
    outcome = await people.say("mei", "reject")

    assert people.sent() == []
    assert outcome.state.finished == "failed"


async def test_a_covered_release_waits_too(people: Conversation) -> None:
    """Letting something go is a change."""
    await people.begin(HEAD + CUT + OK + "  - {id: free, release: steps.find, needs: [cut]}\n")
    assert people.sent() == ["isolate_host pc1"]
    assert people.asked() == ["ok"]

    await people.say("mei", "approve")
    for path in people.asked():
        await people.say("kei", "approve", path)

    assert people.sent() == ["isolate_host pc1", "release_host pc1"]
    assert people.harness.holds() == {"pc1": "released"}


async def test_a_rejected_release_keeps_what_is_held(people: Conversation) -> None:
    """Nobody lets it go."""
    await people.begin(HEAD + CUT + OK + "  - {id: free, release: steps.find, needs: [cut], on_error: continue}\n")
    await people.say("mei", "reject")

    assert people.sent() == ["isolate_host pc1"]
    assert people.harness.holds() == {"pc1": "active"}


async def test_covers_holds_exactly_what_it_names(people: Conversation) -> None:
    """What stands below and is not named goes on; what is named waits, above, below and in `finally`."""
    text = (
        HEAD
        + CUT.replace("cut", "above").replace("find", "two").replace("id: above", "id: above, needs: [two]")
        + OK.replace("15m", "15m, covers: [above, named, last], needs: [find]")
        + CUT.replace("id: cut", "id: cut, needs: [find]")
        + "  - {id: named, needs: [two], action: identity.disable_user, with: {user: '{{ vars.u }}', reason: r}}\n"
        + "finally:\n  - {id: last, action: firewall.block_indicators, with: {indicators: ['203.0.113.9'], reason: r}}\n"
    ).replace(FIND, FIND + FIND.replace("find", "two").replace("pc1", "pc2"))
    await people.begin("vars: {u: {connector: fake, id: id-mei, name: mei}}\n" + text)
    assert people.sent() == ["isolate_host pc1"]

    await people.say("mei", "reject")

    assert people.sent() == ["isolate_host pc1"]


async def test_what_covers_names_in_finally_is_sent_after_the_approval(people: Conversation) -> None:
    """It was shown, so nobody is asked twice."""
    text = (
        HEAD
        + OK.replace("15m", "15m, covers: [last]")
        + "finally:\n  - {id: last, action: edr.isolate_host, with: {host: '{{ vars.h }}', reason: r}}\n"
    )
    await people.begin(VARS + text)
    assert people.shown() == [("edr.isolate_host", "pc1")]
    outcome = await people.say("mei", "approve")

    assert people.sent() == ["isolate_host pc1"]
    assert outcome.status == "succeeded"


async def test_two_approvals_over_one_change_must_both_be_given(people: Conversation) -> None:
    """In whichever order they are; one alone sends nothing."""
    second = OK.replace("id: ok", "id: ok2, needs: [find]").replace("[mei, kei]", "[ken]")
    await people.begin(HEAD + OK + second + CUT.replace("id: cut", "id: cut, needs: [find]"))
    assert people.asked() == ["ok", "ok2"]

    await people.say("ken", "approve", "ok2")
    assert people.sent() == []
    await people.say("mei", "approve", "ok")
    assert people.sent() == ["isolate_host pc1"]


@pytest.mark.parametrize("answer", ["reject", "time over"])
async def test_one_of_two_approvals_that_is_not_given_is_enough(people: Conversation, answer: str) -> None:
    """The other one cannot make up for it."""
    second = OK.replace("id: ok", "id: ok2, needs: [find]").replace("[mei, kei]", "[ken]")
    await people.begin(HEAD + OK + second + CUT.replace("id: cut", "id: cut, needs: [find]"))
    await people.say("mei", "approve", "ok")
    if answer == "reject":
        await people.say("ken", "reject", "ok2")
    else:
        await people.later(900)

    assert people.sent() == []


async def test_an_approval_in_a_loop_is_asked_for_each_item_and_covers_its_own(people: Conversation) -> None:
    """One item's yes sends nothing of the other."""
    await people.begin(
        "id: t\nsteps:\n  - id: sweep\n    for_each: \"['pc1', 'pc2']\"\n    steps:\n"
        "      - {id: find, action: edr.get_host, with: {name: '{{ item }}'}}\n    " + OK + CUT_IN
    )
    assert people.asked() == ["sweep[0].ok", "sweep[1].ok"]
    assert people.shown("sweep[1].ok") == [("edr.isolate_host", "pc2")]

    await people.say("mei", "approve", "sweep[1].ok")
    assert people.sent() == ["isolate_host pc2"]
    outcome = await people.say("mei", "reject", "sweep[0].ok")
    assert people.sent() == ["isolate_host pc2"]
    assert outcome.status_of("sweep") is StepStatus.FAILED


@pytest.mark.parametrize(
    "text",
    [
        HEAD + OK.replace("15m", "15m, when: \"steps.find.name == 'x'\"") + CUT,
        HEAD + OK.replace("15m", "15m, when: 'false'") + CUT.replace("id: cut", "id: cut, needs: [find]"),
        HEAD + OK.replace("15m", "15m, when: 'false', covers: [cut]") + CUT,
    ],
)
async def test_an_approval_that_its_own_condition_makes_needless_holds_nothing(
    people: Conversation, text: str
) -> None:
    """`when: false` on the approval itself waives it."""
    outcome = await people.begin(text)

    assert people.sent() == ["isolate_host pc1"]
    assert outcome.status == "succeeded"


async def test_an_approval_that_is_never_reached_allows_nothing(people: Conversation) -> None:
    """What it needs has failed, so it is never asked for; a change that needs nothing is not sent for that."""
    outcome = await people.begin(
        VARS
        + "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: gone}}\n"
        + OK
        + f"  - {{id: cut, needs: [], {INSIDE[1:]}\n"
    )

    assert people.sent() == []
    assert error_of(outcome, "cut")[0] == "rejected"
    assert outcome.status == "failed"


async def test_an_approval_that_cannot_be_asked_for_allows_nothing(people: Conversation) -> None:
    """Its question fails in the same moment in which the change it covers is held."""
    outcome = await people.begin(
        HEAD + OK.replace("find.name", "find.tags[7]") + CUT.replace("id: cut", "id: cut, needs: [find]")
    )

    assert outcome.status == "failed"
    assert error_of(outcome, "ok")[0] == "expression"
    assert error_of(outcome, "cut")[0] == "rejected"
    assert people.sent() == []


async def test_an_approval_inside_of_a_block_that_is_skipped_allows_nothing(people: Conversation) -> None:
    """Only its own condition waives an approval: who skips the block around it has not asked anybody."""
    outcome = await people.begin(
        VARS
        + HEAD
        + "  - id: b\n    when: 'false'\n    steps:\n    "
        + OK.replace("15m", "15m, covers: [cut]")
        + f"  - {{id: cut, {INSIDE[1:]}\n"
    )

    assert people.sent() == []
    assert error_of(outcome, "cut")[0] == "rejected"


async def test_an_approval_that_a_stop_keeps_from_being_asked_allows_nothing(people: Conversation) -> None:
    """`finally` runs after a stop; what is covered there is not sent."""
    outcome = await people.begin(
        VARS
        + HEAD
        + "  - {stop: {status: succeeded}}\n"
        + OK.replace("15m", "15m, covers: [last]")
        + f"finally:\n  - {{id: last, {INSIDE[1:]}\n"
    )

    assert people.sent() == []
    assert outcome.status_of("finally.last") is StepStatus.FAILED


# --- targets ----------------------------------------------------------------------------------------------------------

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
    assert len(people.harness.events()) > 0
    assert people.refusals() == []


async def test_what_came_into_a_loop_later_is_asked_about_alone(people: Conversation) -> None:
    """Those items that were shown are done; the new one waits."""
    world = people.harness.world
    await people.begin(
        "id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?")
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
        "id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + FIND
        + "  - {id: state, action: edr.isolation_of, with: {host: '{{ steps.find }}'}}\n"
        + CUT.replace("id: cut", "id: cut, when: \"steps.state.state == 'normal'\"")
        + CUT.replace("cut", "free").replace("isolate_host", "release_host").replace(
            "id: free", "id: free, when: \"steps.state.state == 'isolated'\""
        )
    )
    await people.begin(text)
    assert people.shown() == [("edr.isolate_host", "pc1")]
    world.isolation["fake", "id-pc1"] = "isolated"  # by somebody else
    await people.say("mei", "approve")

    assert people.sent() == []
    assert people.asked() == ["free"]
    assert people.shown("free") == [("edr.release_host", "pc1")]


async def test_what_is_so_already_is_not_asked_about(people: Conversation) -> None:
    """Nothing would be sent, so there is nothing to allow; and if that changes, it is asked about."""
    world = people.harness.world
    world.isolation["fake", "id-pc1"] = "isolated"
    await people.begin(PLAIN)
    assert people.shown() == []
    world.isolation["fake", "id-pc1"] = "normal"
    await people.say("mei", "approve")

    assert people.sent() == []
    assert people.shown("cut") == [("edr.isolate_host", "pc1")]


async def test_looking_ahead_sends_nothing_and_leaves_no_trace_in_the_run(people: Conversation) -> None:
    """It makes the reads that the covered steps need, and the run's own steps are as before."""
    waiting = await people.begin("id: t\nsteps:\n" + OK.replace("'Cut {{ steps.find.name }} off?'", "Cut?") + FIND + CUT)

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
