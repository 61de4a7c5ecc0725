"""What a run waits for, as its starter and as the one who is asked read it."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hikeshi.cli.live_view import LiveView
from hikeshi.cli.output import Output
from hikeshi.cli.question_view import question_lines
from hikeshi.cli.text import Styled
from hikeshi.cli.tree_view import lines_of, tree_lines
from hikeshi.cli.waits_view import MOST, command_for, wait_lines, wait_text
from hikeshi.report import Times, Wait, waits_of
from hikeshi.testing.run_harness import Outcome, RunHarness

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DUE = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
GATED = """
id: gated
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - id: ok
    name: Ask the lead
    approve: "Isolate {{ steps.find.name }}?"
    by: [role:lead, ken]
    within: 15m
    quorum: 2
  - {id: cut, name: Isolate it, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
"""
HELD = """
id: held
steps:
  - id: both
    parallel:
      - {id: ok, approve: "Go?", by: [ken], within: 15m, covers: [cut]}
      - {id: find, action: edr.get_host, with: {name: pc1}}
      - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}, needs: [find]}
"""
PASSES = """
id: passes
steps:
  - id: again
    while: steps.look.name == 'pc1'
    at_most: 3
    steps:
      - {id: look, action: edr.get_host, with: {name: pc1}}
"""


@pytest.fixture
def harness() -> RunHarness:
    made = RunHarness(park_after_s=1.0)
    made.world.add_host("pc1")
    return made


def flat(lines: object) -> str:
    return "\n".join("".join(p.text if isinstance(p, Styled) else p for p in pieces) for pieces in lines)  # type: ignore[attr-defined]


def rows_of(outcome: Outcome) -> str:
    return flat(lines_of(tree_lines(outcome.state, Times(outcome.records), outcome.state.now)))


@pytest.mark.parametrize(
    ("wait", "text", "command"),
    [
        (Wait("approval", "a[2].ok", "Go?", DUE, ("ken",), ("mei",), 2), "1 of 2", "hikeshi approve r 'a[2].ok'"),
        (Wait("form", "check", "Quiet?", DUE, ("ken",)), "an answer at check", "hikeshi answer r check"),
        (Wait("resolve", "cut", "no answer"), "what became of cut", "hikeshi resolve r cut --happened"),
        (Wait("resume", "", "it is paused"), "paused", "hikeshi resume r"),
        (Wait("time", "nap", "", DUE), "the time of nap until", None),
        (Wait("read", "look", "edr.get_host", DUE), "edr.get_host to say so", None),
        (Wait("signal", "hear", "edr.alert", DUE), "the signal 'edr.alert'", None),
        (Wait("retry", "cut", "busy", DUE), "next attempt of cut at", None),
        (Wait("key", "", "host pc1"), "another run has the key 'host pc1'", None),
    ],
    ids=lambda value: value.kind if isinstance(value, Wait) else "",
)
def test_each_kind_of_wait_has_words_and_if_people_can_end_it_a_command(
    wait: Wait, text: str, command: str | None
) -> None:
    """Until when, and for how long from now, wherever there is an end."""
    shown = wait_text(wait, NOW)

    assert text in shown
    assert ("in 15 min" in shown) == (wait.due_at is not None)
    found = command_for("r", wait)
    assert found is None if command is None else (found or "").startswith(command)


def test_many_waits_are_counted() -> None:
    """Five hundred approvals are no wall of text."""
    waits = [Wait("approval", f"ok{n}", "Go?", DUE, ("ken",)) for n in range(500)]

    lines = list(wait_lines("r", waits, NOW))

    assert len(lines) == 3 * MOST + 1
    assert flat(lines[-1:]) == f"  and {500 - MOST} more"


async def test_a_step_that_asks_is_seen_in_the_tree(harness: RunHarness) -> None:
    """Who may decide, how many have, until when; what needs it waits."""
    outcome = await harness.run(GATED)

    rows = rows_of(outcome)

    assert "asks       Ask the lead" in rows
    assert "role:lead, ken, 0 of 2, until " in rows
    assert "waiting    Isolate it" in rows
    (wait,) = waits_of(outcome.state)
    assert (wait.kind, wait.path, wait.what, wait.quorum) == ("approval", "ok", "Isolate pc1?", 2)


async def test_a_change_that_waits_for_its_approval_says_so(harness: RunHarness) -> None:
    """`held`, with the approval's path."""
    outcome = await harness.run(HELD)

    assert "held       " in rows_of(outcome)
    assert "waits for the approval 'both.ok'" in rows_of(outcome)


async def test_passes_of_a_while_are_counted_and_timed(harness: RunHarness) -> None:
    """Each pass is a row, with its steps below it."""
    outcome = await harness.run(PASSES)

    rows = rows_of(outcome)

    assert [f"pass {n}" in rows for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert rows.count("look") == 3


async def test_what_is_asked_shows_every_target_with_its_identity(harness: RunHarness) -> None:
    """Two hosts may have one name, and an approval allows exactly what was seen."""
    await harness.run(GATED)
    asked = harness.questions()["ok"]
    question = {
        **asked,
        **{"kind": "approval", "quorum": 2, "votes": [], "playbook": "gated", "actor": "kei"},
        "asked_at": NOW.isoformat(),
    }

    shown = flat(question_lines(question, NOW))

    assert "question    Isolate pc1?" in shown
    assert f"edr.isolate_host  pc1  on fake  {asked['shows'][0]['target']}" in shown
    many = [{**asked["shows"][0], "label": f"pc{n}"} for n in range(30)]
    assert flat(question_lines({**question, "shows": many}, NOW)).count("edr.isolate_host") == 30
    assert "and 25 more targets" in flat(question_lines({**question, "shows": many}, NOW, most=5))


async def test_on_a_pipe_one_line_says_that_the_run_has_begun_to_wait(harness: RunHarness) -> None:
    """With the command that another person types; the same wait is told once."""
    stderr = io.StringIO()
    view = LiveView(Output(as_json=False, stdout=io.StringIO(), stderr=stderr), now=lambda: NOW)
    outcome = await harness.run(GATED)
    view.look_on(outcome.state, "")

    view._tell_waits(outcome.state)
    view._tell_waits(outcome.state)

    (line,) = stderr.getvalue().splitlines()
    assert line.startswith("run run-1 waits for an approval at ok until ")
    assert line.endswith("; hikeshi approve run-1 ok")


async def test_the_live_picture_has_what_is_waited_for_below_the_tree(harness: RunHarness) -> None:
    """And fits the screen, whatever is asked."""
    from rich.console import Console

    stderr = io.StringIO()
    view = LiveView(Output(as_json=False, stdout=io.StringIO(), stderr=stderr), now=lambda: NOW)
    outcome = await harness.run(GATED)
    view.look_on(outcome.state, "Ctrl-C stops looking")
    console = Console(file=stderr, width=70, height=14, markup=False, highlight=False)

    picture = view._picture(console).plain.splitlines()

    assert any(line.strip() == "hikeshi approve run-1 ok" for line in picture)
    assert picture[-1] == "Ctrl-C stops looking"
    assert len(picture) <= 14


async def test_several_runs_that_go_on_at_once_have_a_line_each(harness: RunHarness) -> None:
    """As many as the screen has room for, and a count of the others."""
    from rich.console import Console

    outcome = await harness.run(GATED)
    outcome.state.parked = False
    view = LiveView(Output(as_json=False, stdout=io.StringIO(), stderr=io.StringIO()), now=lambda: NOW)
    view._draws = True
    for number in range(12):
        view.watch(outcome.events[-1], replace(outcome.state, run=f"run-{number}"))
    console = Console(file=io.StringIO(), width=70, height=8, markup=False, highlight=False)

    picture = view._picture(console).plain.splitlines()

    assert len(picture) <= 8
    assert picture[0].startswith("waiting    run run-0 of gated")
    assert "and 7 more runs" in picture
