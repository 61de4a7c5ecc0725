"""`release`: closing holds by undoing the changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]


@pytest.mark.language("release", refuses=True)
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("release:", "wrong-type"),
        ("release: [find]", "wrong-type"),
        ('release: "{{ steps.find }}"', "bad-expression"),
        ("release: steps.fnd", "unknown-step"),
        ("release: inputs.name", "wrong-target"),
        ("release: inputs.names", "wrong-target"),
        ("release: steps.find.tags", "wrong-target"),
        ("release: 'true'", "wrong-target"),
        ("release: steps.find\nfor_each: inputs.names", "misplaced-key"),
    ],
)
def test_a_release_without_targets_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """An entity, an indicator, or a list of them."""
    assert codes_of_step(keys) == [code]


def test_a_release_gives_outcomes(codes_of_step: Codes) -> None:
    """One for each hold that was closed."""
    assert codes_of_step("release: steps.find", '  - {set: {a: "steps.x[0].status"}}\n') == []
    assert codes_of_step("release: steps.find", '  - {set: {a: "steps.x[0].statuz"}}\n') == ["wrong-expression"]
    assert codes_of_step("release: steps.find", "  - {set: {a: steps.x.status}}\n") == ["wrong-expression"]


@pytest.mark.language("release", runs=True)
async def test_a_release_undoes_what_is_kept_on_its_targets(harness: RunHarness) -> None:
    """By the inverse of each change, on no other target, and it says what became of each hold."""
    outcome = await harness.run("""
id: t
steps:
  - {id: one, action: edr.get_host, with: {name: pc1}}
  - {id: two, action: edr.get_host, with: {name: pc2}}
  - {action: edr.isolate_host, with: {host: "{{ steps.one }}", reason: r}}
  - {action: edr.isolate_host, with: {host: "{{ steps.two }}", reason: r}}
  - {id: free, release: "[steps.one]"}
outputs: {freed: "{{ steps.free[0].item }} {{ steps.free[0].status }} {{ steps.free | length }}"}
""")

    assert outcome.outputs == {"freed": "pc1 succeeded 1"}
    assert [call.arguments["host"].id for call in harness.world.sent("release_host")] == ["id-pc1"]
    assert harness.holds() == {"pc1": "released", "pc2": "active"}


@pytest.mark.language("release", runs=True)
async def test_a_release_of_what_nobody_keeps_sends_nothing(harness: RunHarness) -> None:
    """There is nothing to undo, and that is no failure."""
    find = "{id: find, action: edr.get_host, with: {name: pc1}}"
    outcome = await harness.run(f"id: t\nsteps: [{find}, {{id: free, release: steps.find}}]\n")

    assert outcome.node("free").output == []
    assert outcome.status == "succeeded"
    assert harness.world.sent() == []
