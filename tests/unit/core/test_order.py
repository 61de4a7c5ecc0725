"""Which step runs when: lists, blocks, `parallel`, `needs` and `when`."""

import pytest

from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import Outcome, RunHarness


def order(outcome: Outcome) -> list[str]:
    """Return the paths of the steps in the order in which they ended or began to act."""
    kinds = (ev.ValuesSet, ev.ActionRequested, ev.FannedOut, ev.StepStarted, ev.StepSkipped)
    return [event.path for event in outcome.events if isinstance(event, kinds)]


async def test_steps_of_a_list_run_one_after_the_other(harness: RunHarness) -> None:
    """Without `needs`, a step starts when the one before it has ended."""
    outcome = await harness.run("""
id: t
steps:
  - {id: a, action: edr.get_host, with: {name: pc1}}
  - {id: b, action: edr.get_host, with: {name: pc2}}
  - {id: c, set: {x: "steps.a.name ~ steps.b.name"}}
outputs: {x: "{{ steps.c.x }}"}
""")
    kinds = [type(event).__name__ for event in outcome.events]
    assert kinds == [
        "RunStarted",
        "ActionRequested",
        "ActionSucceeded",
        "ActionRequested",
        "ActionSucceeded",
        "ValuesSet",
        "RunFinished",
    ]
    assert outcome.outputs == {"x": "pc1pc2"}


async def test_parallel_children_are_all_requested_before_one_has_answered(harness: RunHarness) -> None:
    """The children of `parallel` start together."""
    outcome = await harness.run("""
id: t
steps:
  - id: both
    parallel:
      - {id: a, action: edr.get_host, with: {name: pc1}}
      - {id: b, action: edr.get_host, with: {name: pc2}}
""")
    kinds = [type(event).__name__ for event in outcome.events]
    assert kinds[2:4] == ["ActionRequested", "ActionRequested"]
    assert outcome.status == "succeeded"


async def test_needs_names_siblings_instead_of_the_step_before(harness: RunHarness) -> None:
    """A step with `needs` waits for those, and for nothing else."""
    outcome = await harness.run("""
id: t
steps:
  - {id: a, set: {x: "1"}}
  - {id: b, set: {y: "2"}, needs: [c]}
  - {id: c, set: {z: "3"}, needs: [a]}
""")
    assert order(outcome) == ["a", "c", "b"]


async def test_empty_needs_starts_a_step_with_its_block(harness: RunHarness) -> None:
    """`needs: []` waits for nothing, wherever the step stands in its list."""
    outcome = await harness.run("""
id: t
steps:
  - {id: fails, set: {x: "1 / 0"}}
  - {id: free, needs: [], action: edr.get_host, with: {name: pc1}}
  - {id: joined, needs: [free], set: {y: "steps.free.name"}}
""")
    assert outcome.steps() == {"fails": "failed", "free": "succeeded", "joined": "succeeded"}
    assert outcome.status == "failed"


async def test_a_step_that_needs_two_waits_for_both(harness: RunHarness) -> None:
    """A join starts once, after the last of what it needs."""
    outcome = await harness.run("""
id: t
steps:
  - {id: a, needs: [], action: edr.get_host, with: {name: pc1}}
  - {id: b, needs: [], action: edr.get_host, with: {name: pc2}}
  - {id: c, needs: [a, b], set: {x: "steps.a.name ~ steps.b.name"}}
""")
    assert outcome.of(ev.ValuesSet) == [ev.ValuesSet("c", {"x": "pc1pc2"})]


async def test_a_false_condition_skips_and_what_needs_the_step_goes_on(harness: RunHarness) -> None:
    """`skipped` is no failure: the dependents run."""
    outcome = await harness.run("""
id: t
steps:
  - {id: a, set: {x: "1"}, when: "1 > 2"}
  - {id: b, set: {y: "2"}}
""")
    assert outcome.steps() == {"a": "skipped", "b": "succeeded"}
    assert outcome.of(ev.StepSkipped)[0].reason == "`when: 1 > 2` is false"
    assert outcome.status == "succeeded"


async def test_a_skipped_block_creates_none_of_its_children(harness: RunHarness) -> None:
    """What is inside a skipped block is never reached."""
    outcome = await harness.run("""
id: t
steps:
  - id: block
    when: "false"
    steps:
      - {id: inside, set: {x: "1"}}
  - {id: after, set: {y: "2"}}
""")
    assert outcome.steps() == {"block": "skipped", "after": "succeeded"}


@pytest.mark.parametrize("condition", ["1", "'yes'", "none", "[]"])
async def test_a_condition_that_is_no_boolean_fails_the_step(harness: RunHarness, condition: str) -> None:
    """Nothing is true or false by accident."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, set: {{x: "1"}}, when: "{condition}"}}
""")
    assert outcome.steps() == {"a": "failed"}
    assert outcome.node("a").error is not None
    assert outcome.node("a").error.kind == "expression"  # type: ignore[union-attr]


async def test_the_output_of_a_block_maps_its_children(harness: RunHarness) -> None:
    """A block gives the outputs of its named children that have one."""
    outcome = await harness.run("""
id: t
steps:
  - id: block
    steps:
      - {id: a, set: {x: "1"}}
      - {set: {unnamed: "2"}}
      - {id: skipped, set: {y: "3"}, when: "false"}
      - id: inner
        parallel:
          - {id: b, set: {z: "4"}}
outputs: {block: "{{ steps.block }}"}
""")
    assert outcome.outputs == {"block": {"a": {"x": 1}, "inner": {"b": {"z": 4}}}}


async def test_a_chain_of_many_steps_costs_no_recursion(harness: RunHarness) -> None:
    """Twelve hundred steps in a row end, one after the other."""
    lines = [f'  - {{id: s{n}, set: {{v{n}: "{n}"}}}}' for n in range(1200)]
    outcome = await harness.run("\n".join(["id: t", "steps:", *lines]))
    assert outcome.status == "succeeded"
    assert order(outcome) == [f"s{n}" for n in range(1200)]


async def test_a_failure_at_the_head_of_a_long_chain_blocks_all_of_it(harness: RunHarness) -> None:
    """Blocking runs along any length without recursion, and starts nothing."""
    lines = [f'  - {{id: s{n}, set: {{v{n}: "{n}"}}}}' for n in range(1200)]
    outcome = await harness.run("\n".join(["id: t", "steps:", '  - {id: bad, set: {x: "1 / 0"}}', *lines]))
    assert outcome.status == "failed"
    assert {status for path, status in outcome.steps().items() if path != "bad"} == {"blocked"}


async def test_steps_without_an_id_have_a_path_by_position(harness: RunHarness) -> None:
    """Where a step stands is its name if it has none."""
    outcome = await harness.run("""
id: t
steps:
  - {set: {x: "1"}}
  - parallel:
      - {set: {y: "2"}}
""")
    assert list(outcome.steps()) == ["steps[0]", "steps[1]", "steps[1].parallel[0]"]


async def test_what_runs_is_what_was_pinned_when_the_run_started(harness: RunHarness) -> None:
    """RunStarted holds the text and digest of the playbook and where its actions go."""
    text = "id: t\nsteps: [{id: a, action: edr.get_host, with: {name: pc1}}]\n"
    outcome = await harness.run(text)
    started = outcome.of(ev.RunStarted)[0]
    assert started.sources == {"t": text}
    assert started.routes["edr.get_host"]["instances"] == {"fake": None}
    assert harness.world.calls == [Call("fake", "find_hosts", {"name": "pc1"})]
