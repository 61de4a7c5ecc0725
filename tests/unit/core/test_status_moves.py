"""The statuses of steps: every move there is happens by some event, and no other can."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hikeshi.connector import Forbidden
from hikeshi.core import StepStatus, evolve
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord
from hikeshi.core.settle import end
from hikeshi.core.state import RunState
from hikeshi.core.status import ENDED, MOVES, IllegalMove, check_move
from hikeshi.testing.fake_clock import START
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import RunHarness

S = StepStatus
ALLOWED = [(old, new) for old in S for new in S if new in MOVES[old]]
FORBIDDEN = [(old, new) for old, new in itertools.product(S, S) if new not in MOVES[old]]
# Moves that no event of this version makes; they come with cancelling.

FIND = "- {id: find, action: edr.get_host, with: {name: pc1}}"
ISOLATE = '- {id: s, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}'


async def _set(harness: RunHarness) -> None:
    await harness.run('id: t\nsteps: [{id: s, set: {x: "1"}}]\n')


async def _skip(harness: RunHarness) -> None:
    await harness.run('id: t\nsteps: [{id: s, when: "false", set: {x: "1"}}]\n')


async def _fail_at_once(harness: RunHarness) -> None:
    await harness.run('id: t\nsteps: [{id: s, set: {x: "1 / 0"}}]\n')


async def _block(harness: RunHarness) -> None:
    await harness.run('id: t\nsteps: [{set: {x: "1 / 0"}}, {id: s, set: {y: "1"}}]\n')


async def _act(harness: RunHarness) -> None:
    await harness.run("id: t\nsteps: [{id: s, action: edr.get_host, with: {name: pc1}}]\n")


async def _fail(harness: RunHarness) -> None:
    harness.world.script("find_hosts", Forbidden("no"))
    await _act(harness)


async def _lose(harness: RunHarness) -> None:
    harness.world.script("isolate_host", Fault("ignored"))
    await harness.run(f"id: t\nsteps:\n  {FIND}\n  {ISOLATE}\n")


async def _resolve(harness: RunHarness, *, happened: bool) -> None:
    await _lose(harness)
    await harness.go_on("run-1", ev.StepResolved("s", happened, "kei"))


async def _resolve_as_done(harness: RunHarness) -> None:
    await _resolve(harness, happened=True)


async def _resolve_as_not_done(harness: RunHarness) -> None:
    await _resolve(harness, happened=False)


async def _cancel(harness: RunHarness, waiting: str) -> None:
    """Cancel a run in which `s` is as the text has it, as soon as the run waits."""

    async def cancel() -> None:
        await harness.clock.sleep(60)
        await harness.tell("cancel", {"reason": "a mistake"})

    await asyncio.gather(harness.run(f"id: t\nsteps:\n{waiting}"), cancel())


async def _cancel_before(harness: RunHarness) -> None:
    await _cancel(harness, "  - {id: w, wait: 8h}\n  - {id: s, set: {x: '1'}}\n")


async def _cancel_under_way(harness: RunHarness) -> None:
    await _cancel(harness, "  - {id: s, wait: 8h}\n")


HOW: dict[tuple[StepStatus, StepStatus], Callable[[RunHarness], Awaitable[None]]] = {
    (S.WAITING, S.RUNNING): _act,
    (S.WAITING, S.SKIPPED): _skip,
    (S.WAITING, S.BLOCKED): _block,
    (S.WAITING, S.FAILED): _fail_at_once,
    (S.WAITING, S.SUCCEEDED): _set,
    (S.RUNNING, S.SUCCEEDED): _act,
    (S.RUNNING, S.FAILED): _fail,
    (S.RUNNING, S.UNKNOWN): _lose,
    (S.WAITING, S.CANCELLED): _cancel_before,
    (S.RUNNING, S.CANCELLED): _cancel_under_way,
    (S.UNKNOWN, S.SUCCEEDED): _resolve_as_done,
    (S.UNKNOWN, S.FAILED): _resolve_as_not_done,
}


def test_each_move_of_the_table_is_made_by_an_event() -> None:
    """Nothing stands in the table for nothing."""
    assert set(ALLOWED) == set(HOW)


@pytest.mark.parametrize("move", HOW, ids=lambda move: f"{move[0]}-{move[1]}")
async def test_each_allowed_move_happens(harness: RunHarness, move: tuple[StepStatus, StepStatus]) -> None:
    """The step `s` makes the move, seen from outside, event by event."""
    seen: list[StepStatus] = []

    def watch(_: ev.Event, state: RunState) -> None:
        if "s" in state.nodes and (not seen or seen[-1] is not state.nodes["s"].status):
            seen.append(state.nodes["s"].status)

    harness.watchers = (watch,)
    await HOW[move](harness)
    assert move in list(itertools.pairwise([S.WAITING, *seen]))


def test_each_forbidden_move_is_refused() -> None:
    """What the table does not have raises IllegalMove and names the step."""
    for old, new in FORBIDDEN:
        with pytest.raises(IllegalMove, match=f"s cannot go from {old} to {new}"):
            check_move("s", old, new)


async def test_folding_refuses_forbidden_ends(harness: RunHarness) -> None:
    """The fold goes by the table, so a journal of another program is found and not believed."""
    outcome = await harness.run('id: t\nsteps: [{id: s, set: {x: "1"}}]\n')
    node = outcome.node("s")
    for old, new in FORBIDDEN:
        node.status = old
        with pytest.raises(IllegalMove):
            end(outcome.state, node, new)


@pytest.mark.parametrize(
    "event",
    [
        ev.StepFailed("s", ErrorRecord("x", "y")),
        ev.StepResolved("s", True, "kei"),
    ],
)
async def test_an_event_after_the_end_is_refused(harness: RunHarness, event: ev.Event) -> None:
    """A step that has ended stays as it is."""
    outcome = await harness.run('id: t\nsteps: [{id: s, set: {x: "1"}}]\n')
    with pytest.raises(IllegalMove):
        evolve(outcome.state, event, outcome.state.seq + 1, START)


def test_the_ends_are_those_without_a_move() -> None:
    """Five statuses end a step for good; `unknown` does not."""
    assert {S.SUCCEEDED, S.SKIPPED, S.FAILED, S.BLOCKED, S.CANCELLED} == ENDED


def diagram() -> str:
    """Return the moves as a mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> waiting"]
    for old in S:
        for new in S:
            if new in MOVES[old]:
                lines.append(f"    {old} --> {new}")
    lines += [f"    {status} --> [*]" for status in S if status in ENDED]
    return "\n".join(lines)


def test_the_documentation_draws_the_table() -> None:
    """docs/engine.md shows the diagram that the table gives."""
    text = (Path(__file__).parents[3] / "docs" / "engine.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}\n```" in text
