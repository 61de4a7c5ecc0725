"""`steps` and `parallel`: blocks, and doing one again with `while`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]

ONE = "[{id: one, set: {a: '1'}}]"


def refuses(construct: str, key: str, text: str, code: str) -> Any:
    mark = pytest.mark.language(construct, key, refuses=True)
    return pytest.param(text, code, id=f"{construct} {key}".strip(), marks=mark)


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("steps", "", "steps: []", "empty-list"),
        refuses("steps", "", "steps: {a: 1}", "wrong-type"),
        refuses("steps", "", f"steps: {ONE}\nset: {{b: '1'}}", "step-kind"),
        refuses("steps", "", "steps: [{set: {b: steps.x}}]", "not-before"),
        refuses("parallel", "", "parallel: []", "empty-list"),
        refuses("parallel", "", "parallel: [{id: one, set: {a: '1'}}, {set: {b: steps.one.a}}]", "not-before"),
        refuses("parallel", "", "parallel: [{stop: {status: failed}}]", "misplaced-stop"),
        refuses("steps", "for_each", f"steps: {ONE}\nfor_each: inputs.name", "wrong-expression"),
        refuses(
            "steps", "for_each", f"steps: {ONE}\nfor_each: inputs.names\nwhile: 'true'\nat_most: 2", "misplaced-key"
        ),
        refuses("parallel", "for_each", f"parallel: {ONE}\nfor_each: [a]", "wrong-type"),
        refuses("steps", "while", f"steps: {ONE}\nwhile: 'true'", "missing-key"),
        refuses("steps", "while", f"steps: {ONE}\nwhile: steps.one.a\nat_most: 2", "wrong-expression"),
        refuses("steps", "while", f"steps: {ONE}\nwhile: steps.two.a > 1\nat_most: 2", "unknown-step"),
        refuses("steps", "while", "set: {a: '1'}\nwhile: 'true'\nat_most: 2", "misplaced-key"),
        refuses("parallel", "while", f"parallel: {ONE}\nwhile: result\nat_most: 2", "unknown-name"),
        refuses("while", "at_most", f"steps: {ONE}\nwhile: 'true'\nat_most: 0", "wrong-value"),
        refuses("while", "at_most", f"steps: {ONE}\nat_most: 3", "misplaced-key"),
    ],
)
def test_a_block_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """A block has steps, and every repetition has a bound."""
    assert set(codes_of_step(keys)) == {code}


def test_while_sees_the_steps_of_its_pass(codes_of_step: Codes) -> None:
    """From below, only the block's own output is seen: that of the last pass."""
    block = f"steps: {ONE}\nwhile: steps.one.a < 3 and vars.a < 3\nat_most: 2"

    assert codes_of_step(block) == []
    assert codes_of_step(block, "  - {set: {b: steps.x.one.a}}\n") == []
    assert codes_of_step(block, "  - {set: {b: steps.one.a}}\n") == ["inside-loop"]
    assert codes_of_step(f"steps: {ONE}\nwhen: steps.one.a < 3") == ["not-before"]


@pytest.mark.language("steps", runs=True)
async def test_the_steps_of_a_block_run_one_after_the_other(harness: RunHarness) -> None:
    """Each sees what those before it gave, and what is below sees all of them by the block's output."""
    outcome = await harness.run("""
id: t
steps:
  - id: block
    steps:
      - {id: one, set: {a: "1"}}
      - {id: two, set: {b: steps.one.a + 1}}
outputs: {block: "{{ steps.block }}"}
""")

    assert outcome.outputs == {"block": {"one": {"a": 1}, "two": {"b": 2}}}
    assert list(outcome.steps()) == ["block", "block.one", "block.two"]


@pytest.mark.language("parallel", runs=True)
async def test_the_steps_of_a_parallel_block_are_all_under_way_at_once(harness: RunHarness) -> None:
    """None waits for another one: every read has begun before the first one is answered."""
    under_way: list[int] = []

    async def note(_: Any) -> None:
        under_way.append(len(harness.world.called("find_hosts")))

    harness.world.on_call = note
    outcome = await harness.run("""
id: t
steps:
  - id: all
    parallel:
      - {id: a, action: edr.get_host, with: {name: pc1}}
      - {id: b, action: edr.get_host, with: {name: pc2}}
outputs: {names: "{{ [steps.all.a.name, steps.all.b.name] }}"}
""")

    assert outcome.outputs == {"names": ["pc1", "pc2"]}
    requested = [event.path for event in outcome.events if type(event).__name__ == "ActionRequested"]
    answered = [type(event).__name__ for event in outcome.events].index("ActionSucceeded")
    assert requested == ["all.a", "all.b"]
    assert answered > [type(event).__name__ for event in outcome.events].index("ActionRequested") + 1


@pytest.mark.language("steps", "for_each", runs=True)
@pytest.mark.language("parallel", "for_each", runs=True)
@pytest.mark.parametrize("kind", ["steps", "parallel"])
async def test_a_block_is_done_for_each_item(harness: RunHarness, kind: str) -> None:
    """Its output is an outcome for each, with the block's map."""
    outcome = await harness.run(f"""
id: t
steps:
  - id: loop
    for_each: "['pc1', 'pc2']"
    {kind}: [{{id: find, action: edr.get_host, with: {{name: "{{{{ item }}}}"}}}}]
outputs: {{found: "{{{{ steps.loop | map(attribute='output.find.id') }}}}"}}
""")

    assert outcome.outputs == {"found": ["id-pc1", "id-pc2"]}


@pytest.mark.language("steps", "while", runs=True)
@pytest.mark.language("parallel", "while", runs=True)
@pytest.mark.parametrize("kind", ["steps", "parallel"])
async def test_a_block_is_done_again_as_long_as_the_condition_holds(harness: RunHarness, kind: str) -> None:
    """It is asked after each pass, sees the steps of that pass, and the last pass is what the block gives."""

    async def another(call: Call) -> None:
        harness.world.add_host("pc1", id_=f"copy-{len(harness.world.calls)}")

    harness.world.on_call = another
    outcome = await harness.run(f"""
id: t
steps:
  - id: again
    while: steps.seen | length < 3
    at_most: 5
    {kind}: [{{id: seen, action: edr.find_hosts, with: {{name: pc1}}}}]
outputs: {{last: "{{{{ steps.again.seen | length }}}}"}}
""")

    assert outcome.outputs == {"last": 3}
    assert len(harness.world.called("find_hosts")) == 3


@pytest.mark.language("while", "at_most", runs=True)
async def test_a_block_is_done_at_most_so_many_times(harness: RunHarness) -> None:
    """Then it fails, for what was waited for did not come."""
    outcome = await harness.run("""
id: t
steps:
  - {id: again, while: "true", at_most: 4, steps: [{id: one, action: edr.list_alerts}]}
""")

    assert outcome.node("again").status.value == "failed"
    assert len(harness.world.called("list_alerts")) == 4
