"""`set`: computing variables."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]


@pytest.mark.language("set", refuses=True)
@pytest.mark.parametrize(
    ("keys", "more", "code"),
    [
        ("set: {}", "", "wrong-value"),
        ("set: [a]", "", "wrong-type"),
        ("set: {Big: '1'}", "", "bad-id"),
        ("set: {a: '1 +'}", "", "bad-expression"),
        ("set: {a: '{{ inputs.count }}'}", "", "bad-expression"),
        ("set: {a: [1]}", "", "wrong-type"),
        ("set: {a: blue}", "", "unknown-name"),
        ("set: {a: '1'}", "  - {set: {a: '2'}}\n", "variable-twice"),
        ("set: {a: '1'}", "vars: {a: 1}\n", "variable-twice"),
        ("set: {a: '1'}\nfor_each: inputs.names", "", "misplaced-key"),
    ],
)
def test_values_that_are_written_wrong_are_refused(codes_of_step: Codes, keys: str, more: str, code: str) -> None:
    """Each name once, each value a bare expression."""
    assert codes_of_step(keys, more) == [code]


@pytest.mark.language("set", refuses=True)
def test_a_variable_of_an_item_is_not_seen_outside_of_its_loop(codes_of_step: Codes) -> None:
    """Outside there is one for each item."""
    loop = "for_each: inputs.names\nsteps: [{set: {mine: item}}, {set: {again: vars.mine}}]"

    assert codes_of_step(loop) == []
    assert codes_of_step(loop, "  - {set: {all: vars.mine}}\n") == ["inside-loop"]


@pytest.mark.language("set", runs=True)
async def test_values_are_variables_and_the_output_of_the_step(harness: RunHarness) -> None:
    """Later steps read them either way; each keeps its type."""
    outcome = await harness.run("""
id: t
vars: {base: 2}
steps:
  - {id: sums, set: {double: vars.base * 2, names: "['a', 'b']"}}
  - {id: later, set: {more: vars.double + 1, first: "steps.sums.names[0]"}}
outputs: {all: "{{ [steps.sums, steps.later] }}"}
""")

    assert outcome.outputs == {"all": [{"double": 4, "names": ["a", "b"]}, {"more": 5, "first": "a"}]}
