"""A playbook as a step of another: its own scope, its outputs, its failures."""

from hikeshi.core import events as ev
from hikeshi.testing.run_harness import RunHarness

INNER = """
id: inner
inputs: {n: {type: integer}, text: {type: string, default: none}}
vars: {twice: "{{ inputs.n * 2 }}"}
steps:
  - {id: a, set: {more: "vars.twice + 1"}}
outputs: {result: "{{ steps.a.more }}", text: "{{ inputs.text }}"}
"""


async def test_its_outputs_are_the_output_of_the_step(harness: RunHarness) -> None:
    """`steps.call` is a map of the other playbook's outputs."""
    outcome = await harness.run(
        """
id: t
inputs: {m: {type: integer}}
steps:
  - {id: call, playbook: inner, with: {n: "{{ inputs.m }}"}}
  - {id: after, set: {x: "steps.call.result"}}
outputs: {x: "{{ steps.after.x }}", text: "{{ steps.call.text }}"}
""",
        INNER,
        inputs={"m": 20},
    )
    assert outcome.outputs == {"x": 41, "text": "none"}
    assert outcome.steps() == {"call": "succeeded", "call.a": "succeeded", "after": "succeeded"}


async def test_names_of_one_playbook_do_not_exist_in_the_other(harness: RunHarness) -> None:
    """Steps, inputs and variables of the caller are not seen inside, even under the same names."""
    inner = """
id: inner
inputs: {n: {type: integer, default: 7}}
steps:
  - {id: a, set: {seen: "vars.v | default('no such variable')", n: "inputs.n"}}
outputs: {seen: "{{ steps.a.seen }}", n: "{{ steps.a.n }}"}
"""
    outcome = await harness.run(
        """
id: t
inputs: {n: {type: integer, default: 1}}
vars: {v: outer}
steps:
  - {id: a, set: {b: "inputs.n"}}
  - {id: call, playbook: inner}
outputs: {call: "{{ steps.call }}", n: "{{ steps.a.b }}"}
""",
        inner,
    )
    assert outcome.outputs == {"call": {"seen": "no such variable", "n": 7}, "n": 1}


async def test_a_failure_inside_fails_the_step_and_blocks_what_needs_it(harness: RunHarness) -> None:
    """The failure comes up through the step, and the caller's `on_failure` runs while the other one's ran already."""
    inner = """
id: inner
steps: [{id: bad, action: edr.get_host, with: {name: nobody}}]
on_failure: [{id: mine, set: {x: "1"}}]
finally: [{id: last, set: {y: "1"}}]
"""
    outcome = await harness.run(
        """
id: t
steps:
  - {id: call, playbook: inner}
  - {id: after, set: {z: "1"}}
on_failure: [{id: outer, set: {w: "1"}}]
""",
        inner,
    )
    assert outcome.steps() == {
        "call": "failed",
        "call.bad": "failed",
        "call.on_failure.mine": "succeeded",
        "call.finally.last": "succeeded",
        "after": "blocked",
        "on_failure.outer": "succeeded",
    }
    assert [event.path for event in outcome.of(ev.OnFailureStarted)] == ["call", ""]
    assert outcome.state.failures == ["call.bad"]


async def test_a_failure_that_continue_covers_stays_inside(harness: RunHarness) -> None:
    """`on_error: continue` on the calling step lets the caller go on, and calls no `on_failure` of it."""
    outcome = await harness.run(
        """
id: t
steps:
  - {id: call, playbook: inner, on_error: continue}
  - {id: after, set: {z: "status.call"}}
on_failure: [{id: outer, set: {w: "1"}}]
outputs: {z: "{{ steps.after.z }}"}
""",
        "id: inner\nsteps: [{id: bad, set: {x: '1 / 0'}}]\n",
    )
    assert outcome.outputs == {"z": "failed"}
    assert outcome.of(ev.OnFailureStarted) == []


async def test_inputs_that_do_not_fit_fail_the_step_before_anything_inside_begins(harness: RunHarness) -> None:
    """Inputs are checked where they are given."""
    outcome = await harness.run(
        "id: t\nsteps: [{id: call, playbook: inner, with: {n: \"{{ 'many' }}\"}}]\n",
        INNER,
    )
    assert outcome.steps() == {"call": "failed"}
    assert outcome.node("call").error is not None
    assert outcome.node("call").error.kind == "invalid"  # type: ignore[union-attr]


async def test_each_item_of_a_loop_runs_a_playbook_of_its_own(harness: RunHarness) -> None:
    """Variables and steps of one item's playbook are not those of another's."""
    outcome = await harness.run(
        """
id: t
steps:
  - {id: loop, for_each: "[1, 2, 3]", playbook: inner, with: {n: "{{ item }}"}}
outputs: {all: "{{ steps.loop | map(attribute='output') | map(attribute='result') }}"}
""",
        INNER,
    )
    assert outcome.outputs == {"all": [3, 5, 7]}
    assert "loop[2].a" in outcome.steps()


async def test_playbooks_call_playbooks(harness: RunHarness) -> None:
    """Two levels deep, each with its own names."""
    middle = """
id: middle
steps: [{id: a, playbook: inner, with: {n: 10}}]
outputs: {up: "{{ steps.a.result + 100 }}"}
"""
    outcome = await harness.run(
        'id: t\nsteps: [{id: a, playbook: middle}]\noutputs: {up: "{{ steps.a.up }}"}\n', middle, INNER
    )
    assert outcome.outputs == {"up": 121}
    assert "a.a.a" in outcome.steps()


async def test_an_output_that_cannot_be_computed_fails_the_step(harness: RunHarness) -> None:
    """The caller sees which output of which playbook it was."""
    outcome = await harness.run(
        "id: t\nsteps: [{id: call, playbook: inner}]\n",
        'id: inner\nsteps: [{id: a, set: {x: "0"}}]\noutputs: {y: "{{ 1 / steps.a.x }}"}\n',
    )
    assert outcome.steps()["call"] == "failed"
    assert "output 'y' of 'inner'" in str(outcome.node("call").error)


async def test_a_failed_notification_inside_does_not_block_the_caller(harness: RunHarness) -> None:
    """What holds nothing worse than a failed notification blocks nothing."""
    from hikeshi.connector import Forbidden

    harness.world.script("post", Forbidden("no"))
    outcome = await harness.run(
        "id: t\nsteps: [{id: call, playbook: inner}, {id: after, set: {x: '1'}}]\n",
        "id: inner\nsteps: [{id: tell, action: messaging.post, with: {channel: c, text: hi}}]\n",
    )
    assert outcome.steps() == {
        "call": "failed",
        "call.tell": "failed",
        "call.tell[fake]": "failed",
        "after": "succeeded",
    }
    assert outcome.status == "failed"
