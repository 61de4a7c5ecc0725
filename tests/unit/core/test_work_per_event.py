"""The cost of one event does not depend on the size of the graph."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from hikeshi.core import RunState, decide, evolve
from hikeshi.core import events as ev
from hikeshi.core.events import Event
from hikeshi.testing.fake_clock import START
from hikeshi.testing.run_harness import make_program


def calls_of(work: Callable[[], Any]) -> int:
    """Count the calls of functions, Python's and C's, that some work makes."""
    count = 0

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def started(text: str) -> RunState:
    """Return the state of a run that began, with everything decided that can be."""
    program = make_program(text)
    state = RunState("r", program)
    read = {"effect": "read", "fan_out": False, "target": None, "batched": False, "instances": {"fake": None}}
    fold(state, ev.RunStarted("", "t", {}, {}, {}, "kei", "live", {"edr.find_hosts": read}, "1", "o"))
    return state


def fold(state: RunState, *events: Event) -> None:
    for event in events:
        evolve(state, event, state.seq + 1, START)


def decide_all(state: RunState) -> None:
    while decisions := decide(state):
        fold(state, *decisions)


def costs(text: str, *answered: int) -> list[int]:
    """Return the cost of the answer to each of these actions, with all decisions that follow from it."""
    state = started(text)
    decide_all(state)
    found: list[int] = []
    done = 0
    for number in answered:
        while done <= number:
            path = next(iter(state.owed))
            state.take_fresh()

            def work(path: str = path) -> None:
                fold(state, ev.ActionSucceeded(path, 1, []))
                decide_all(state)

            cost = calls_of(work)
            done += 1
        found.append(cost)
    return found


def chain(length: int) -> str:
    steps = [f"  - {{id: s{n}, action: edr.find_hosts, with: {{name: x}}}}" for n in range(length)]
    return "\n".join(["id: t", "steps:", *steps])


def wide(width: int) -> str:
    steps = [f"      - {{id: s{n}, action: edr.find_hosts, with: {{name: x}}}}" for n in range(width)]
    return "\n".join(["id: t", "steps:", "  - parallel:", *steps, "  - {id: last, set: {x: '1'}}"])


def loop(length: int) -> str:
    items = ", ".join(f"'i{n}'" for n in range(length))
    return (
        "id: t\nsteps:\n  - id: loop\n"
        f'    for_each: "[{items}]"\n    concurrency: 10\n'
        '    action: edr.find_hosts\n    with: {name: "{{ item }}"}\n'
    )


def test_an_event_in_a_chain_costs_the_same_for_100_and_10_000_steps() -> None:
    """The next step is found without looking at the others."""
    assert costs(chain(100), 5, 50) == costs(chain(10_000), 5, 50)


def test_an_event_in_a_wide_block_costs_the_same_for_100_and_4_000_steps() -> None:
    """An answer touches its own step and the block's counter."""
    assert costs(wide(100), 5, 50) == costs(wide(4_000), 5, 50)


def test_an_event_in_a_loop_costs_the_same_for_100_and_1_500_items() -> None:
    """Each end of an item begins one other."""
    assert costs(loop(100), 5, 50) == costs(loop(1_500), 5, 50)


def test_an_event_costs_the_same_at_the_beginning_and_late_in_a_run() -> None:
    """What has happened before is not looked at again."""
    early, late = costs(chain(1_000), 10, 900)
    assert early == late
