"""`stop`: the playbook ends here, as succeeded or failed."""

import pytest

from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import RunHarness


@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_nothing_more_starts_and_finally_still_runs(harness: RunHarness, status: str) -> None:
    """After `stop` every step that was not begun is skipped; `finally` runs; the run ends as `stop` says."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, set: {{x: "1"}}}}
  - {{id: halt, stop: {{status: {status}, message: "enough of {{{{ steps.a.x }}}}"}}}}
  - {{id: b, set: {{y: "1"}}}}
  - {{id: c, steps: [{{id: d, set: {{z: "1"}}}}]}}
finally:
  - {{id: z, set: {{w: "status.b"}}}}
""")
    assert outcome.steps() == {
        "a": "succeeded",
        "halt": "succeeded",
        "b": "skipped",
        "c": "skipped",
        "finally.z": "succeeded",
    }
    assert outcome.node("b").reason == "the playbook was stopped"
    assert outcome.status == status
    assert outcome.of(ev.StopReached)[0].message == "enough of 1"
    if status == "failed":
        assert outcome.state.error is not None
        assert outcome.state.error.message == "enough of 1"


async def test_a_stop_whose_condition_is_false_stops_nothing(harness: RunHarness) -> None:
    """A skipped `stop` is skipped like any step."""
    outcome = await harness.run("""
id: t
steps:
  - {id: halt, when: "false", stop: {status: failed}}
  - {id: b, set: {y: "1"}}
""")
    assert (outcome.status, outcome.steps()) == ("succeeded", {"halt": "skipped", "b": "succeeded"})


async def test_a_stop_inside_a_block_stops_the_whole_playbook(harness: RunHarness) -> None:
    """The block's other steps and the playbook's further steps do not start."""
    outcome = await harness.run("""
id: t
steps:
  - id: block
    steps:
      - {id: halt, stop: {status: succeeded}}
      - {id: inside, set: {x: "1"}}
  - {id: after, set: {y: "1"}}
""")
    assert outcome.steps() == {
        "block": "succeeded",
        "block.halt": "succeeded",
        "block.inside": "skipped",
        "after": "skipped",
    }


async def test_what_is_under_way_at_a_stop_ends_as_it_would_have(harness: RunHarness) -> None:
    """`stop` cancels nothing, and starts no further item of a loop."""

    async def slow(call: Call) -> None:
        await harness.clock.sleep(1 if call.verb == "find_users" else 5)

    harness.world.on_call = slow
    outcome = await harness.run("""
id: t
steps:
  - {id: loop, for_each: "['pc1', 'pc2']", concurrency: 1, action: edr.get_host, with: {name: "{{ item }}"}}
  - {id: first, needs: [], action: identity.find_users, with: {name: x}}
  - {id: halt, stop: {status: succeeded}}
""")
    assert outcome.steps() == {
        "loop": "succeeded",
        "loop[0]": "succeeded",
        "loop[1]": "skipped",
        "first": "succeeded",
        "halt": "succeeded",
    }


async def test_a_stop_in_a_sub_playbook_ends_that_playbook_only(harness: RunHarness) -> None:
    """The caller goes on after a `stop` that succeeded, and is blocked by one that failed."""
    inner = "id: inner\nsteps:\n  - {id: halt, stop: {status: succeeded}}\n  - {id: x, set: {a: '1'}}\n"
    other = "id: other\nsteps:\n  - {id: halt, stop: {status: failed, message: no}}\n"
    outcome = await harness.run(
        """
id: t
steps:
  - {id: first, playbook: inner}
  - {id: second, playbook: other}
  - {id: third, set: {z: "1"}}
""",
        inner,
        other,
    )
    assert outcome.steps() == {
        "first": "succeeded",
        "first.halt": "succeeded",
        "first.x": "skipped",
        "second": "failed",
        "second.halt": "succeeded",
        "third": "blocked",
    }
    assert outcome.status == "failed"


async def test_a_stop_outside_does_not_keep_a_sub_playbook_in_finally_from_running(harness: RunHarness) -> None:
    """What runs after the steps is not kept from running, whatever it is made of."""
    inner = "id: inner\nsteps: [{id: x, set: {a: '1'}}]\n"
    outcome = await harness.run(
        """
id: t
steps: [{id: halt, stop: {status: succeeded}}]
finally: [{id: clean, playbook: inner}]
""",
        inner,
    )
    assert outcome.steps() == {"halt": "succeeded", "finally.clean": "succeeded", "finally.clean.x": "succeeded"}


async def test_a_handler_of_a_step_that_fails_after_a_stop_still_runs(harness: RunHarness) -> None:
    """What was begun is finished with all that belongs to it."""

    async def slow(call: Call) -> None:
        await harness.clock.sleep(5)

    harness.world.on_call = slow
    outcome = await harness.run("""
id: t
steps:
  - {id: a, action: edr.get_host, with: {name: nobody}, on_error: [{id: h, set: {x: "error.kind"}}]}
  - {id: halt, needs: [], stop: {status: succeeded}}
""")
    assert outcome.steps() == {"a": "failed", "a.on_error.h": "succeeded", "halt": "succeeded"}
    assert outcome.status == "failed"
