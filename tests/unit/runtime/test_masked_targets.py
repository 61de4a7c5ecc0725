"""Secrets in what is stored of the targets of a change: masked, and the engine still reads back what it wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from hikeshi.connector import Forbidden, PartialFailure
from hikeshi.core import decode_event, encode_event
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.runtime.masking import without_secrets
from hikeshi.secrets import MASK, Redactor
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import RunHarness

pytestmark = pytest.mark.safety(26)

Outcome = Literal["done", "already", "failed", "unknown"]

SECRET = "C4nary/9 of-ours"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOLD, TARGET = "0123456789abcdef", "fw:text:pc1"
OUTCOMES: tuple[Outcome, ...] = ("done", "already", "failed", "unknown")


def masked(event: Any, *secrets: str) -> Any:
    """Return an event as it is read back after it was stored without these secrets."""
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    data = {name: without_secrets(redactor, name, value) for name, value in encode_event(event).items()}
    stored = json.loads(json.dumps(data))
    return decode_event(type(event).__name__, event.path, stored)


def opened(text: str) -> ev.HoldsOpened:
    """Return the opening of two holds with a text wherever a product or a playbook can put one."""
    holds = [
        ev.OpenedHold(HOLD, TARGET, f"pc1 {text}", {"note": text, "more": [{"deep": text}]}, {"name": text}),
        ev.OpenedHold("fedcba9876543210", "fw:text:pc2", "pc2", None, {"name": "pc2"}),
    ]
    undo = {"action": "edr.release_host", "arguments": {"reason": text}}
    return ev.HoldsOpened("a", "edr.isolate_host", "fw", holds, undo, "host", AT)


def settled(text: str) -> ev.TargetsSettled:
    """Return each outcome once, with a text in every state and every reason."""
    error = ErrorRecord("forbidden", f"no: {text}", "maybe", 1.5, [{"name": text}])
    return ev.TargetsSettled(
        "a", [ev.SettledTarget(TARGET, outcome, error, HOLD, {"note": text, "n": [text]}) for outcome in OUTCOMES]
    )


@pytest.mark.parametrize("made", [opened, settled])
def test_a_secret_is_masked_wherever_it_can_stand(made: Any) -> None:
    """In what was before, what is now, what people read and what an error says; all else is as it was."""
    event: Event = masked(made(SECRET), SECRET)

    assert SECRET not in json.dumps(encode_event(event))
    assert event == made(MASK)


@pytest.mark.parametrize("made", [opened, settled])
def test_a_secret_inside_of_a_target_is_masked(made: Any) -> None:
    """What is no ordinary word is taken out even of what the engine wrote itself."""
    event = masked(made("x"), "fw:text:pc1")
    assert "fw:text:pc1" not in json.dumps(encode_event(event))


@pytest.mark.parametrize("word", [*OUTCOMES, "forbidden", "maybe", "edr.release_host", "host", "hold", "text", "cdef"])
def test_a_secret_that_is_a_word_of_the_engine_leaves_what_the_engine_reads_back(word: str) -> None:
    """A password such as "done" must not make an outcome, a kind of error or a hold unreadable."""
    fates = masked(settled(word), word)
    assert [each.outcome for each in fates.settled] == list(OUTCOMES)
    assert {(each.target, each.hold) for each in fates.settled} == {(TARGET, HOLD)}
    assert {(each.error.kind, each.error.applied, each.error.retry_after_s) for each in fates.settled} == {
        ("forbidden", "maybe", 1.5)
    }
    assert {each.error.message for each in fates.settled} == {f"no: {MASK}"}
    assert [each.state["note"] for each in fates.settled] == [MASK] * 4

    holds = masked(opened(word), word)
    assert [(each.hold, each.target) for each in holds.opened] == [
        (HOLD, TARGET),
        ("fedcba9876543210", "fw:text:pc2"),
    ]
    assert (holds.undo["action"], holds.each, holds.expires_at) == ("edr.release_host", "host", AT)
    assert (holds.opened[0].label, holds.opened[0].prior["note"]) == (f"pc1 {MASK}", MASK)


async def test_a_batch_whose_reasons_hold_a_secret_is_settled_and_released(harness: RunHarness) -> None:
    """Through the whole engine: a word that is a secret and an outcome, in an error text and in what is told."""
    harness.redactor.add("done")
    harness.redactor.add(SECRET)
    refused = PartialFailure({"203.0.113.1": Forbidden(f"not while {SECRET} is done")})
    harness.world.script("block_indicators", Fault("lost", refused))
    outcome = await harness.run(
        "id: t\ninputs: {found: {type: list, items: indicator}}\nsteps:\n"
        "  - {id: block, action: firewall.block_indicators, with: {indicators: '{{ inputs.found }}', reason: r}}\n",
        inputs={"found": ["203.0.113.1", "203.0.113.2"]},
    )

    fates = {each.target: each for event in outcome.of(ev.TargetsSettled) for each in event.settled}
    assert {target: each.outcome for target, each in fates.items()} == {
        "ipv4:203.0.113.1": "failed",
        "ipv4:203.0.113.2": "done",
    }
    error = fates["ipv4:203.0.113.1"].error
    assert (error.kind, error.message) == ("forbidden", f"not while {MASK} is {MASK}")
    assert harness.holds() == {"203.0.113.1": "void", "203.0.113.2": "active"}
    assert all(SECRET.encode() not in record.encoded for record in outcome.records)
