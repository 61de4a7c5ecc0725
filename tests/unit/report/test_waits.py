"""What a run waits for, how long its steps took, and what became of it, from its state and its records."""

from datetime import timedelta

import pytest

from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.report import Times, changes, plan_report, run_report, timeline, waits_of
from hikeshi.testing.run_harness import RunHarness

WAITS = """
id: waits
steps:
  - id: all
    parallel:
      - {id: nap, wait: 20m}
      - {id: hear, wait: {event: edr.alert, at_most: 1h}}
      - {id: look, wait: {action: edr.get_host, with: {name: pc1}, until: "false", every: 1m, at_most: 1h}}
      - {id: check, ask: "Quiet?", by: [ken], within: 1h, form: {note: {type: string}}}
"""
ISOLATES = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - id: ok
    approve: "Isolate {{ steps.find.name }}?"
    by: [role:lead, ken]
    within: 15m
    escalate: {to: [mei], within: 5m}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, hold: 8h}
  - {id: check, ask: "Quiet?", by: [ken], within: 1h, form: {note: {type: string}}}
  - {id: nap, wait: 20m}
  - {id: hear, wait: {event: edr.alert, at_most: 1h, when: event.x == 1}}
  - {id: free, release: steps.find}
  - {id: tell, action: messaging.post, with: {channel: c, text: "{{ steps.check.note }}"}}
"""
CUT_AND_FREE = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: free, release: steps.find}
"""


@pytest.fixture
def waiting(harness: RunHarness) -> RunHarness:
    """A harness whose runs are left alone while they wait."""
    harness.park_after_s = 1.0
    return harness


async def test_a_run_lists_everything_that_it_waits_for_people_first(waiting: RunHarness) -> None:
    """Time, signal, read and form, each with its end; the report has them for programs."""
    outcome = await waiting.run(WAITS)

    waits = waits_of(outcome.state)

    assert waits[0].kind == "form"
    assert {wait.kind: wait.path for wait in waits} == {
        "form": "all.check",
        "time": "all.nap",
        "signal": "all.hear",
        "read": "all.look",
    }
    assert all(wait.due_at is not None for wait in waits)
    shown = run_report(outcome.state)["waits"]
    assert shown[0]["digest"] == outcome.state.nodes["all.check"].question.digest  # type: ignore[union-attr]
    assert {entry["path"] for entry in shown} == {wait.path for wait in waits}


async def test_a_finished_run_waits_for_nothing(harness: RunHarness) -> None:
    """Not even for its time limit."""
    outcome = await harness.run("id: t\ntimeout: 1h\nsteps:\n  - {id: x, set: {y: '1'}}\n")

    assert waits_of(outcome.state) == []


async def test_steps_are_timed_with_what_is_inside_of_them(waiting: RunHarness) -> None:
    """A step that is over took so long; one that waits has taken until now; one that did not begin has no time."""
    outcome = await waiting.run(
        "id: t\nsteps:\n  - id: block\n    steps:\n      - {id: nap, wait: 20s}\n      - {id: after, wait: 1h}\n"
        "  - {id: last, set: {x: '1'}}\n"
    )
    await waiting.clock.sleep(20)
    outcome = await waiting.go_on()
    times, now = Times(outcome.records), outcome.state.now
    assert now is not None

    assert times.took_s(outcome.node("block.nap"), now) == pytest.approx(20.0, abs=1)
    later = now + timedelta(seconds=100)
    assert times.took_s(outcome.node("block"), later) == pytest.approx(120.0, abs=2)
    assert times.took_s(outcome.node("last"), later) is None


async def test_a_plan_has_what_it_would_ask_wait_for_and_release(harness: RunHarness) -> None:
    """Approvals with what they cover, forms, waits, releases, and the hold of each change."""
    outcome = await harness.plan(ISOLATES)

    report = plan_report(outcome.state, outcome.records)

    (approval,) = report["approvals"]
    assert (approval["path"], approval["question"], approval["quorum"]) == ("ok", "Isolate pc1?", 1)
    assert (approval["covers"], approval["escalate"]) == (["cut"], {"to": ["mei"], "within_s": 300})
    (cut, _) = report["actions"]
    assert (cut["approvals"], cut["hold_s"]) == (["ok"], 28_800)
    assert report["forms"][0]["fields"] == ["note"]
    assert [(each["path"], each["at_most_s"]) for each in report["waits"]] == [("nap", 1200), ("hear", 3600)]
    assert "edr.alert" in report["waits"][1]["until"]
    (release,) = report["releases"]
    assert (release["path"], release["approvals"]) == ("free", ["ok"])


async def test_a_release_is_a_change_of_the_target_that_was_held(harness: RunHarness) -> None:
    """Its action is not among the routes of the run, and it is listed all the same."""
    outcome = await harness.run(CUT_AND_FREE)

    found = [(change.action, change.target, change.outcome) for change in changes(outcome.state, outcome.records)]

    assert outcome.status_of("free") is StepStatus.SUCCEEDED
    assert found == [("edr.isolate_host", "pc1", "done"), ("edr.release_host", "pc1", "done")]


async def test_a_run_that_was_left_alone_in_good_order_is_not_said_to_be_taken_over(waiting: RunHarness) -> None:
    """Nobody reads of a process that ended when none did."""
    await waiting.run(ISOLATES)
    outcome = await waiting.go_on()

    (words,) = [entry for entry in timeline(outcome.records) if entry.kind == "RunTakenOver"]

    assert words.text.startswith("goes on in process")
    assert words.weight == "detail"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ev.VoteCast("ok", "reject", "mei", "d", "no"), "mei REJECTS: no"),
        (ev.RunParked("", None), "waits for people"),
        (ev.QuestionAsked("ok", "form", "Quiet?", ["ken"], 1, ev.datetime(2026, 1, 1), "d"), "asks ken until"),
        (ev.FormAnswered("ok", "mei", {"a": True, "b": "x"}), "mei answers: a = true, b = x"),
        (ev.MessageRefused("", "approve", "kei", "who started a run"), "approve by kei was refused: who started a run"),
        (ev.HoldReleased("x", "h", "passed_on", "h2"), "h2 keeps its target"),
        (ev.CancelRequested("", "kei", "false alarm"), "kei cancels the run: false alarm"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ev.Event) else "",
)
def test_what_people_do_reads_as_what_they_did(event: ev.Event, text: str) -> None:
    """Who, what, and why."""
    from hikeshi.report.words import words_for

    assert text in words_for(event)[0]
