"""When an attempt is followed by another, and when not."""

from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Conflict, RateLimited, Timeout, Unavailable
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord
from hikeshi.core.retry import next_attempt_at
from hikeshi.playbook.model import Retry
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import RunHarness

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BUSY = ErrorRecord("unavailable", "busy")


def waits(policy: Retry | None, error: ErrorRecord = BUSY, effect: Effect = Effect.READ, run: str = "r") -> list[float]:
    """Return how long each wait is, until there is none."""
    found: list[float] = []
    while (at := next_attempt_at(run, "p", len(found) + 1, error, effect, policy, NOW)) is not None:
        found.append((at - NOW).total_seconds())
    return found


def test_waits_grow_by_the_factor_up_to_the_most() -> None:
    """Each wait is the last one times the factor, within a fifth, and bounded."""
    found = waits(Retry(attempts=6, wait_s=2.0, factor=3.0, max_wait_s=20.0))
    assert len(found) == 5
    for wait, meant in zip(found, [2, 6, 18, 20, 20], strict=True):
        assert meant * 0.8 <= wait <= meant * 1.2


def test_jitter_is_the_same_for_the_same_attempt_and_differs_between_runs_and_paths() -> None:
    """A replay agrees with what was decided, and a thousand runs do not wake together."""
    assert waits(None) == waits(None)
    assert waits(None) != waits(None, run="another")
    spread = {next_attempt_at("r", f"p{n}", 1, BUSY, Effect.READ, None, NOW) for n in range(50)}
    assert len(spread) == 50


def test_what_the_product_asks_for_is_a_minimum() -> None:
    """Retry-After prolongs a wait and never shortens one."""
    assert waits(None, ErrorRecord("rate_limited", "", retry_after_s=30.0)) == [30.0, 30.0]
    assert waits(None, ErrorRecord("rate_limited", "", retry_after_s=0.001)) == waits(None)


@pytest.mark.parametrize("asked_s", [float("inf"), 1e300, 10.0**12, 2 * 86400.0])
def test_a_product_that_asks_for_days_is_not_waited_for(asked_s: float) -> None:
    """Every wait is bounded: coming back sooner would break what was asked, so it gives up."""
    assert waits(None, ErrorRecord("rate_limited", "", retry_after_s=asked_s)) == []


def test_the_steepest_policy_that_can_be_written_overflows_nothing() -> None:
    """A hundred attempts with factor ten stay at the longest wait."""
    assert len(waits(Retry(attempts=100, wait_s=3600, factor=10, max_wait_s=3600))) == 99


@pytest.mark.parametrize("kind", ["not_found", "forbidden", "invalid", "conflict", "defect", "ambiguous"])
def test_errors_that_a_repeat_cannot_mend_are_not_repeated(kind: str) -> None:
    """Only the kinds that pass by themselves are tried again."""
    assert waits(None, ErrorRecord(kind, "")) == []


def test_a_policy_names_the_kinds_it_repeats() -> None:
    """With `kinds`, those and only those."""
    policy = Retry(attempts=2, kinds=frozenset({"conflict"}))
    assert len(waits(policy, ErrorRecord("conflict", ""))) == 1
    assert waits(policy, BUSY) == []


def test_a_change_is_repeated_only_if_it_provably_had_no_effect() -> None:
    """Rule 16: maybe is not no."""
    maybe = ErrorRecord("timeout", "", applied="maybe")
    assert waits(None, maybe, Effect.CHANGE) == []
    assert len(waits(None, ErrorRecord("timeout", ""), Effect.CHANGE)) == 2
    assert len(waits(None, maybe, Effect.NOTIFY)) == 2
    assert len(waits(None, maybe, Effect.READ)) == 2


def test_one_attempt_means_no_second() -> None:
    """`attempts` counts the first."""
    assert waits(Retry(attempts=1)) == []


async def test_a_read_is_repeated_until_it_works_and_waits_are_recorded(harness: RunHarness) -> None:
    """Two failures, two durable waits, one success."""
    harness.world.script("find_hosts", RateLimited("slow down", retry_after_s=42), Unavailable("busy"))
    outcome = await harness.run("id: t\nsteps: [{id: a, action: edr.get_host, with: {name: pc1}}]\n")
    kinds = [type(event).__name__ for event in outcome.events]
    assert kinds == [
        "RunStarted",
        "ActionRequested",
        "ActionFailed",
        "RetryScheduled",
        "TimerFired",
        "ActionFailed",
        "RetryScheduled",
        "TimerFired",
        "ActionSucceeded",
        "RunFinished",
    ]
    first, second = outcome.of(ev.RetryScheduled)
    assert first.due_at - NOW == timedelta(seconds=42)
    assert [first.attempt, second.attempt] == [2, 3]
    assert outcome.status == "succeeded"
    assert harness.clock.now() == second.due_at


async def test_after_the_last_attempt_the_step_has_failed_with_its_error(harness: RunHarness) -> None:
    """Three attempts by default."""
    harness.world.script("find_hosts", *[Unavailable("busy")] * 5)
    outcome = await harness.run("id: t\nsteps: [{id: a, action: edr.get_host, with: {name: pc1}}]\n")
    assert len(harness.world.calls) == 3
    assert outcome.of(ev.StepFailed) == [ev.StepFailed("a", ErrorRecord("unavailable", "busy"))]


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (RateLimited("later"), 2),
        (Unavailable("down", applied=Applied.NO), 2),
        (Timeout("no connection", applied=Applied.NO), 2),
        (Conflict("busy"), 1),
    ],
)
async def test_a_refused_change_is_sent_again(harness: RunHarness, error: Exception, calls: int) -> None:
    """A change that was refused before it had an effect may be repeated; the kinds decide."""
    harness.world.script("isolate_host", Fault("before", error))
    outcome = await harness.run("""
id: t
steps:
  - {id: a, action: edr.get_host, with: {name: pc1}}
  - {id: b, action: edr.isolate_host, with: {host: "{{ steps.a }}", reason: r}}
""")
    assert len(harness.world.called("isolate_host")) == calls
    assert outcome.status == ("succeeded" if calls == 2 else "failed")


async def test_only_messages_are_possibly_repeated(harness: RunHarness) -> None:
    """A read that lost its answer once is just read again; people may have been told twice."""
    lost = Timeout("no answer", applied=Applied.MAYBE)
    harness.world.script("find_hosts", lost)
    harness.world.script("post", Fault("lost", lost))
    outcome = await harness.run("""
id: t
steps:
  - {id: a, action: edr.get_host, with: {name: pc1}}
  - {id: b, action: messaging.post, with: {channel: c, text: hi}}
""")
    assert outcome.status == "succeeded"
    assert (outcome.node("a").possibly_repeated, outcome.node("b[fake]").possibly_repeated) == (False, True)
    assert len(harness.world.messages) == 2
