"""Which approvals cover which steps, by place and by name."""

from __future__ import annotations

import pytest

from hikeshi.playbook import Playbook, load_playbook
from hikeshi.playbook.coverage import covering

CUT = "action: edr.isolate_host, with: {host: a, reason: b}"


def load(text: str) -> Playbook:
    playbook, problems = load_playbook(text, "p.yaml")
    assert playbook is not None, [str(problem) for problem in problems]
    return playbook


def covered(text: str) -> dict[str, list[str]]:
    """Return for each covered step its approvals, with chains written as `a/b`."""
    found = covering(load("id: p\n" + text)).items()
    return {"/".join(step): ["/".join(approval) for approval in approvals] for step, approvals in found}


def approve(name: str, more: str = "") -> str:
    return f"{{id: {name}, approve: Go, by: [mei], within: 5m{more}}}"


def test_an_approval_covers_what_is_written_after_it_and_nothing_before() -> None:
    """The place in the list decides."""
    text = f"steps: [{{id: one, {CUT}}}, {approve('ok')}, {{id: two, {CUT}}}, {{id: three, set: {{a: '1'}}}}]"

    assert covered(text) == {"two": ["ok"], "three": ["ok"]}


def test_needs_is_no_way_around_an_approval() -> None:
    """A step that starts before the approval by its `needs` is covered all the same."""
    text = f"steps: [{approve('ok')}, {{id: cut, needs: [], {CUT}}}]"

    assert covered(text) == {"cut": ["ok"]}


def test_in_a_parallel_block_the_place_in_the_text_counts_too() -> None:
    """All at once is no order, but what is written below the question is what is asked for."""
    text = f"steps: [{{id: all, parallel: [{{id: one, {CUT}}}, {approve('ok')}, {{id: two, {CUT}}}]}}]"

    assert covered(text) == {"all/two": ["all/ok"]}


def test_what_is_inside_of_a_covered_step_is_covered() -> None:
    """Blocks, loops and handlers hide nothing."""
    text = f"""steps:
  - {approve("ok")}
  - id: loop
    for_each: "[1]"
    steps: [{{id: deep, parallel: [{{{CUT}}}]}}]
    on_error: [{{id: other, {CUT}}}]
"""

    assert covered(text) == {
        "loop": ["ok"],
        "loop/deep": ["ok"],
        "loop/deep/parallel[0]": ["ok"],
        "loop/on_error/other": ["ok"],
    }


def test_an_approval_inside_a_block_covers_only_its_own_list() -> None:
    """What comes after the block is not below the question."""
    text = f"steps: [{{id: block, steps: [{approve('ok')}, {{id: one, {CUT}}}]}}, {{id: two, {CUT}}}]"

    assert covered(text) == {"block/one": ["block/ok"]}


@pytest.mark.parametrize("covers", ["", ", covers: [late]"])
def test_the_handler_of_an_approval_is_covered(covers: str) -> None:
    """A rejection must not lead to the change by the back door, whatever `covers` says."""
    handler = f", on_error: [{{id: back, steps: [{{id: door, {CUT}}}]}}]"
    text = f"steps: [{approve('ok', covers + handler)}, {{id: cut, {CUT}}}, {{id: late, {CUT}}}]"

    found = covered(text)

    assert found["ok/on_error/back"] == found["ok/on_error/back/door"] == ["ok"]
    assert "ok" not in found


def test_covers_names_steps_instead_of_what_is_written_below() -> None:
    """The named steps, with what is inside of them, wherever they stand; what is below is then not covered."""
    text = f"""steps:
  - {{id: block, steps: [{{id: one, {CUT}}}]}}
  - {approve("ok", ", covers: [block, late]")}
  - {{id: two, {CUT}}}
finally: [{{id: late, {CUT}}}, {{id: later, {CUT}}}]
"""

    assert covered(text) == {"block": ["ok"], "block/one": ["ok"], "finally/late": ["ok"]}


@pytest.mark.parametrize("name", ["on_failure", "finally"])
def test_what_runs_at_the_end_is_not_covered_by_the_approvals_of_the_steps(name: str) -> None:
    """They are lists of their own, with approvals of their own."""
    lists = f"steps: [{approve('ok')}]\n{name}: [{{id: one, {CUT}}}, {approve('own')}, {{id: two, {CUT}}}]"

    assert covered(lists) == {f"{name}/two": [f"{name}/own"]}


def test_several_approvals_cover_in_the_order_of_the_text() -> None:
    """Each of them counts, each once, an approval can be covered itself, and the outer one is named first."""
    text = f"""steps:
  - {approve("first")}
  - {approve("second", ", covers: [block, cut]")}
  - {{id: block, steps: [{approve("inner")}, {{id: cut, {CUT}}}]}}
"""

    assert covered(text) == {
        "second": ["first"],
        "block": ["first", "second"],
        "block/inner": ["first", "second"],
        "block/cut": ["first", "second", "block/inner"],
    }


def test_no_approval_covers_itself() -> None:
    """Not even when it names the block that it stands in, or itself."""
    block = f"{{id: block, steps: [{approve('ok', ', covers: [block]')}, {{id: cut, {CUT}}}]}}"

    assert covered(f"steps: [{block}]") == {"block": ["block/ok"], "block/cut": ["block/ok"]}
    assert covered(f"steps: [{approve('ok', ', covers: [ok]')}]") == {}


def test_names_that_are_not_there_cover_nothing() -> None:
    """They are reported by the checks."""
    assert covered(f"steps: [{approve('ok', ', covers: [nothing]')}, {{id: cut, {CUT}}}]") == {}


def test_a_playbook_without_approvals_has_no_coverage() -> None:
    """Nothing is computed for nothing."""
    assert covered(f"steps: [{{id: cut, {CUT}}}]") == {}


def test_a_playbook_computes_its_coverage_once() -> None:
    """The engine asks for it at every change."""
    playbook = load(f"id: p\nsteps: [{approve('ok')}, {{id: cut, {CUT}}}]")

    assert playbook.coverage == {("cut",): (("ok",),)}
    assert playbook.coverage is playbook.coverage
