"""The keys that any step may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.connector import ConnectorError
from hikeshi.connector.errors import NotFound
from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key, marks=pytest.mark.language("any step", key, refuses=True))


@pytest.mark.parametrize(
    ("step", "code"),
    [
        refuses("id", "{id: isolate-it, set: {a: '1'}}", "wrong-value"),
        refuses("id", "{id: find, set: {a: '1'}}", "duplicate-id"),
        refuses("id", "{id: inputs, set: {a: '1'}}", "reserved-id"),
        refuses("name", "{name: 7, set: {a: '1'}}", "wrong-type"),
        refuses("needs", "{needs: find, set: {a: '1'}}", "wrong-type"),
        refuses("needs", "{needs: [fnd], set: {a: '1'}}", "unknown-need"),
        refuses("needs", "{id: me, needs: [me], set: {a: '1'}}", "cycle"),
        refuses("needs", "{needs: [], set: {a: steps.find.name}}", "not-before"),
        refuses("when", "{when: inputs.count, set: {a: '1'}}", "wrong-expression"),
        refuses("when", "{when: '{{ inputs.count > 1 }}', set: {a: '1'}}", "bad-expression"),
        refuses("when", "{when: steps.find.hots, set: {a: '1'}}", "unknown-field"),
        refuses("when", "{when: status.find == 'suceeded', set: {a: '1'}}", "wrong-expression"),
        refuses("when", "{when: status.fnd == 'succeeded', set: {a: '1'}}", "unknown-step"),
        refuses("when", "{when: errors.find.kid == 'timeout', set: {a: '1'}}", "wrong-expression"),
        refuses("on_error", "{on_error: go on, set: {a: '1'}}", "wrong-type"),
        refuses("on_error", "{on_error: {step: [], then: continue}, set: {a: '1'}}", "wrong-type"),
        refuses("on_error.continue", "{on_error: contnue, set: {a: '1'}}", "wrong-type"),
        refuses("on_error.a handler", "{on_error: [], set: {a: '1'}}", "empty-list"),
        refuses("on_error.a handler", "{on_error: [{set: {b: error.mesage}}], set: {a: '1'}}", "wrong-expression"),
        refuses(
            "on_error.a handler, then continue",
            "{on_error: {steps: [{set: {b: '1'}}], then: stop}, set: {a: '1'}}",
            "wrong-value",
        ),
        refuses("phase", "{phase: containn, set: {a: '1'}}", "wrong-value"),
    ],
)
def test_a_key_that_is_written_wrong_is_refused(codes: Codes, step: str, code: str) -> None:
    """Whatever the step does."""
    head = "id: p\ninputs: {count: {type: integer, default: 1}}\n"

    assert codes(f"{head}steps:\n  - {{id: find, action: edr.get_host, with: {{name: a}}}}\n  - {step}\n") == [code]


@pytest.mark.language("any step", "on_error.continue", refuses=True)
def test_what_was_continued_may_be_missing(codes: Codes) -> None:
    """A step that failed gave nothing, and what needs it runs all the same."""
    text = "id: p\nsteps:\n  - {id: a, set: {b: 1 / 2}, on_error: continue}\n  - {set: {c: steps.a.b}}\n"

    assert codes(text) == ["maybe-missing"]
    assert codes(text.replace("steps.a.b", "steps.a.b | default(0)")) == []


@pytest.mark.language("any step", "id", runs=True)
@pytest.mark.language("any step", "name", runs=True)
@pytest.mark.language("any step", "phase", runs=True)
async def test_a_step_is_read_by_its_id_and_called_by_its_name(harness: RunHarness) -> None:
    """Without an ID it has a path by its position; name and phase are for people."""
    outcome = await harness.run("""
id: t
steps:
  - {id: one, name: The first, phase: triage, set: {a: "1"}}
  - {name: The second, set: {b: steps.one.a + 1}}
""")

    assert outcome.steps() == {"one": "succeeded", "steps[1]": "succeeded"}
    assert [outcome.node(path).step.label for path in ("one", "steps[1]")] == ["The first", "The second"]
    assert outcome.node("one").step.phase == "triage"


@pytest.mark.language("any step", "needs", runs=True)
async def test_needs_says_what_a_step_waits_for(harness: RunHarness) -> None:
    """Those that are named, whatever stands between, and nothing if none is."""
    harness.world.script("find_hosts", NotFound("gone"))
    outcome = await harness.run("""
id: t
steps:
  - {id: lost, action: edr.get_host, with: {name: nobody}}
  - {id: free, set: {a: "1"}, needs: []}
  - {id: joined, set: {b: "2"}, needs: [free]}
  - {id: bound, set: {c: "3"}, needs: [lost, joined]}
""")

    assert outcome.steps() == {"lost": "failed", "free": "succeeded", "joined": "succeeded", "bound": "blocked"}


@pytest.mark.language("any step", "when", runs=True)
async def test_a_step_whose_condition_is_false_is_skipped(harness: RunHarness) -> None:
    """What needs it goes on, and can ask what became of it."""
    outcome = await harness.run("""
id: t
steps:
  - {id: no, when: "1 > 2", action: edr.list_alerts}
  - {id: yes, when: "status.no == 'skipped'", set: {a: "1"}}
""")

    assert outcome.steps() == {"no": "skipped", "yes": "succeeded"}
    assert harness.world.calls == []
    assert outcome.status == "succeeded"


@pytest.mark.language("any step", "on_error", runs=True)
@pytest.mark.language("any step", "on_error.continue", runs=True)
@pytest.mark.language("any step", "on_error.a handler", runs=True)
@pytest.mark.language("any step", "on_error.a handler, then continue", runs=True)
@pytest.mark.parametrize(
    ("on_error", "after", "handled"),
    [
        ("continue", "succeeded", []),
        ("[{id: told, set: {why: error.kind}}]", "blocked", ["not_found"]),
        ("{steps: [{id: told, set: {why: error.kind}}], then: continue}", "succeeded", ["not_found"]),
    ],
)
async def test_what_follows_a_failure(harness: RunHarness, on_error: str, after: str, handled: list[str]) -> None:
    """The step stays failed, and so the run, whatever goes on after it."""
    failure: ConnectorError = NotFound("gone")
    harness.world.script("find_hosts", failure)
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: bad, action: edr.get_host, with: {{name: pc1}}, on_error: {on_error}}}
  - {{id: after, set: {{a: "1"}}}}
""")

    assert outcome.node("bad").status.value == "failed"
    assert outcome.node("after").status.value == after
    assert [event.values["why"] for event in outcome.events if "why" in getattr(event, "values", {})] == handled
    assert outcome.status == "failed"
