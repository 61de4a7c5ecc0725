"""Approvals: who may decide, what a decision covers, and that nothing leads past it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import CUT, FIND, HEAD, OK, Conversation, error_of

from hikeshi.core import StepStatus

pytestmark = pytest.mark.safety(28)

PLAIN = HEAD + OK + CUT
QUORUM = HEAD + OK.replace("by: [mei, kei]", "by: [mei, kei, ken, tester], quorum: 2") + CUT


@pytest.fixture
def people() -> Conversation:
    return Conversation()


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
