"""Inputs that are stored elsewhere are loaded by who reads them, whole, and by nobody else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # tests are no package

from conversation import Conversation

from hikeshi.core.large import LARGEST_INLINE_BYTES
from hikeshi.runtime.projections import standard_projections
from hikeshi.testing.memory_journal import MemoryJournal
from hikeshi.testing.run_harness import Outcome

SIZE = LARGEST_INLINE_BYTES * 2
HEAD = """
id: t
inputs: {text: {type: string}, few: {type: string, default: few}, listed: {type: list, items: string, default: [a]}}
steps:
  - {wait: 1h}
"""
GIVEN = {"text": "x" * SIZE, "few": "some", "listed": ["a", "b"]}


class CountingJournal(MemoryJournal):
    """A journal that counts how often something is loaded that is stored beside the records."""

    def __init__(self) -> None:
        super().__init__(standard_projections())
        self.loads = 0

    def blob(self, hash: str) -> bytes:
        self.loads += 1
        return super().blob(hash)


@pytest.fixture
def people() -> Conversation:
    made = Conversation()
    made.harness.journal = CountingJournal()
    return made


async def after_a_restart(people: Conversation, steps: str, *called: str) -> tuple[Outcome, int]:
    """Return what became of steps that a process takes that never had the inputs, and how often it loaded anything."""
    journal = people.harness.journal
    assert isinstance(journal, CountingJournal)
    begun = await people.begin(HEAD + steps, *called, inputs=GIVEN)
    assert begun.status == "waiting"
    journal.loads = 0
    outcome = await people.later(3600)
    assert outcome.status == "succeeded", [getattr(event, "error", None) for event in outcome.events]
    return outcome, journal.loads


@pytest.mark.parametrize(
    "steps",
    [
        "  - {id: a, set: {x: '1 + 1'}}\n",
        "  - {id: a, set: {x: 'run.id'}}\n  - {id: b, set: {y: 'vars.x'}, needs: [a]}\n",
        "  - {id: find, action: edr.get_host, with: {name: pc1}}\n  - {id: b, set: {y: 'steps.find.name'}}\n",
        "  - {id: a, for_each: '[1, 2]', steps: [{id: b, set: {y: 'item'}}]}\n",
        "  - {id: a, when: 'status.find is none', set: {x: '1'}}\n  - {id: find, set: {z: '2'}}\n",
    ],
    ids=["a constant", "a variable", "an action", "a loop", "a condition"],
)
async def test_steps_that_read_no_inputs_load_nothing(people: Conversation, steps: str) -> None:
    """However large the inputs are, and wherever the step is."""
    _, loads = await after_a_restart(people, steps)
    assert loads == 0


async def test_a_step_that_reads_them_loads_them(people: Conversation) -> None:
    """Its twin: the text is as long as it was given."""
    outcome, loads = await after_a_restart(
        people, "  - {id: a, set: {n: 'inputs.text | length'}}\noutputs: {n: '{{ vars.n }}'}\n"
    )
    assert outcome.outputs == {"n": SIZE}
    assert loads == 1


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs", GIVEN),
        ("inputs | length", 3),
        ("'text' in inputs", True),
        ("'else' in inputs", False),
        ("inputs.few", "some"),
        ("inputs['listed']", ["a", "b"]),
        ("inputs.text[:3] ~ inputs.few", "xxxsome"),
        ("inputs == inputs", True),
        ("inputs.nothing | default('none')", "none"),
    ],
)
async def test_inputs_as_a_map_are_whole(people: Conversation, expression: str, value: Any) -> None:
    """What was stored elsewhere is in its place, and what was not is there as well."""
    outcome, loads = await after_a_restart(
        people, f'  - {{id: a, set: {{v: "{expression}"}}}}\noutputs: {{v: "{{{{ vars.v }}}}"}}\n'
    )
    assert outcome.outputs == {"v": value}
    assert loads >= 1


async def test_inputs_are_whole_beside_what_a_step_adds_to_its_names(people: Conversation) -> None:
    """Conditions of waits see what came beside the inputs; items of a loop and errors do not hide them."""
    await people.begin(
        HEAD.replace("{wait: 1h}", "{id: w, wait: {event: scan, when: 'event.n == inputs.text | length', at_most: 1h}}")
        + "  - {id: l, for_each: inputs.listed, steps: [{id: x, set: {k: 'item ~ (inputs.text | length)'}}]}\n"
        "  - id: bad\n    action: edr.get_host\n    with: {name: nobody}\n"
        "    on_error: [{id: h, set: {seen: 'error.kind ~ (inputs.text | length)'}}]\n"
        "outputs: {seen: '{{ vars.seen }}', all: \"{{ steps.l | map(attribute='output.x.k') | list }}\"}\n",
        inputs=GIVEN,
    )
    await people.harness.signal("scan", {"n": 7})
    passed = await people.later(1)
    assert passed.status == "waiting"
    await people.harness.signal("scan", {"n": SIZE})
    outcome = await people.later(1)

    assert outcome.state.finished is not None
    assert outcome.outputs["all"] == [f"a{SIZE}", f"b{SIZE}"]
    assert outcome.outputs["seen"] == f"not_found{SIZE}"


async def test_variables_of_a_playbook_read_stored_inputs_and_each_other(people: Conversation) -> None:
    """Both stand in the same names while they are worked out one after the other."""
    outcome = await people.begin(
        "id: t\ninputs: {text: {type: string}}\nvars: {n: '{{ inputs.text | length }}', more: '{{ vars.n + 1 }}'}\n"
        "steps: [{id: a, set: {x: '1'}}]\noutputs: {n: '{{ vars.n }}', more: '{{ vars.more }}'}\n",
        inputs={"text": "x" * SIZE},
    )
    assert outcome.outputs == {"n": SIZE, "more": SIZE + 1}


async def test_a_called_playbook_has_its_own_inputs_whole(people: Conversation) -> None:
    """Not those of the playbook that calls it."""
    inner = (
        "id: inner\ninputs: {given: {type: string}, few: {type: string}}\nsteps: [{id: a, set: {x: 'inputs'}}]\n"
        "outputs: {all: '{{ vars.x }}'}\n"
    )
    outcome, _ = await after_a_restart(
        people,
        "  - {id: call, playbook: inner, with: {given: '{{ inputs.text }}', few: own}}\n"
        "outputs: {all: '{{ steps.call.all }}'}\n",
        inner,
    )
    assert outcome.outputs == {"all": {"given": "x" * SIZE, "few": "own"}}
