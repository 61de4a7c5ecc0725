"""Manual tasks: who may answer, which answers count, and what becomes of a run that nobody answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.core import StepStatus
from hikeshi.core import events as ev

FORM = "{host: {type: hostname}, n: {type: integer, minimum: 1, default: 2}, more: {type: dict, required: false}}"
ASK = f"  - {{id: ok, ask: 'Which, {{{{ run.actor }}}}?', form: {FORM}, by: [mei, kei], within: 1h}}\n"
TEXT = "id: t\nsteps:\n" + ASK + "outputs: {said: '{{ steps.ok | default(none) }}'}\n"


@pytest.fixture
def people() -> Conversation:
    return Conversation()


async def test_what_is_asked_says_everything_that_a_form_needs(people: Conversation) -> None:
    """Text, fields with their types and limits, who is asked, until when."""
    await people.begin(TEXT)
    asked = people.harness.questions()["ok"]

    assert (asked["question"], asked["by"]) == ("Which, tester?", ["mei", "kei"])
    assert asked["due_at"] == "2026-03-02T10:00:00+00:00"
    assert [(each["name"], each["type"], each["required"], each["default"]) for each in asked["fields"]] == [
        ("host", "hostname", True, None),
        ("n", "integer", False, 2),
        ("more", "dict", False, None),
    ]
    assert asked["fields"][1]["limits"] == {"minimum": 1}


@pytest.mark.parametrize(
    ("sender", "data", "reason"),
    [
        ("ken", {"answers": {"host": "pc1"}}, "ken is not among those who are asked at 'ok': mei, kei"),
        ("mei", {"answers": {}}, "host: is required (hostname)"),
        ("mei", {"answers": {"host": "pc1", "n": 0}}, "n: "),
        ("mei", {"answers": {"host": "not a host!"}}, "host: "),
        ("mei", {"answers": {"host": "pc1", "hots": "pc1"}}, "there is no input 'hots'; did you mean 'host'?"),
        ("mei", {"answers": ["pc1"]}, "an answer needs the fields of the form"),
        ("mei", {}, "an answer needs the fields of the form"),
        ("mei", {"answers": {"host": "pc1"}, "digest": "of another question"}, "has changed since it was shown"),
        ("mei", {"answers": {"host": "pc1"}, "path": "other"}, "the run asks for no question at 'other' (open: ok)"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_and_the_question_stays(
    people: Conversation, sender: str, data: dict[str, Any], reason: str
) -> None:
    """Who sent it is told why, it is recorded, and a right one counts afterwards."""
    await people.begin(TEXT)
    await people.say(sender, "answer", **data)

    assert len(people.refusals()) == 1
    assert reason in people.refusals()[0]
    outcome = await people.say("kei", "answer", answers={"host": "PC7."})
    assert outcome.outputs == {"said": {"host": "pc7", "n": 2, "more": None}}


async def test_an_approval_is_no_answer(people: Conversation) -> None:
    """A vote on a form is refused."""
    await people.begin(TEXT)
    await people.say("mei", "approve")

    assert people.refusals() == ["the run asks for no approval at 'ok' (open: ok)"]


async def test_the_first_answer_counts(people: Conversation) -> None:
    """The second one is told that it came too late."""
    await people.begin(TEXT + "finally: [{wait: 1h}]\n")
    digest = people.harness.questions()["ok"]["digest"]
    await people.say("mei", "answer", answers={"host": "pc1"})
    outcome = await people.send("kei", "answer", path="ok", digest=digest, answers={"host": "pc2"})

    assert people.refusals() == ["the question at 'ok' is no longer open"]
    assert outcome.node("ok").output["host"] == "pc1"


async def test_two_answers_that_wait_together_are_judged_one_after_the_other(people: Conversation) -> None:
    """Both came while nobody drove the run."""
    await people.begin(TEXT)
    digest = people.harness.questions()["ok"]["digest"]
    for sender, host in (("mei", "pc1"), ("kei", "pc2")):
        data = {"path": "ok", "digest": digest, "answers": {"host": host}}
        await people.harness.tell("answer", data, sender=sender)
    outcome = await people.harness.go_on()

    assert outcome.outputs["said"]["host"] == "pc1"
    assert len(people.refusals()) == 1


@pytest.mark.parametrize("data", [{"$hikeshi": "stored", "sha256": "0" * 64, "bytes": 9}, {"$hikeshi": "unknown"}])
async def test_an_answer_cannot_imitate_what_the_engine_marks(people: Conversation, data: dict[str, Any]) -> None:
    """It comes back as the data it was."""
    await people.begin(TEXT)
    outcome = await people.say("mei", "answer", answers={"host": "pc1", "more": data})

    assert outcome.outputs["said"]["more"] == data


async def test_an_answer_without_a_stored_form_is_refused_and_ends_nothing(people: Conversation) -> None:
    """Nested deeper than anything is stored; the run goes on waiting."""
    deep: Any = {}
    for _ in range(150):
        deep = {"a": deep}
    await people.begin(TEXT)
    await people.say("mei", "answer", answers={"host": "pc1", "more": deep})

    assert people.asked() == ["ok"]
    assert "nested deeper than 100 levels" in people.refusals()[0]


async def test_nobody_in_time_fails_the_step_as_a_timeout(people: Conversation) -> None:
    """It may be continued, as any failure that nobody decided."""
    await people.begin(
        TEXT.replace("within: 1h", "within: 1h, on_error: continue").replace(
            "outputs:", "  - {id: after, set: {k: errors.ok.kind}}\noutputs:"
        )
    )
    outcome = await people.later(3600)

    assert outcome.node("after").output == {"k": "timeout"}
    assert outcome.outputs == {"said": None}
    assert people.asked() == []


async def test_a_question_in_a_loop_is_asked_for_each_item(people: Conversation) -> None:
    """And each has an answer of its own."""
    await people.begin(
        "id: t\nsteps:\n  - id: all\n    for_each: \"['a', 'b']\"\n    steps:\n"
        "      - {id: ok, ask: 'About {{ item }}?', form: {x: {type: string}}, by: [mei], within: 1h}\n"
        "outputs: {all: '{{ steps.all }}'}\n"
    )
    assert people.asked() == ["all[0].ok", "all[1].ok"]
    await people.say("mei", "answer", "all[1].ok", answers={"x": "second"})
    outcome = await people.say("mei", "answer", "all[0].ok", answers={"x": "first"})

    assert [each["output"]["ok"]["x"] for each in outcome.outputs["all"]] == ["first", "second"]


async def test_who_started_the_run_may_fill_in_a_form(people: Conversation) -> None:
    """A manual task decides about nothing; only approvals need somebody else."""
    await people.begin(TEXT.replace("[mei, kei]", "[tester]"))
    outcome = await people.say("tester", "answer", answers={"host": "pc1"})

    assert outcome.status_of("ok") is StepStatus.SUCCEEDED
    assert [event.by for event in outcome.of(ev.FormAnswered)] == ["tester"]
