"""Values in a playbook: what may stand where a duration, a text or a target is needed, and what steps give."""

from __future__ import annotations

import pytest

from hikeshi.capabilities import BUILT_IN, Capability, Catalogue, change
from hikeshi.playbook import Playbook, Problem, check_playbook, load_playbook


class NoPlaybooks:
    def playbook(self, playbook_id: str) -> Playbook | None:
        return None

    def ids(self) -> list[str]:
        return []


def check(text: str, *further: type[Capability]) -> list[Problem]:
    playbook, problems = load_playbook(text, "p.yaml")
    assert [str(problem) for problem in problems] == []
    assert playbook is not None
    catalogue = Catalogue()
    for capability in (*BUILT_IN, *further):
        catalogue.add(capability.specs())
    return check_playbook(playbook, catalogue, NoPlaybooks())


def codes(text: str, *further: type[Capability]) -> list[str]:
    return [problem.code for problem in check(text, *further)]


HEAD = """id: p
inputs:
  name: {type: hostname}
  count: {type: integer, default: 1}
  names: {type: list, items: hostname, default: []}
  bad: {type: indicator, required: false}
  many: {type: list, items: indicator, default: []}
  anything: {type: list, default: []}
steps:
"""
FIND = "  - {id: find, action: edr.get_host, with: {name: '{{ inputs.name }}'}}\n"


@pytest.mark.parametrize(
    ("targets", "fits"),
    [
        ("steps.find", True),
        ("[steps.find]", True),
        ("inputs.bad", True),
        ("inputs.many", True),
        ("steps.find.name | iocs", True),
        ("inputs.anything", True),
        ("steps.sure | map(attribute='output')", True),
        ("inputs.name", False),
        ("inputs.names", False),
        ("inputs.count", False),
        ("none", False),
        ("[[steps.find]]", False),
        ("steps.state", False),
        ("steps.alerts", False),
        ("steps.sure", False),
    ],
)
def test_only_what_a_change_can_be_aimed_at_is_released(targets: str, fits: bool) -> None:
    """Entities and indicators, alone or in a list; what nobody knows before the run is let through."""
    text = (
        HEAD
        + FIND
        + "  - {id: state, action: edr.isolation_of, with: {host: '{{ steps.find }}'}}\n"
        + "  - {id: alerts, action: edr.list_alerts}\n"
        + "  - {id: sure, for_each: inputs.names, action: edr.get_host, with: {name: '{{ item }}'}}\n"
        + f'  - {{release: "{targets}"}}\n'
    )

    assert codes(text) == ([] if fits else ["wrong-target"])


def test_a_change_that_is_aimed_at_a_text_can_be_released_by_it() -> None:
    """Connectors may bring changes whose target is no entity."""

    class Shed(Capability, name="shed"):
        @change(target="door", undo=None, because="locks stay")
        async def lock(self, door: str) -> None:
            """Lock a door."""

    text = HEAD + "  - {release: inputs.name}"

    assert codes(text) == ["wrong-target"]
    assert codes(text, Shed) == []


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("8h", True),
        ("{{ inputs.count }}h", True),
        ("1h{{ inputs.count }}m", True),
        ("{{ inputs.name }}", True),
        ("{{ inputs.count }} hours", False),
        ("{{ inputs.count }}", True),
        ("{{ inputs.name }} hours", True),
        ("{{ inputs.names }}", False),
    ],
)
def test_a_duration_is_tried_with_a_number_in_it(value: str, fits: bool) -> None:
    """What no whole number makes a duration is none; what a text makes of it nobody knows."""
    text = HEAD + f"  - {{wait: '{value}'}}\n"

    assert codes(text) == ([] if fits else ["wrong-duration"])


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("{ask: '{{ inputs.names }}', by: [a], within: 1m, form: {x: {type: string}}}", False),
        ("{ask: 'Look at {{ inputs.name }}', by: [a], within: 1m, form: {x: {type: string}}}", True),
        ("{stop: {status: failed, message: '{{ inputs.names }}'}}", False),
        ("{stop: {status: failed, message: '{{ inputs.count }}'}}", True),
        ("{set: {a: '1'}}\nconcurrency: {key: '{{ inputs.names }}'}", False),
        ("{set: {a: '1'}}\nconcurrency: {key: '{{ none }}'}", False),
        ("{set: {a: '1'}}\nconcurrency: {key: '{{ inputs.name }}'}", True),
    ],
)
def test_what_people_read_is_text(line: str, fits: bool) -> None:
    """A list or a map would be shown as code, and a key of nothing would be everybody's."""
    assert codes(HEAD + f"  - {line}\n") == ([] if fits else ["wrong-text"])


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ("{id: x, wait: 5m}", "y", "the step 'x' gives nothing, which has no 'y'"),
        ("{id: x, wait: {event: e, at_most: 5m}}", "y", ""),
        (
            "{id: x, wait: {action: edr.get_host, with: {name: a}, until: 'true', every: 1s, at_most: 5m}}",
            "nam",
            "the step 'x' gives a Host, which has no 'nam'; did you mean 'name'?",
        ),
        ("{id: x, approve: Go, by: [a], within: 1m}", "decison", "did you mean 'decision'?"),
        ("{id: x, approve: Go, by: [a], within: 1m}", "note", ""),
        ("{id: x, ask: Go, by: [a], within: 1m, form: {size: {type: integer}}}", "siz", "did you mean 'size'?"),
        ("{id: x, set: {size: '1'}}", "siz", "did you mean 'size'?"),
        ("{id: x, release: inputs.anything}", "y", "list of outcome has no fields, so it has no 'y'"),
        ("{id: x, parallel: [{id: inner, set: {size: '1'}}]}", "iner", "did you mean 'inner'?"),
    ],
)
def test_what_a_step_gives_is_known_by_its_kind(line: str, field: str, says: str) -> None:
    """Each kind of step has a shape of its own, and reading past it is a mistake."""
    text = HEAD + f"  - {line}\n  - {{set: {{r: steps.x.{field}}}}}\n"
    found = "\n".join(problem.message for problem in check(text))

    assert says in found
    assert bool(found) == bool(says)
