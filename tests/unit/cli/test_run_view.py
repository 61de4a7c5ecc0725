"""How the end of a run reads, and its tree while it goes on."""

import io

import pytest

from hikeshi.cli.ending import Ending
from hikeshi.cli.live_view import LiveView
from hikeshi.cli.output import Output
from hikeshi.cli.run_view import show_run
from hikeshi.cli.text import Styled, width
from hikeshi.cli.tree_view import lines_of, tree_lines
from hikeshi.connector import Forbidden
from hikeshi.report import changes
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import Outcome, RunHarness

SWEEP = """
id: sweep
name: Sweep
inputs: {names: {type: list, items: string}}
steps:
  - id: each
    name: Isolate all
    for_each: inputs.names
    as: name
    steps:
      - {id: find, action: edr.get_host, with: {name: "{{ name }}"}}
      - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}}
  - id: tell
    name: Tell people
    action: messaging.post
    with: {channel: "#incidents", text: done}
"""
ONE = """
id: one
name: One
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: isolate, name: "Isolate \\e[31m it", action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}}
"""


def rows_of(outcome: Outcome, columns: int | None = None) -> list[str]:
    lines = lines_of(tree_lines(outcome.state), columns)
    return ["".join(p.text if isinstance(p, Styled) else p for p in pieces) for pieces in lines]


def ending_of(outcome: Outcome) -> str:
    stdout = io.StringIO()
    made = list(changes(outcome.state, outcome.records))
    show_run(Output(as_json=False, stdout=stdout), Ending(outcome.state, made))
    return stdout.getvalue()


@pytest.fixture
def harness() -> RunHarness:
    made = RunHarness()
    for number in range(40):
        made.world.add_host(f"pc{number}")
    return made


async def test_a_long_loop_shows_what_needs_an_eye_and_counts_the_rest(harness: RunHarness) -> None:
    """Forty hosts, one of which does not exist: one row for it, one for the others."""
    names = [f"pc{number}" for number in range(40)] + ["nobody"]

    outcome = await harness.run(SWEEP, inputs={"names": names})

    rows = rows_of(outcome)
    assert len(rows) < 10
    assert any("FAILED" in row and "nobody" in row for row in rows)
    assert any("and 40 more" in row and "40 done" in row for row in rows)


async def test_every_row_fits_the_terminal(harness: RunHarness) -> None:
    """Long names and long errors are cut, never wrapped into the next row."""
    outcome = await harness.run(SWEEP, inputs={"names": ["火消し" * 30, "pc1"]})

    assert all(width(row) <= 80 for row in rows_of(outcome, 80))


async def test_the_end_names_what_was_done_and_what_was_not(harness: RunHarness) -> None:
    """Changes with their targets; failures with their words; what is blocked."""
    harness.world.script("isolate_host", Fault("before", Forbidden("fake: the key lacks a privilege")))

    shown = ending_of(await harness.run(SWEEP, inputs={"names": ["pc1", "pc2"]}))

    assert "FAILED" in shown
    assert "Done: 1 change, 0 messages" in shown
    assert "NOT done, it failed: 1" in shown
    assert "fake: the key lacks a privilege" in shown
    assert "Tell people" in shown.partition("something that it needs failed")[2]


async def test_an_unknown_outcome_comes_with_what_to_do(harness: RunHarness) -> None:
    """Which target, where to look, and the command that takes the answer."""
    harness.world.script("isolate_host", Fault("ignored"))

    shown = ending_of(await harness.run(ONE))

    assert "AN OUTCOME IS UNKNOWN" in shown
    assert "look in fake itself" in shown
    assert "hikeshi resolve run-1 'isolate' --happened   (or --did-not-happen)" in shown
    assert "\x1b" not in shown


async def test_the_live_picture_never_outgrows_the_screen(harness: RunHarness) -> None:
    """On a small terminal the rows that are calm give way first."""
    from rich.console import Console

    names = [f"pc{number}" for number in range(6)]
    outcome = await harness.run(SWEEP, inputs={"names": names})
    stderr = io.StringIO()
    view = LiveView(Output(as_json=False, stdout=io.StringIO(), stderr=stderr))
    view.watch(None, outcome.state)
    console = Console(file=stderr, width=60, height=12, markup=False, highlight=False)

    picture = view._picture(console).plain

    assert len(picture.splitlines()) <= 12
    assert max(map(width, picture.splitlines())) <= 60
