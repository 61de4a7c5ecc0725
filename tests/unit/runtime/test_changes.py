"""One change: read what is there, store the intent, send, see."""

from typing import Any

import pytest

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    NotFound,
    PartialFailure,
    Timeout,
    Unavailable,
)
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.runtime.projections import HoldsProjection, RunsProjection
from hikeshi.testing.fake_connector import Call, FakeWorld, Fault, fake_connector
from hikeshi.testing.run_harness import Outcome, RunHarness

pytestmark = pytest.mark.safety(16, 17)

ISOLATE = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: after, set: {x: "1"}}
outputs: {iso: "{{ steps.iso | default(none) }}"}
"""
BLOCK = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - id: block
    action: firewall.block_indicators
    with: {indicators: "{{ inputs.found }}", reason: r}
"""
THREE = {"found": ["203.0.113.1", "203.0.113.2", "203.0.113.3"]}


def kinds(outcome: Outcome, path: str) -> list[str]:
    return [type(event).__name__ for event in outcome.events if event.path == path]


def settled(outcome: Outcome) -> dict[str, str]:
    return {each.target: each.outcome for event in outcome.of(ev.TargetsSettled) for each in event.settled}


async def test_a_change_is_intended_sent_seen_and_held(harness: RunHarness) -> None:
    """The whole life of a change that works, and its output is the state that was read back."""
    outcome = await harness.run(ISOLATE)
    assert kinds(outcome, "iso") == [
        "ActionRequested",
        "ActionIntended",
        "HoldsOpened",
        "TargetsSettled",
        "ActionSucceeded",
    ]
    assert outcome.outputs["iso"] == {"connector": "fake", "host_id": "id-pc1", "state": "isolated"}
    assert harness.holds() == {"pc1": "active"}
    (intended,) = outcome.of(ev.ActionIntended)
    assert intended.prior[0]["state"]["state"] == "normal"
    (holds,) = outcome.of(ev.HoldsOpened)
    assert len(holds.opened) == 1
    assert holds.undo["action"] == "edr.release_host"
    assert holds.undo["arguments"]["host"]["id"] == "id-pc1"


async def test_a_goal_that_is_reached_already_sends_nothing(harness: RunHarness) -> None:
    """`already`: nothing was sent, so there is nothing to undo and no hold."""
    harness.world.isolation["fake", "id-pc1"] = "isolated"
    outcome = await harness.run(ISOLATE)
    assert harness.world.sent() == []
    assert outcome.of(ev.ActionSucceeded, "iso")[0].already is True
    assert outcome.of(ev.ActionIntended) == []
    assert harness.holds() == {}
    assert outcome.status == "succeeded"


@pytest.mark.parametrize("error", [NotFound("gone"), Forbidden("no"), RuntimeError("defect"), ValueError("\ud800")])
async def test_a_prior_state_that_cannot_be_read_sends_nothing(harness: RunHarness, error: Exception) -> None:
    """Rule 13: could not read is never "is absent"."""
    harness.world.script("isolation_of", Fault("before", error))
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.FAILED
    assert harness.world.sent() == []
    assert outcome.of(ev.ActionIntended) == []
    assert harness.holds() == {}


async def test_the_intent_is_stored_when_the_connector_is_called(harness: RunHarness) -> None:
    """Rule 14: before a byte leaves, the journal knows that it will, and the hold is `opening`."""
    seen: list[tuple[list[str], dict[str, str]]] = []

    async def look(call: Call) -> None:
        if call.sent:
            seen.append(([record.kind for record in harness.records()], harness.holds()))

    harness.world.on_call = look
    await harness.run(ISOLATE)
    ((stored, holds),) = seen
    assert stored[-2:] == ["ActionIntended", "HoldsOpened"]
    assert holds == {"pc1": "opening"}


@pytest.mark.parametrize(
    ("fault", "status", "holds", "sent"),
    [
        (Fault("before", Forbidden("no")), "failed", "void", 0),
        (Fault("lost", Timeout("no answer", applied=Applied.MAYBE)), "succeeded", "active", 1),
        (Fault("lost", Unavailable("lost", applied=Applied.MAYBE)), "succeeded", "active", 1),
        (Fault("lost", RuntimeError("a defect after it was sent")), "succeeded", "active", 1),
        (Fault("lost", Conflict("it is so already")), "succeeded", "void", 1),
        (Fault("lost", Conflict("it may be ours", applied=Applied.MAYBE)), "succeeded", "active", 1),
        (Fault("dropped", Forbidden("no")), "failed", "void", 1),
        (Fault("dropped", RuntimeError("a defect after it was sent")), "failed", "void", 1),
        (Fault("dropped", Conflict("something else")), "failed", "void", 1),
        (Fault("ignored"), "unknown", "unknown", 1),
        (Fault("slow", looks=4), "succeeded", "active", 1),
        (Fault("slow", Timeout("no answer", applied=Applied.MAYBE), looks=4), "succeeded", "active", 1),
        (Fault("slow", Timeout("no answer", applied=Applied.MAYBE), looks=15), "succeeded", "active", 1),
    ],
    ids=lambda value: f"{value.how} {type(value.error).__name__}" if isinstance(value, Fault) else None,
)
async def test_how_a_change_ends_is_what_was_read_back(
    harness: RunHarness, fault: Fault, status: str, holds: str, sent: int
) -> None:
    """An answer that is lost is replaced by looking; only what provably had no effect has failed (rule 16)."""
    harness.world.script("isolate_host", fault)
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") == status
    assert harness.holds() == {"pc1": holds}
    assert len(harness.world.sent()) == sent


@pytest.mark.parametrize("error", [Timeout("no answer", applied=Applied.MAYBE), Unavailable("", applied=Applied.MAYBE)])
async def test_a_lost_request_that_had_no_effect_is_sent_again(harness: RunHarness, error: ConnectorError) -> None:
    """Read back as before, it provably was not applied: a retry is allowed, under the same key (rule 17)."""
    harness.world.script("isolate_host", Fault("dropped", error))
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.SUCCEEDED
    first, second = outcome.of(ev.ActionIntended)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.key == second.key
    assert harness.holds() == {"pc1": "active"}


async def test_a_change_that_is_under_way_is_not_sent_again(harness: RunHarness) -> None:
    """After a lost answer the state is neither as before nor as wanted: that is waited for, never repeated."""
    harness.world.script("isolate_host", Fault("slow", Timeout("no answer", applied=Applied.MAYBE), looks=10**6))
    outcome = await harness.run(ISOLATE)
    assert len(harness.world.sent()) == 1
    assert outcome.status_of("iso") is StepStatus.UNKNOWN


@pytest.mark.parametrize("error", [Unavailable("down"), RuntimeError("defect"), Forbidden("no")])
async def test_what_cannot_be_read_back_is_unknown(harness: RunHarness, error: Exception) -> None:
    """Rule 16: dependents wait, the run waits for a person, nothing is sent again."""
    harness.world.script("isolation_of", None, *[Fault("before", error)] * 40)
    harness.world.script("isolate_host", Fault("lost", Timeout("no answer", applied=Applied.MAYBE)))
    outcome = await harness.run(ISOLATE)
    assert outcome.steps() == {"find": "succeeded", "iso": "unknown", "after": "waiting"}
    assert outcome.status == "waiting"
    assert harness.holds() == {"pc1": "unknown"}
    assert len(harness.world.sent()) == 1
    assert outcome.state.finished is None


class Garbage(Fault):
    """Marks a call that gives something else than it declares."""


@pytest.mark.parametrize("garbage", [None, "isolated", {"state": "isolated"}, 42])
async def test_garbage_instead_of_a_state_after_sending_is_unknown_not_failed(garbage: Any) -> None:
    """A connector that reads back nonsense has proved nothing (rule 16)."""
    world = FakeWorld()
    base = fake_connector(world)

    class Odd(base, product="odd"):  # type: ignore[misc, valid-type]
        async def isolation_of(self, host: Any) -> Any:
            return garbage if world.sent() else await super().isolation_of(host)

    harness = RunHarness(world, {"fake": Odd})
    world.add_host("pc1")
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.UNKNOWN
    assert harness.holds() == {"pc1": "unknown"}


@pytest.mark.parametrize("garbage", [None, "isolated", {"state": "isolated"}, 42])
async def test_garbage_instead_of_a_prior_state_sends_nothing(garbage: Any) -> None:
    """Nor has it proved anything before (rule 13)."""
    world = FakeWorld()
    base = fake_connector(world)

    class Odd(base, product="odd"):  # type: ignore[misc, valid-type]
        async def isolation_of(self, host: Any) -> Any:
            return garbage

    harness = RunHarness(world, {"fake": Odd})
    world.add_host("pc1")
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.FAILED
    assert outcome.of(ev.ActionFailed)[0].error.message == "fake: edr.isolation_of gave something else than it declares"
    assert world.sent() == []


async def test_a_timeout_that_the_connector_raises_by_itself_is_read_back(harness: RunHarness) -> None:
    """Python's own TimeoutError, without a timeout of the step, is a lost answer like any other."""
    harness.world.script("isolate_host", Fault("lost", TimeoutError()))
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.SUCCEEDED
    assert harness.holds() == {"pc1": "active"}


async def test_a_conflict_gives_what_is_under_way_its_time(harness: RunHarness) -> None:
    """ "Already so" may mean that somebody else's request is under way."""
    harness.world.script("isolate_host", Fault("slow", Conflict("pending"), looks=12))
    outcome = await harness.run(ISOLATE)
    assert outcome.status_of("iso") is StepStatus.SUCCEEDED


async def test_each_target_of_a_batch_has_its_own_outcome_and_hold(harness: RunHarness) -> None:
    """One was so already, one is refused, one is done; the step fails and the ledger is exact."""
    harness.world.blocked.add(("fake", "203.0.113.1"))
    refused = PartialFailure({"203.0.113.2": Forbidden("not that one")})
    harness.world.script("block_indicators", Fault("lost", refused))
    outcome = await harness.run(BLOCK, inputs=THREE)
    assert settled(outcome) == {"ipv4:203.0.113.1": "already", "ipv4:203.0.113.2": "failed", "ipv4:203.0.113.3": "done"}
    assert harness.holds() == {"203.0.113.2": "void", "203.0.113.3": "active"}
    (intended,) = outcome.of(ev.ActionIntended)
    assert [target["label"] for target in intended.targets] == ["203.0.113.2", "203.0.113.3"]
    assert outcome.steps() == {"block": "failed", "block[fake]": "failed"}
    assert "1 of 3 targets: 203.0.113.2: not that one" in str(outcome.node("block[fake]").error)


async def test_a_batch_that_never_gets_there_is_unknown_for_those_targets(harness: RunHarness) -> None:
    """What was accepted and is not seen is unknown, target by target."""
    harness.world.script("block_indicators", Fault("ignored"))
    harness.world.blocked.add(("fake", "203.0.113.1"))
    outcome = await harness.run(BLOCK, inputs=THREE)
    assert settled(outcome) == {
        "ipv4:203.0.113.1": "already",
        "ipv4:203.0.113.2": "unknown",
        "ipv4:203.0.113.3": "unknown",
    }
    assert harness.holds() == {"203.0.113.2": "unknown", "203.0.113.3": "unknown"}
    assert outcome.status == "waiting"


async def test_a_batch_whose_answer_is_lost_is_read_back_whole(harness: RunHarness) -> None:
    """One look tells for all."""
    harness.world.script("block_indicators", Fault("lost", Timeout("no answer", applied=Applied.MAYBE)))
    outcome = await harness.run(BLOCK, inputs=THREE)
    assert set(settled(outcome).values()) == {"done"}
    assert outcome.status == "succeeded"


async def test_a_retry_of_a_batch_sends_only_what_is_left(harness: RunHarness) -> None:
    """What an attempt has done is `already` for the next, and its hold stays."""
    refused = PartialFailure({"203.0.113.2": Unavailable("busy")})
    harness.world.script("block_indicators", Fault("lost", refused))
    outcome = await harness.run(BLOCK, inputs=THREE)
    assert [len(call.arguments["indicators"]) for call in harness.world.sent()] == [3, 1]
    assert harness.holds() == {"203.0.113.1": "active", "203.0.113.2": "active", "203.0.113.3": "active"}
    assert outcome.status == "succeeded"


async def test_a_change_without_an_inverse_is_done_and_not_held(harness: RunHarness) -> None:
    """Ended sessions cannot be given back."""
    outcome = await harness.run("""
id: t
steps:
  - {id: find, action: identity.get_user, with: {name: mei@example.com}}
  - {id: end, action: identity.revoke_sessions, with: {user: "{{ steps.find }}", reason: r}}
""")
    assert outcome.status == "succeeded"
    assert outcome.of(ev.HoldsOpened)[0].undo is None
    assert harness.holds() == {"mei@example.com": "done"}


async def test_revoking_again_is_a_new_change(harness: RunHarness) -> None:
    """A state that is judged against the prior one is never `already`."""
    text = """
id: t
steps:
  - {id: find, action: identity.get_user, with: {name: mei@example.com}}
  - {id: one, action: identity.revoke_sessions, with: {user: "{{ steps.find }}", reason: r}}
  - {id: two, action: identity.revoke_sessions, with: {user: "{{ steps.find }}", reason: r}}
"""
    outcome = await harness.run(text)
    assert len(harness.world.sent("revoke_sessions")) == 2
    assert outcome.status == "succeeded"


async def test_the_second_thing_a_change_is_about_belongs_to_its_identity(harness: RunHarness) -> None:
    """Taking a user out of two groups is two holds."""
    harness.world.add_group("admins")
    harness.world.members |= {("fake", "id-mei@example.com", "id-vpn"), ("fake", "id-mei@example.com", "id-admins")}
    outcome = await harness.run("""
id: t
steps:
  - {id: find, action: identity.get_user, with: {name: mei@example.com}}
  - {id: groups, action: identity.groups_of, with: {user: "{{ steps.find }}"}}
  - id: out
    for_each: steps.groups
    action: identity.remove_from_group
    with: {user: "{{ steps.find }}", group: "{{ item }}", reason: r}
""")
    assert outcome.status == "succeeded"
    assert harness.holds() == {"mei@example.com / admins": "active", "mei@example.com / vpn": "active"}
    assert harness.world.members == set()


async def test_keys_stay_the_same_over_retries_and_are_new_for_a_new_run(harness: RunHarness) -> None:
    """Rule 17: run, path and target make the key."""
    harness.world.script("isolate_host", Fault("before", Unavailable("busy")))
    first = await harness.run(ISOLATE, run="run-a")
    harness.world.isolation.clear()
    second = await harness.run(ISOLATE, run="run-b")
    one = {event.key for event in first.of(ev.ActionIntended)}
    two = {event.key for event in second.of(ev.ActionIntended)}
    assert (len(one), len(two)) == (1, 1)
    assert one != two


async def test_each_item_of_a_loop_has_a_key_of_its_own(harness: RunHarness) -> None:
    """Two targets, two effects."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['pc1', 'pc2']"
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
""")
    assert len({event.key for event in outcome.of(ev.ActionIntended)}) == 2
    assert harness.holds() == {"pc1": "active", "pc2": "active"}


async def test_a_resolved_unknown_settles_its_hold(harness: RunHarness) -> None:
    """What a person found out is in the ledger too."""
    for happened, hold in ((True, "active"), (False, "void")):
        harness = RunHarness()
        harness.world.add_host("pc1")
        harness.world.script("isolate_host", Fault("ignored"))
        await harness.run(ISOLATE)
        assert harness.holds() == {"pc1": "unknown"}
        outcome = await harness.go_on("run-1", ev.StepResolved("iso", happened, "kei", {"state": "isolated"}))
        assert harness.holds() == {"pc1": hold}
        assert outcome.status == ("succeeded" if happened else "failed")
        assert outcome.status_of("after") == ("succeeded" if happened else "blocked")


async def test_a_step_that_was_resolved_as_done_has_no_error(harness: RunHarness) -> None:
    """`errors.iso` is null without one."""
    harness.world.script("isolate_host", Fault("ignored"))
    await harness.run(ISOLATE.replace('set: {x: "1"}', 'set: {x: "errors.iso is none"}'))
    outcome = await harness.go_on("run-1", ev.StepResolved("iso", True, "kei", {"state": "isolated"}))
    assert outcome.of(ev.ValuesSet)[0].values == {"x": True}


def test_projections_can_be_rebuilt_from_the_same_records() -> None:
    """Their names and versions are what tells that."""
    assert [(RunsProjection.name, HoldsProjection.name)] == [("runs", "holds")]


async def test_what_somebody_else_did_meanwhile_is_theirs(harness: RunHarness) -> None:
    """Our request was refused, and it became so: the step is done, nothing is held, and an undo takes nothing back."""
    harness.world.script("isolate_host", Fault("lost", Conflict("it is under way")))
    outcome = await harness.run(ISOLATE)

    ((settled,),) = (event.settled for event in outcome.of(ev.TargetsSettled))
    assert (outcome.status_of("iso"), settled.outcome, settled.state) == (StepStatus.SUCCEEDED, "already", None)
    assert outcome.of(ev.ActionSucceeded, "iso")[0].already
    assert harness.holds() == {"pc1": "void"}


async def test_what_another_run_of_ours_did_meanwhile_is_held_by_both(harness: RunHarness) -> None:
    """Two runs isolate one host at once: the one that was refused holds it as well, so both have to let it go."""
    await harness.run(ISOLATE)
    harness.world.isolation.clear()  # the second run finds it as it was before
    harness.world.script("isolate_host", Fault("lost", Conflict("it is under way")))
    outcome = await harness.run(ISOLATE, run="run-2")

    assert outcome.of(ev.TargetsSettled)[0].settled[0].outcome == "done"
    assert [row["status"] for row in harness.journal.query("SELECT status FROM holds ORDER BY opened_at", ())].count(
        "active"
    ) >= 1
