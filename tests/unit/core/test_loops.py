"""`for_each`: items, bounds, failures, nesting."""

import pytest

from hikeshi.connector import NotFound, Unavailable
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.core.state import RunState
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import RunHarness


async def test_a_loop_gives_an_outcome_for_each_item_in_order(harness: RunHarness) -> None:
    """The loop's output is a list of item, status, output and error, in the order of the items."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['pc2', 'nobody', 'pc1']"
    action: edr.get_host
    with: {name: "{{ item }}"}
    max_failures: 1
outputs: {names: "{{ steps.loop | map(attribute='status') }}", loop: "{{ steps.loop }}"}
""")
    assert outcome.outputs["names"] == ["succeeded", "failed", "succeeded"]
    first, second, _ = outcome.outputs["loop"]
    assert (first["item"], first["output"]["name"], first["error"]) == ("pc2", "pc2", None)
    assert (second["output"], second["error"]["kind"]) == (None, "not_found")


async def test_an_item_that_failed_within_the_limit_lets_the_loop_succeed_and_the_run_fail(harness: RunHarness) -> None:
    """A run in which anything failed ends `failed`, and still what needs the loop runs."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[1, 2]"
    max_failures: 1
    steps:
      - {id: s, set: {x: "1 / (item - 1)"}}
  - {id: after, set: {y: "1"}}
""")
    assert outcome.status_of("loop") is StepStatus.SUCCEEDED
    assert outcome.status_of("after") is StepStatus.SUCCEEDED
    assert (outcome.status, outcome.state.failures) == ("failed", ["loop[0].s"])


@pytest.mark.parametrize(
    ("limit", "items", "status"),
    [
        ("0", "[1, 0]", "failed"),
        ("1", "[1, 0]", "succeeded"),
        ("1", "[0, 0]", "refused"),
        ("50%", "[1, 0]", "succeeded"),
        ("49%", "[1, 0]", "failed"),
        ("100%", "[0]", "succeeded"),
    ],
)
async def test_max_failures_is_a_count_or_per_cent(harness: RunHarness, limit: str, items: str, status: str) -> None:
    """The loop fails if more items failed than allowed. The same item twice is an error before any starts."""
    outcome = await harness.run(f"""
id: t
steps:
  - id: loop
    for_each: "{items}"
    max_failures: {limit}
    steps:
      - {{id: s, set: {{x: "1 / item"}}}}
""")
    if status == "refused":
        assert outcome.node("loop").error is not None
        assert "the same item twice, at 0 and 1" in str(outcome.node("loop").error)
        assert list(outcome.steps()) == ["loop"]
    else:
        assert outcome.steps()["loop"] == status


async def test_no_more_items_are_under_way_than_concurrency_allows(harness: RunHarness) -> None:
    """`concurrency` bounds how many items run at the same time."""
    most = 0

    def watch(_: ev.Event, state: RunState) -> None:
        nonlocal most
        most = max(most, sum(1 for path in state.owed if path.startswith("loop[")))

    harness.watchers = (watch,)
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']"
    concurrency: 3
    action: edr.find_hosts
    with: {name: "{{ item }}"}
""")
    assert outcome.status == "succeeded"
    assert most == 3


async def test_a_batch_is_one_item_that_is_a_list(harness: RunHarness) -> None:
    """With `batch`, each item holds so many entries, the last one what is left."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[1, 2, 3, 4, 5]"
    batch: 2
    steps:
      - {id: s, set: {n: "item | length"}}
outputs: {items: "{{ steps.loop | map(attribute='item') }}"}
""")
    assert outcome.outputs == {"items": [[1, 2], [3, 4], [5]]}


async def test_after_so_many_failures_no_more_items_start(harness: RunHarness) -> None:
    """`stop_after` starts nothing further; the items that were not begun are `skipped` in the output."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[0, 1, 2, 3]"
    concurrency: 1
    stop_after: 2
    steps:
      - {id: s, set: {x: "1 / 0"}}
  - {id: after, needs: [], set: {y: "1"}}
finally:
  - {id: seen, set: {statuses: "steps.loop | default([]) | map(attribute='status')"}}
""")
    assert outcome.steps()["loop"] == "failed"
    assert "loop[2]" not in outcome.steps()
    assert outcome.of(ev.ValuesSet, "finally.seen")[0].values == {
        "statuses": ["failed", "failed", "skipped", "skipped"]
    }


async def test_items_under_way_end_when_a_loop_stops(harness: RunHarness) -> None:
    """Stopping after failures never cancels what runs."""
    harness.world.script("find_hosts", NotFound("gone"))

    async def slow_for_pc2(call: Call) -> None:
        if call.arguments["name"] == "pc2":
            await harness.clock.sleep(10)

    harness.world.on_call = slow_for_pc2
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['pc1', 'pc2', 'pc3']"
    concurrency: 2
    stop_after: 1
    action: edr.find_hosts
    with: {name: "{{ item }}"}
""")
    assert outcome.steps() == {"loop": "failed", "loop[0]": "failed", "loop[1]": "succeeded"}


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ("'abc'", "needs a list"),
        ("3", "needs a list"),
        ("{'a': 1}", "needs a list"),
        ("none", "needs a list"),
        ("[1, 2, 1]", "the same item twice, at 0 and 2"),
        ("[{'a': 1, 'b': 2}, {'b': 2, 'a': 1}]", "the same item twice, at 0 and 1"),
    ],
)
async def test_a_list_that_is_none_or_has_duplicates_is_refused(harness: RunHarness, items: str, text: str) -> None:
    """A non-list or a duplicate item fails the loop before anything is begun."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: loop, for_each: "{items}", action: edr.find_hosts, with: {{name: x}}}}
""")
    assert outcome.steps() == {"loop": "failed"}
    assert text in str(outcome.node("loop").error)
    assert harness.world.calls == []


async def test_values_that_only_look_alike_are_different_items(harness: RunHarness) -> None:
    """1, '1' and true are three items."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[1, '1', true]"
    steps: [{id: s, set: {x: "item"}}]
""")
    assert outcome.status == "succeeded"


async def test_a_loop_over_nothing_succeeds_with_an_empty_list(harness: RunHarness) -> None:
    """An empty list is no error."""
    outcome = await harness.run("""
id: t
steps:
  - {id: loop, for_each: "[]", action: edr.find_hosts, with: {name: x}}
  - {id: after, set: {n: "steps.loop | length"}}
outputs: {n: "{{ steps.after.n }}"}
""")
    assert (outcome.status, outcome.outputs) == ("succeeded", {"n": 0})


async def test_conditions_of_a_loop_are_asked_for_each_item(harness: RunHarness) -> None:
    """`when` sees the item; a skipped item is no failure."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[1, 2, 3]"
    when: "item != 2"
    steps: [{id: s, set: {x: "item"}}]
outputs: {statuses: "{{ steps.loop | map(attribute='status') }}"}
""")
    assert outcome.outputs == {"statuses": ["succeeded", "skipped", "succeeded"]}
    assert outcome.status == "succeeded"


async def test_loops_and_blocks_nest_to_any_depth(harness: RunHarness) -> None:
    """Each level sees the items of the levels around it, under their own names."""
    outcome = await harness.run("""
id: t
steps:
  - id: outer
    for_each: "['a', 'b']"
    as: letter
    steps:
      - id: inner
        for_each: "[1, 2]"
        as: number
        steps:
          - id: block
            parallel:
              - id: deep
                for_each: "[letter ~ number]"
                steps: [{id: leaf, set: {x: "item ~ '!'"}}]
      - {id: sum, set: {all: "steps.inner | map(attribute='output') | map(attribute='block') | length"}}
outputs: {outer: "{{ steps.outer }}"}
""")
    assert outcome.status == "succeeded"
    assert outcome.of(ev.ValuesSet, "outer[1].inner[0].block.deep[0].leaf")[0].values == {"x": "b1!"}
    assert [entry["output"]["sum"]["all"] for entry in outcome.outputs["outer"]] == [2, 2]


async def test_thirty_nested_blocks_run_to_the_bottom(harness: RunHarness) -> None:
    """Depth costs no recursion in the core."""
    depth = 30
    lines = ["id: t", "steps:"]
    for level in range(depth):
        lines += [f"{'  ' * (2 * level + 1)}- id: b{level}", f"{'  ' * (2 * level + 2)}steps:"]
    lines.append(f'{"  " * (2 * depth + 1)}- {{id: leaf, set: {{x: "42"}}}}')
    outcome = await harness.run("\n".join(lines))
    assert outcome.status == "succeeded"
    assert sum(path.endswith("leaf") for path in outcome.steps()) == 1


async def test_variables_set_in_a_loop_belong_to_the_item(harness: RunHarness) -> None:
    """Each item has its own, and none is seen after the loop."""
    outcome = await harness.run("""
id: t
vars: {x: "outside"}
steps:
  - id: loop
    for_each: "[1, 2, 3]"
    steps:
      - {id: s, set: {mine: "item * 10"}}
      - {id: r, set: {read: "vars.mine + 1", outer: "vars.x"}}
outputs: {reads: "{{ steps.loop | map(attribute='output') | map(attribute='r') }}"}
""")
    assert outcome.outputs["reads"] == [{"read": n, "outer": "outside"} for n in (11, 21, 31)]
    assert outcome.state.root is not None
    assert "mine" not in outcome.state.root.vars


async def test_a_step_in_a_loop_sees_the_steps_of_its_own_item(harness: RunHarness) -> None:
    """`steps.find` inside a loop is the item's own, and steps before the loop are seen too."""
    outcome = await harness.run("""
id: t
steps:
  - {id: base, set: {b: "100"}}
  - id: loop
    for_each: "[1, 2, 3]"
    concurrency: 3
    steps:
      - {id: one, set: {x: "item"}}
      - id: block
        steps:
          - {id: two, set: {y: "steps.one.x + steps.base.b"}}
outputs: {all: "{{ steps.loop | map(attribute='output') }}"}
""")
    assert [entry["block"]["two"]["y"] for entry in outcome.outputs["all"]] == [101, 102, 103]


async def test_each_item_is_retried_alone(harness: RunHarness) -> None:
    """The failure of one item's attempt repeats that item only."""
    harness.world.script("find_hosts", None, Unavailable("busy"), None)
    outcome = await harness.run("""
id: t
steps:
  - {id: loop, for_each: "['a', 'b', 'c']", action: edr.find_hosts, with: {name: "{{ item }}"}}
""")
    assert [call.arguments["name"] for call in harness.world.calls] == ["a", "b", "c", "b"]
    assert outcome.node("loop[1]").attempts == 2


async def test_a_loop_over_five_hundred_and_more_items_is_decided_in_portions(harness: RunHarness) -> None:
    """A large fan-out is stored in parts, and none is lost between them."""
    items = str(list(range(1201)))
    outcome = await harness.run(f"""
id: t
steps:
  - id: loop
    for_each: "{items}"
    concurrency: 1000
    steps: [{{id: s, set: {{x: "item"}}}}]
outputs: {{n: "{{{{ steps.loop | length }}}}"}}
""")
    assert (outcome.status, outcome.outputs) == ("succeeded", {"n": 1201})
