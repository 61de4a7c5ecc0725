"""What an approval covers waits for it, wherever it stands; what it does not cover goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import CUT, FIND, HEAD, OK, Conversation, error_of

from hikeshi.core import StepStatus
from hikeshi.core import events as ev

CUT_IN = CUT.replace("  - ", "      - ")
VARS = "vars: {h: {connector: fake, id: id-pc1, name: pc1}}\n"


@pytest.fixture
def people() -> Conversation:
    return Conversation()


INSIDE = "{action: edr.isolate_host, with: {host: '{{ vars.h }}', reason: r}}"
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
        + "finally:\n  - {id: last, action: firewall.block_indicators, with: {indicators: ['192.0.2.9'], reason: r}}\n"
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
async def test_an_approval_that_its_own_condition_makes_needless_holds_nothing(people: Conversation, text: str) -> None:
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
