"""`approve`: waiting for a decision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hikeshi.testing.run_harness import Outcome, RunHarness

Codes = Callable[..., list[str]]
Says = Callable[..., Awaitable[Outcome]]

ASK = "approve: Go?\nby: [mei]\nwithin: 5m\n"
CUT = "  - {id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}}\n"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key or "approve", marks=pytest.mark.language("approve", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("", "approve:\nby: [mei]\nwithin: 5m", "wrong-type"),
        refuses("", "approve: '{{ inputs.names }}'\nby: [mei]\nwithin: 5m", "wrong-text"),
        refuses("", "approve: 'Cut {{ steps.fnd.name }}?'\nby: [mei]\nwithin: 5m", "unknown-step"),
        refuses("", ASK + "for_each: inputs.names", "misplaced-key"),
        refuses("by", "approve: Go?\nwithin: 5m", "missing-key"),
        refuses("by", "approve: Go?\nby: mei\nwithin: 5m", "wrong-type"),
        refuses("by", "approve: Go?\nby: []\nwithin: 5m", "wrong-value"),
        refuses("by", "approve: Go?\nby: [mei, mei]\nwithin: 5m", "wrong-value"),
        refuses("by", "approve: Go?\nby: [role: soc_lead]\nwithin: 5m", "wrong-type"),
        refuses("within", "approve: Go?\nby: [mei]", "missing-key"),
        refuses("within", "approve: Go?\nby: [mei]\nwithin: 5", "wrong-type"),
        refuses("within", "approve: Go?\nby: [mei]\nwithin: 0s", "wrong-value"),
        refuses("quorum", ASK + "quorum: 0", "wrong-value"),
        refuses("quorum", ASK + "quorum: two", "wrong-type"),
        refuses("escalate", ASK + "escalate: [ken]", "wrong-type"),
        refuses("escalate.to", ASK + "escalate: {within: 5m}", "missing-key"),
        refuses("escalate.to", ASK + "escalate: {to: [], within: 5m}", "wrong-value"),
        refuses("escalate.within", ASK + "escalate: {to: [ken]}", "missing-key"),
        refuses("escalate.within", ASK + "escalate: {to: [ken], within: soon}", "wrong-value"),
        refuses("covers", ASK + "covers: []", "wrong-value"),
        refuses("covers", ASK + "covers: [ct]", "unknown-cover"),
        refuses("covers", ASK + "covers: [x]", "unknown-cover"),
        refuses("covers", ASK + "needs: [cut]\ncovers: [cut]", "approval-deadlock"),
    ],
)
def test_an_approval_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """One mistake is one problem."""
    assert codes_of_step(keys, CUT.replace("}}\n", "}, needs: [find]}\n")) == [code]


def test_what_an_approval_gives_is_known(codes_of_step: Codes) -> None:
    """`steps.<id>` is `{decision, by, at, note}`."""
    below = "  - {set: {a: steps.x.decision, b: steps.x.by | join, c: steps.x.at, d: steps.x.note | default('')}}\n"

    assert codes_of_step(ASK, below) == []
    assert codes_of_step(ASK, below.replace(".note", ".notes")) == ["unknown-field"]
    assert codes_of_step(ASK, "  - {set: {a: steps.x.by + 1}}\n") == ["wrong-expression"]
    assert codes_of_step(ASK, "  - {set: {a: steps.x.decision == 'yes'}}\n") == ["wrong-expression"]


HEAD = "id: t\nsteps:\n  - {id: find, action: edr.get_host, with: {name: pc1}}\n"
ASKED = "  - {id: ok, approve: 'Cut {{ steps.find.name }} off?', by: [role:analyst], within: 15m}\n"
AFTER = "outputs: {said: '{{ steps.ok }}'}\n"


@pytest.mark.language("approve", runs=True)
@pytest.mark.language("approve", "by", runs=True)
async def test_a_change_waits_for_the_approval(asking: RunHarness, says: Says) -> None:
    """Nothing is sent before; those who may are asked about the target, and what they said is the output."""
    waiting = await asking.run(HEAD + ASKED + CUT + AFTER)
    asked = asking.questions()["ok"]

    assert waiting.status == "waiting"
    assert asked["question"] == "Cut pc1 off?"
    assert [(shown["action"], shown["label"]) for shown in asked["shows"]] == [("edr.isolate_host", "pc1")]
    assert asking.world.sent() == []

    refused = await says("ana", "approve", "ok")
    assert refused.status == "waiting"
    assert asking.world.sent() == []

    outcome = await says("ken", "approve", "ok", note="seen it")

    assert outcome.status == "succeeded"
    assert [call.verb for call in asking.world.sent()] == ["isolate_host"]
    said = outcome.outputs["said"]
    assert (said["decision"], said["by"], said["note"]) == ("approved", ["ken"], "seen it")
    assert said["at"].endswith("Z")


@pytest.mark.language("approve", runs=True)
@pytest.mark.parametrize("on_error", ["continue", "[{set: {a: '1'}}]", "{steps: [{set: {a: '1'}}], then: continue}"])
async def test_nothing_overrides_a_rejection(asking: RunHarness, says: Says, on_error: str) -> None:
    """No handler and no `continue` leads to the change."""
    await asking.run(HEAD + ASKED.replace("within: 15m", f"within: 15m, on_error: {on_error}") + CUT)

    outcome = await says("mei", "reject", "ok", note="not now")

    assert outcome.status == "failed"
    assert outcome.node("ok").status.value == "failed"
    assert outcome.node("ok").error is not None
    assert outcome.node("ok").error.kind == "rejected"
    assert asking.world.sent() == []


@pytest.mark.language("approve", runs=True)
async def test_an_approval_whose_own_condition_is_false_is_not_needed(asking: RunHarness) -> None:
    """The change goes on without anybody."""
    outcome = await asking.run(HEAD + ASKED.replace("within", "when: steps.find.name != 'pc1', within") + CUT)

    assert outcome.status == "succeeded"
    assert outcome.node("ok").status.value == "skipped"
    assert [call.verb for call in asking.world.sent()] == ["isolate_host"]


@pytest.mark.language("approve", "within", runs=True)
async def test_nobody_in_time_is_a_rejection(harness: RunHarness) -> None:
    """The step fails when the time is over, and nothing is sent."""
    outcome = await harness.run(HEAD + ASKED + CUT)

    assert outcome.node("ok").error is not None
    assert outcome.node("ok").error.kind == "rejected"
    assert (outcome.records[-1].at - outcome.records[0].at).total_seconds() == pytest.approx(900, abs=31)
    assert harness.world.sent() == []


@pytest.mark.language("approve", "quorum", runs=True)
async def test_as_many_must_approve_as_the_quorum_says(asking: RunHarness, says: Says) -> None:
    """One person counts once; the change is sent after the last one of them."""
    await asking.run(HEAD + ASKED.replace("within", "quorum: 2, within") + CUT)

    for sender in ("mei", "mei"):
        assert (await says(sender, "approve", "ok")).status == "waiting"
        assert asking.world.sent() == []
    outcome = await says("ken", "approve", "ok")

    assert outcome.status == "succeeded"
    assert [call.verb for call in asking.world.sent()] == ["isolate_host"]


@pytest.mark.language("approve", "quorum", runs=True)
async def test_one_rejection_rejects_whatever_the_quorum(asking: RunHarness, says: Says) -> None:
    """An approval before it does not count any more."""
    await asking.run(HEAD + ASKED.replace("within", "quorum: 2, within") + CUT)
    await says("mei", "approve", "ok")

    outcome = await says("ken", "reject", "ok")

    assert outcome.status == "failed"
    assert asking.world.sent() == []


@pytest.mark.language("approve", "escalate", runs=True)
@pytest.mark.language("approve", "escalate.to", runs=True)
@pytest.mark.language("approve", "escalate.within", runs=True)
async def test_who_is_asked_later_may_decide_then(asking: RunHarness, says: Says) -> None:
    """Not before the first time is over; they have a time of their own after it."""
    escalated = ASKED.replace("role:analyst", "ken").replace("within", "escalate: {to: [mei], within: 1h}, within")
    await asking.run(HEAD + escalated + CUT)
    assert (await says("mei", "approve", "ok")).status == "waiting"

    asking.clock.advance(16 * 60)
    later = await asking.go_on()
    assert asking.questions()["ok"]["by"] == ["ken", "mei"]
    assert later.status == "waiting"
    outcome = await says("mei", "approve", "ok")

    assert outcome.status == "succeeded"
    assert [call.verb for call in asking.world.sent()] == ["isolate_host"]


@pytest.mark.language("approve", "escalate.within", runs=True)
async def test_nobody_in_the_second_time_is_a_rejection(harness: RunHarness) -> None:
    """Both times are over then."""
    outcome = await harness.run(HEAD + ASKED.replace("within", "escalate: {to: [mei], within: 1h}, within") + CUT)

    assert outcome.node("ok").error is not None
    assert outcome.node("ok").error.kind == "rejected"
    assert (outcome.records[-1].at - outcome.records[0].at).total_seconds() == pytest.approx(75 * 60, abs=61)


@pytest.mark.language("approve", "covers", runs=True)
async def test_covers_names_what_waits_for_the_approval(asking: RunHarness, says: Says) -> None:
    """What is written below and not named goes on; what is named waits, wherever it stands."""
    await asking.run("""
id: t
steps:
  - {id: one, action: edr.get_host, with: {name: pc1}}
  - {id: two, action: edr.get_host, with: {name: pc2}}
  - {id: ok, approve: Go?, by: [ken], within: 15m, covers: [late]}
  - {id: free, needs: [two], action: edr.isolate_host, with: {host: "{{ steps.one }}", reason: r}}
  - {id: late, needs: [two], action: edr.isolate_host, with: {host: "{{ steps.two }}", reason: r}}
""")

    assert [shown["label"] for shown in asking.questions()["ok"]["shows"]] == ["pc2"]
    assert [call.arguments["host"].name for call in asking.world.sent()] == ["pc1"]
    outcome = await says("ken", "approve", "ok")

    assert [call.arguments["host"].name for call in asking.world.sent()] == ["pc1", "pc2"]
    assert outcome.status == "succeeded"
