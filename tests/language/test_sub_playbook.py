"""`playbook`: running another playbook as part of the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]

OTHER = "id: other\ninputs: {size: {type: integer}}\nsteps: [{id: a, set: {double: inputs.size * 2}}]\n"
OUTPUT = "outputs: {double: '{{ steps.a.double }}'}\n"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key or "playbook", marks=pytest.mark.language("playbook", key, refuses=True))


@pytest.mark.parametrize(
    ("step", "code"),
    [
        refuses("", "{playbook: othr, with: {size: 1}}", "unknown-playbook"),
        refuses("", "{playbook: Other, with: {size: 1}}", "wrong-value"),
        refuses("with", "{playbook: other}", "missing-input"),
        refuses("with", "{playbook: other, with: {size: 1, siz: 1}}", "unexpected-input"),
        refuses("with", "{playbook: other, with: {size: large}}", "wrong-input"),
        refuses("for_each", "{playbook: other, with: {size: 1}, for_each: '1'}", "wrong-expression"),
        refuses("for_each", "{playbook: other, with: {size: 1}, while: 'true', at_most: 2}", "misplaced-key"),
    ],
)
def test_a_playbook_that_is_called_wrong_is_refused(codes: Codes, step: str, code: str) -> None:
    """What it takes is known before the run."""
    assert set(codes(f"id: p\nsteps: [{step}]\n", OTHER + OUTPUT)) == {code}


@pytest.mark.language("playbook", refuses=True)
@pytest.mark.parametrize(
    "others",
    [
        ["id: p\nsteps: [{playbook: p}]"],
        ["id: p\nsteps: [{playbook: q}]", "id: q\nsteps: [{playbook: p}]"],
        [
            "id: p\nsteps: [{parallel: [{playbook: q}]}]",
            "id: q\nsteps: [{set: {a: '1'}, on_error: [{playbook: r}]}]",
            "id: r\nsteps: [{set: {a: '1'}}]\nfinally: [{playbook: p}]",
        ],
    ],
)
def test_no_playbook_runs_itself_through_any_number_of_files(codes: Codes, others: list[str]) -> None:
    """Directly, through another one, from handlers and lists at the end: each member of the circle is told."""
    for text in others:
        assert codes(text, *others) == ["recursion"]


def test_what_a_playbook_gives_is_known(codes: Codes) -> None:
    """Its outputs are typed by its own steps."""
    text = "id: p\nsteps:\n  - {id: sub, playbook: other, with: {size: 1}}\n  - {set: {b: steps.sub.doble}}\n"

    assert codes(text, OTHER + OUTPUT) == ["unknown-field"]
    assert codes(text.replace("doble", "double"), OTHER + OUTPUT) == []


@pytest.mark.language("playbook", runs=True)
@pytest.mark.language("playbook", "with", runs=True)
async def test_the_outputs_of_a_playbook_are_what_its_step_gives(harness: RunHarness) -> None:
    """It runs as part of the same run, below the step's path, with the inputs it was given."""
    text = "id: p\nsteps: [{id: sub, playbook: other, with: {size: 4}}]\noutputs: {d: '{{ steps.sub.double }}'}\n"
    outcome = await harness.run(text, OTHER + OUTPUT)

    assert outcome.outputs == {"d": 8}
    assert list(outcome.steps()) == ["sub", "sub.a"]


@pytest.mark.language("playbook", "for_each", runs=True)
async def test_a_playbook_is_run_for_each_item(harness: RunHarness) -> None:
    """Each item has a playbook of its own."""
    text = """
id: p
steps: [{id: all, for_each: "[1, 5]", playbook: other, with: {size: "{{ item }}"}}]
outputs: {d: "{{ steps.all | map(attribute='output.double') }}"}
"""
    outcome = await harness.run(text, OTHER + OUTPUT)

    assert outcome.outputs == {"d": [2, 10]}
