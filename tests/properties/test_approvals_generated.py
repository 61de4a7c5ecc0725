"""Approvals that are not given, in playbooks of every shape: no covered change is ever sent."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parent))  # tests are no package
sys.path.append(str(Path(__file__).parents[1] / "unit" / "runtime"))

from approval_maker import Fate, Made, made_playbooks
from conversation import Conversation

from hikeshi.testing.run_harness import Outcome

QUICK = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
BAD: list[Fate] = ["reject", "silence", "reject", "silence", "approve", "waived"]
GOOD: list[Fate] = ["approve", "waived"]
_MOST_ROUNDS = 60


async def carried_out(made: Made, cancel_in_round: int | None = None) -> tuple[Conversation, Outcome]:
    """Run playbooks with people who answer as they are fated to, and who allow whatever else they are asked."""
    people = Conversation()
    outcome = await people.begin(*made.texts)
    for number in range(_MOST_ROUNDS):
        if outcome.state.finished is not None:
            break
        if number == cancel_in_round:
            outcome = await people.send("mei", "cancel", reason="enough")
            continue
        outcome = await _round(people, made, outcome)
    return people, outcome


async def _round(people: Conversation, made: Made, outcome: Outcome) -> Outcome:
    """Answer everything that is asked now; if nobody would answer anything, let the time pass."""
    answered = False
    for path in people.asked():
        if path not in people.asked():
            continue
        fate = made.fates.get(re.split(r"[.\]]", path)[-1], "approve")
        if fate == "silence":
            continue
        answered = True
        for voter in ("mei", "kei"):
            if path in people.asked():
                outcome = await people.say(voter, "reject" if fate == "reject" else "approve", path)
    return outcome if answered else await people.later(1201)


def touched(people: Conversation) -> set[str]:
    """Return the names of everything that a change was sent for, without the items of loops."""
    found: set[str] = set()
    for call in people.harness.world.sent():
        found |= {
            name for name in _targets(call.arguments) if not (call.verb == "isolate_host" and name.startswith("held"))
        }
    return found


def _targets(arguments: Any) -> set[str]:
    if "host" in arguments:
        return {arguments["host"].name.split("-")[0]}
    return {each.value for each in arguments.get("indicators", [])}


@QUICK
@given(made=made_playbooks(BAD), cancel_in_round=st.sampled_from([None, None, None, 0, 1, 2]))
def test_no_change_is_sent_that_an_approval_covers_and_nobody_gave(made: Made, cancel_in_round: int | None) -> None:
    """Rejected, timed out, never asked for, or the run cancelled: whatever handles, continues or needs nothing."""
    people, outcome = asyncio.run(carried_out(made, cancel_in_round))

    assert not touched(people) & made.forbidden(), made.show()
    assert outcome.state.finished is not None, made.show()


@QUICK
@given(made=made_playbooks(GOOD))
def test_a_run_whose_approvals_are_all_given_ends(made: Made) -> None:
    """Nothing that was held is forgotten."""
    people, outcome = asyncio.run(carried_out(made))

    assert outcome.state.finished is not None, made.show()
    assert people.asked() == []
    assert outcome.state.held == {}
