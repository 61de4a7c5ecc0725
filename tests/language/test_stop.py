"""`stop`: ending the playbook early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key or "stop", marks=pytest.mark.language("stop", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("", "stop: now", "wrong-type"),
        refuses("", "for_each: inputs.names\nsteps: [{stop: {status: failed}}]", "misplaced-stop"),
        refuses("", "while: 'false'\nat_most: 2\nsteps: [{steps: [{stop: {status: failed}}]}]", "misplaced-stop"),
        refuses("", "parallel: [{steps: [{stop: {status: failed}}]}]", "misplaced-stop"),
        refuses("", "set: {a: '1'}\non_error: [{stop: {status: failed}}]", "misplaced-stop"),
        refuses("status", "stop: {message: done}", "missing-key"),
        refuses("status", "stop: {status: done}", "wrong-value"),
        refuses("message", "stop: {status: failed, message: 7}", "wrong-type"),
        refuses("message", "stop: {status: failed, message: '{{ inputs.names }}'}", "wrong-text"),
        refuses("message", "stop: {status: failed, message: '{{ inputs.nme }}'}", "unknown-input"),
    ],
)
def test_a_stop_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """It stands where there is one playbook to stop, and says how that ends."""
    assert codes_of_step(keys) == [code]


@pytest.mark.language("stop", refuses=True)
@pytest.mark.parametrize("name", ["on_failure", "finally"])
def test_what_runs_at_the_end_cannot_stop(codes: Codes, name: str) -> None:
    """There is nothing left to stop."""
    assert codes(f"id: p\nsteps: [{{set: {{a: '1'}}}}]\n{name}: [{{stop: {{status: failed}}}}]\n") == ["misplaced-stop"]


@pytest.mark.language("stop", runs=True)
@pytest.mark.language("stop", "status", runs=True)
@pytest.mark.language("stop", "message", runs=True)
@pytest.mark.parametrize("status", ["succeeded", "failed"])
async def test_a_stop_ends_the_playbook_as_it_says(harness: RunHarness, status: str) -> None:
    """Nothing below it starts, and its reason is kept."""
    outcome = await harness.run(f"""
id: t
inputs: {{name: {{type: string, default: pc1}}}}
steps:
  - {{id: end, stop: {{status: {status}, message: "{{{{ inputs.name }}}} is fine"}}}}
  - {{id: below, action: edr.list_alerts}}
""")

    assert outcome.status == status
    assert harness.world.calls == []
    assert "pc1 is fine" in [getattr(event, "message", None) for event in outcome.events]
