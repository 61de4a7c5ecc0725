"""`ask`: a manual task with a form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hikeshi.testing.run_harness import Outcome, RunHarness

Codes = Callable[..., list[str]]
Says = Callable[..., Awaitable[Outcome]]

ASK = "ask: What did they see?\nby: [mei]\nwithin: 2h\n"
FORM = "form: {seen: {type: string}, size: {type: integer, minimum: 1}}\n"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key or "ask", marks=pytest.mark.language("ask", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("", "ask: ''\nby: [mei]\nwithin: 2h\n" + FORM, "wrong-type"),
        refuses("", "ask: '{{ inputs.names }}'\nby: [mei]\nwithin: 2h\n" + FORM, "wrong-text"),
        refuses("", ASK + FORM + "for_each: inputs.names", "misplaced-key"),
        refuses("form", ASK, "missing-key"),
        refuses("form", ASK + "form: {}", "wrong-value"),
        refuses("form", ASK + "form: {seen: {type: strng}}", "wrong-value"),
        refuses("form", ASK + "form: {Seen: {type: string}}", "bad-id"),
        refuses("form", ASK + "form: {seen: {type: string, minimum: 1}}", "wrong-limit"),
        refuses("form", ASK + "form: {size: {type: integer, default: many}}", "wrong-default"),
        refuses("by", "ask: What?\nwithin: 2h\n" + FORM, "missing-key"),
        refuses("within", "ask: What?\nby: [mei]\n" + FORM, "missing-key"),
        refuses("within", "ask: What?\nby: [mei]\nwithin: 10\n" + FORM, "wrong-type"),
    ],
)
def test_a_task_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """One mistake is one problem."""
    assert codes_of_step(keys) == [code]


def test_the_answers_have_the_types_of_the_form(codes_of_step: Codes) -> None:
    """`steps.<id>` has the fields, and each its type."""
    assert codes_of_step(ASK + FORM, "  - {set: {a: steps.x.size + 1, b: steps.x.seen ~ '!'}}\n") == []
    assert codes_of_step(ASK + FORM, "  - {set: {a: steps.x.sise}}\n") == ["unknown-field"]
    assert codes_of_step(ASK + FORM, "  - {set: {a: steps.x.seen + 1}}\n") == ["wrong-expression"]


@pytest.mark.language("ask", runs=True)
@pytest.mark.language("ask", "form", runs=True)
@pytest.mark.language("ask", "by", runs=True)
async def test_the_answers_of_a_form_are_the_output(asking: RunHarness, says: Says) -> None:
    """Only those who are asked may answer, each field is checked and normalised, and the run waits until then."""
    text = """
id: t
steps:
  - id: x
    ask: What did {{ inputs.who }} see?
    by: [role:soc_lead]
    within: 2h
    form: {seen: {type: string}, host: {type: hostname, required: false}, hours: {type: duration, default: 1h}}
inputs: {who: {type: string, default: Mei}}
outputs: {said: "{{ steps.x }}"}
"""
    waiting = await asking.run(text)
    assert waiting.status == "waiting"
    assert asking.questions()["x"]["question"] == "What did Mei see?"
    assert [field["name"] for field in asking.questions()["x"]["fields"]] == ["seen", "host", "hours"]

    for sender, answers in (("ken", {"seen": "fire"}), ("mei", {"seen": 7}), ("mei", {"host": "pc1"})):
        assert (await says(sender, "answer", "x", answers=answers)).status == "waiting"
    outcome = await says("mei", "answer", "x", answers={"seen": "fire", "host": "PC1."})

    assert outcome.outputs == {"said": {"seen": "fire", "host": "pc1", "hours": 3600}}


@pytest.mark.language("ask", "within", runs=True)
async def test_no_answer_in_time_is_a_timeout(harness: RunHarness) -> None:
    """The step fails, and may be continued like any other."""
    ask = "{id: x, ask: What?, by: [mei], within: 2h, form: {a: {type: string}}, on_error: continue}"
    outcome = await harness.run(f"id: t\nsteps: [{ask}, {{id: then, set: {{k: errors.x.kind}}}}]\n")

    assert outcome.node("then").output == {"k": "timeout"}
    assert (outcome.records[-1].at - outcome.records[0].at).total_seconds() == pytest.approx(7200, abs=31)
