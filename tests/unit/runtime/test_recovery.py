"""What a run does after its process died, wherever that was."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hikeshi.capabilities import Recovery
from hikeshi.capabilities.action import change, marks_of
from hikeshi.connector import Applied, Timeout, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.journal import JournalUnavailable, decode_record
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.projections import standard_projections
from hikeshi.testing.fake_connector import FakeWorld, Fault, fake_connector
from hikeshi.testing.memory_journal import MemoryJournal
from hikeshi.testing.run_harness import RunHarness

pytestmark = pytest.mark.safety(14, 15, 16)

ISOLATE = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: after, set: {x: "1"}}
"""
FULL = JournalUnavailable("Cannot write: the disk is full", "memory", "Free some space")


class DyingJournal(MemoryJournal):
    """A journal whose process dies at an append that holds a kind of event: just before it is written, or after.

    `at` counts appends instead. Nothing is written from then on, until `revive`.
    """

    def __init__(self, kind: str = "", *, written: bool = False, at: int = 0) -> None:
        super().__init__(standard_projections())
        self.kind, self.written, self.at = kind, written, at
        self.dead = False
        self.count = 0

    def revive(self) -> None:
        self.dead, self.kind, self.at = False, "", 0

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes], **more: Any) -> None:
        self.count += 1
        kinds = {decode_record(encoded).kind for encoded in records}
        dies = self.kind in kinds or self.count == self.at
        if self.dead or (dies and not self.written):
            self.dead = True
            raise FULL
        await super().append(run, expected_seq, records, **more)
        if dies:
            self.dead = True
            raise FULL


def dying(kind: str = "", *, written: bool = False, at: int = 0) -> tuple[RunHarness, DyingJournal]:
    journal = DyingJournal(kind, written=written, at=at)
    harness = RunHarness(journal=journal)
    harness.world.add_host("pc1")
    harness.world.add_host("pc2")
    return harness, journal


async def halted(harness: RunHarness, text: str = ISOLATE) -> None:
    with pytest.raises(RunHalted, match="run-1 stops here"):
        await harness.run(text)


async def test_a_journal_that_fails_before_the_intent_sends_nothing() -> None:
    """Rule 19: no change starts that is not stored first; the run goes on later."""
    harness, journal = dying("ActionIntended")
    await halted(harness)
    assert harness.world.sent() == []
    journal.revive()
    outcome = await harness.go_on()
    assert outcome.status == "succeeded"
    assert len(harness.world.sent()) == 1


async def test_a_journal_that_fails_once_halts_the_run() -> None:
    """`fail_next` of the shipped journal, at the very first append: nothing is there, nothing is sent."""
    journal = MemoryJournal()
    journal.fail_next(FULL)
    harness = RunHarness(journal=journal)
    await halted(harness)
    assert harness.world.calls == []
    assert list(journal.read("run-1")) == []


async def test_a_journal_that_fails_after_sending_is_read_back_and_not_sent_again() -> None:
    """What was done while nothing could be stored is found by looking."""
    harness, journal = dying("TargetsSettled")
    await halted(harness)
    assert len(harness.world.sent()) == 1
    assert harness.holds() == {"pc1": "opening"}
    journal.revive()
    outcome = await harness.go_on()
    assert outcome.status == "succeeded"
    assert len(harness.world.sent()) == 1
    assert harness.holds() == {"pc1": "active"}
    assert len(outcome.of(ev.ActionIntended)) == 1


async def test_an_intent_that_was_stored_but_never_sent_is_sent_after_looking() -> None:
    """Stored, then killed: the state is as before, so it is sent, under the same key and marked."""
    harness, journal = dying("ActionIntended", written=True)
    await halted(harness)
    assert harness.world.sent() == []
    journal.revive()
    outcome = await harness.go_on()
    assert len(harness.world.sent()) == 1
    first, second = outcome.of(ev.ActionIntended)
    assert first.key == second.key
    assert (first.possibly_repeated, second.possibly_repeated) == (False, True)
    assert outcome.status == "succeeded"
    assert harness.holds() == {"pc1": "active"}


async def test_what_is_under_way_at_the_product_is_not_sent_again_after_a_crash() -> None:
    """The product is still at it: neither as before nor as wanted. Sending again would be a second request."""
    harness, journal = dying("TargetsSettled")
    harness.world.script("isolate_host", Fault("slow", looks=60))
    journal.kind = "TargetsSettled"
    await halted_while_slow(harness)
    journal.revive()
    harness.world.pending[:] = [(25, take) for _, take in harness.world.pending]
    outcome = await harness.go_on()
    assert len(harness.world.sent()) == 1
    assert outcome.status_of("iso") is StepStatus.SUCCEEDED


async def halted_while_slow(harness: RunHarness) -> None:
    await halted(harness)
    harness.world.isolation["fake", "id-pc1"] = "isolating"
    if not harness.world.pending:
        harness.world.pending.append((25, lambda: harness.world.isolation.update({("fake", "id-pc1"): "isolated"})))


async def test_a_change_that_cannot_be_read_back_after_a_crash_is_unknown() -> None:
    """Nobody knows: the run waits for a person and sends nothing."""
    harness, journal = dying("TargetsSettled")
    await halted(harness)
    journal.revive()
    harness.world.script("isolation_of", *[Fault("before", Unavailable("down"))] * 30)
    outcome = await harness.go_on()
    assert outcome.status_of("iso") is StepStatus.UNKNOWN
    assert outcome.status == "waiting"
    assert len(harness.world.sent()) == 1
    assert harness.holds() == {"pc1": "unknown"}


async def test_a_notification_after_a_crash_is_repeated_and_says_so() -> None:
    """Told twice beats not told."""
    text = "id: t\nsteps: [{id: tell, action: messaging.post, with: {channel: c, text: hi}}]\n"
    harness, journal = dying("ActionSucceeded")
    await halted(harness, text)
    journal.revive()
    outcome = await harness.go_on()
    assert [message[2] for message in harness.world.messages] == ["hi", "hi"]
    assert outcome.node("tell[fake]").possibly_repeated is True
    assert [event.possibly_repeated for event in outcome.of(ev.ActionSucceeded)] == [True]
    assert outcome.status == "succeeded"


async def test_a_wait_for_the_next_attempt_survives_a_crash() -> None:
    """A retry is due when it was due, however long nobody was there."""
    harness, journal = dying("TimerFired")
    harness.world.script("find_hosts", Unavailable("busy", retry_after_s=60))
    await halted(harness)
    due_at = harness.fold().owed["find"].due_at  # type: ignore[union-attr]
    journal.revive()
    outcome = await harness.go_on()
    assert harness.clock.now() >= due_at
    assert len(harness.world.called("find_hosts")) == 2
    assert outcome.status == "succeeded"


def manual(recovery: Recovery, world: FakeWorld) -> RunHarness:
    """Return a harness whose connector has an action of its own with this recovery class and no state to read."""
    base = fake_connector(world)

    class Tool(base, product="tool"):  # type: ignore[misc, valid-type]
        @change(target="name", undo=None, because="it cannot be taken back", recovery=recovery)
        async def wipe(self, name: str) -> None:
            """Wipe something."""
            await self._send("wipe", {"name": name}, lambda: None)

    journal = DyingJournal()
    return RunHarness(world, {"tool": Tool}, journal=journal)


WIPE = "id: t\nsteps:\n  - {id: wipe, action: tool.wipe, with: {name: disk1}}\n  - {id: after, set: {x: '1'}}\n"


async def test_a_manual_change_under_way_at_a_crash_asks_a_person() -> None:
    """The default class: it is never sent again by itself."""
    world = FakeWorld()
    harness = manual(Recovery.MANUAL, world)
    journal = harness.journal
    assert isinstance(journal, DyingJournal)
    journal.kind = "ActionSucceeded"
    await halted(harness, WIPE)
    assert len(world.sent("wipe")) == 1
    journal.revive()
    outcome = await harness.go_on()
    assert len(world.sent("wipe")) == 1
    assert outcome.status_of("wipe[tool]") is StepStatus.UNKNOWN
    assert outcome.status == "waiting"
    resolved = await harness.go_on("run-1", ev.StepResolved("wipe[tool]", True, "kei"))
    assert resolved.status == "succeeded"


async def test_an_idempotent_change_under_way_at_a_crash_is_sent_again_with_the_same_key() -> None:
    """Sending it again has no further effect, so nobody has to be asked."""
    world = FakeWorld()
    harness = manual(Recovery.IDEMPOTENT, world)
    journal = harness.journal
    assert isinstance(journal, DyingJournal)
    journal.kind = "ActionSucceeded"
    await halted(harness, WIPE)
    journal.revive()
    outcome = await harness.go_on()
    assert len(world.sent("wipe")) == 2
    assert len({event.key for event in outcome.of(ev.ActionIntended)}) == 1
    assert outcome.status == "succeeded"


@pytest.mark.parametrize("fault", [Fault("lost", Timeout("", applied=Applied.MAYBE)), Fault("dropped", ValueError())])
async def test_a_change_without_a_readable_state_whose_answer_is_lost_is_unknown(fault: Fault) -> None:
    """There is nothing to look at, so nobody knows (rule 16)."""
    world = FakeWorld()
    world.script("wipe", fault)
    harness = manual(Recovery.MANUAL, world)
    outcome = await harness.run(WIPE)
    assert outcome.status_of("wipe[tool]") is StepStatus.UNKNOWN
    assert outcome.status_of("after") is StepStatus.WAITING


@pytest.mark.safety(2)
def test_an_action_without_a_declared_effect_is_a_change_that_nobody_repeats() -> None:
    """Rule 2, and the default of rule 14."""
    from hikeshi.capabilities import Effect, build_spec

    class Tool(fake_connector(FakeWorld()), product="tool"):  # type: ignore[misc]
        async def run_script(self, text: str) -> None:
            """Run a script."""

    assert marks_of(Tool.run_script) is None
    spec = build_spec("tool", Tool, "run_script")
    assert (spec.effect, spec.recovery) == (Effect.CHANGE, Recovery.MANUAL)


async def test_a_run_that_waits_for_a_person_waits_again_after_a_restart() -> None:
    """Going on with it does nothing but say who owns it."""
    harness, _ = dying()
    harness.world.script("isolate_host", Fault("ignored"))
    await harness.run(ISOLATE)
    before = len(harness.records())
    outcome = await harness.go_on()
    assert outcome.status == "waiting"
    assert [record.kind for record in outcome.records[before:]] == ["RunTakenOver"]


async def test_a_batch_under_way_at_a_crash_is_read_back_target_by_target() -> None:
    """What was so before the attempt is `already` again; what was done is done; nothing is sent twice."""
    text = """
id: t
steps:
  - id: block
    action: firewall.block_indicators
    with: {indicators: [{kind: ipv4, value: 203.0.113.1}, {kind: ipv4, value: 203.0.113.2}], reason: r}
"""
    harness, journal = dying("TargetsSettled")
    harness.world.blocked.add(("fake", "203.0.113.1"))
    await halted(harness, text)
    journal.revive()
    outcome = await harness.go_on()
    assert len(harness.world.sent()) == 1
    settled = [each for event in outcome.of(ev.TargetsSettled) for each in event.settled]
    assert {each.target: each.outcome for each in settled} == {
        "ipv4:203.0.113.1": "already",
        "ipv4:203.0.113.2": "done",
    }
    assert harness.holds() == {"203.0.113.2": "active"}


EVERYTHING = """
id: t
steps:
  - id: loop
    for_each: "['pc1', 'pc2']"
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - parallel:
      - id: block
        action: firewall.block_indicators
        with: {indicators: [{kind: ipv4, value: 203.0.113.1}], reason: r}
      - {id: bad, action: edr.get_host, with: {name: nobody}, on_error: continue}
  - {id: tell, action: messaging.post, with: {channel: c, text: done}}
finally:
  - {id: last, set: {x: "status.tell"}}
"""


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(1, 14), st.booleans()), min_size=1, max_size=3), st.booleans())
async def test_killed_anywhere_any_number_of_times_each_effect_happens_once(
    deaths: list[tuple[int, bool]], slow: bool
) -> None:
    """Rule 15: at whichever append the process dies, and dies again, no change is applied twice, and the run ends."""
    harness, journal = dying()
    if slow:
        harness.world.script("isolate_host", Fault("slow", looks=3), Fault("slow", looks=9))
    first = True
    for at, written in deaths:
        journal.revive()
        journal.at, journal.written, journal.count = at, written, 0
        try:
            if first:
                await harness.run(EVERYTHING)
            elif harness.records():
                await harness.go_on()
        except RunHalted:
            pass
        first = not harness.records()
    journal.revive()
    outcome = await (harness.run(EVERYTHING) if first else harness.go_on())
    assert outcome.state.finished == "failed"
    assert outcome.state.failures == ["steps[1].bad"]
    sent = harness.world.sent("isolate_host")
    assert sorted(call.arguments["host"].name for call in sent) == ["pc1", "pc2"]
    assert len(harness.world.sent("block_indicators")) == 1
    assert set(harness.holds().values()) == {"active"}
    assert len(harness.world.messages) >= 1
