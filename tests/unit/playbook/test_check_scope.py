"""Which steps an expression may read: order, loops, and what may be missing."""

from __future__ import annotations

import pytest

from hikeshi.capabilities import BUILT_IN, Catalogue
from hikeshi.playbook import Playbook, check_playbook, load_playbook


class NoPlaybooks:
    def playbook(self, playbook_id: str) -> Playbook | None:
        return None

    def ids(self) -> list[str]:
        return []


CATALOGUE = Catalogue()
for _capability in BUILT_IN:
    CATALOGUE.add(_capability.specs())


def check(text: str) -> list[str]:
    playbook, problems = load_playbook(text, "p.yaml")
    assert [str(problem) for problem in problems] == []
    assert playbook is not None
    return [problem.code for problem in check_playbook(playbook, CATALOGUE, NoPlaybooks())]


def steps(*lines: str) -> str:
    return "id: p\ninputs: {n: {type: integer, default: 1}, l: {type: list, default: []}}\nsteps:\n" + "".join(
        f"  - {line}\n" for line in lines
    )


A = "{id: a, set: {one: '1'}}"
A_MAYBE = "{id: a, set: {one: '1'}, when: inputs.n > 1}"
READ_A = "{set: {two: steps.a.one}}"
ALERTS = "{id: alerts, action: edr.list_alerts}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([A, READ_A], []),
        ([READ_A, A], ["not-before"]),
        (["{id: a, set: {one: steps.a.one}}"], ["not-before"]),
        (["{set: {x: '1'}}", A, "{set: {z: '1'}, needs: [a]}", READ_A], []),
        ([A, "{id: b, set: {z: '1'}, needs: []}", READ_A], ["not-before"]),
        ([A, "{id: b, set: {z: '1'}, needs: []}", "{set: {two: steps.a.one}, needs: [b, a]}"], []),
        ([f"{{parallel: [{A}, {READ_A}]}}"], ["not-before"]),
        ([f"{{parallel: [{A}, {{set: {{two: steps.a.one}}, needs: [a]}}]}}"], []),
        ([f"{{parallel: [{A}, {{set: {{x: '1'}}}}]}}", READ_A], []),
        ([f"{{id: b, steps: [{A}]}}", "{set: {two: steps.b.a.one}}"], []),
        ([A, f"{{steps: [{{steps: [{READ_A}]}}]}}"], []),
        (["{id: b, steps: [{set: {two: steps.b}}]}"], ["not-before"]),
        ([f"{{id: b, steps: [{A}], when: steps.a.one > 0}}"], ["not-before"]),
    ],
)
def test_a_step_that_is_read_must_come_before(lines: list[str], expected: list[str]) -> None:
    """By the order of the list, by `needs`, and through blocks."""
    assert check(steps(*lines)) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([A_MAYBE, READ_A], ["maybe-missing"]),
        ([A_MAYBE, "{set: {two: steps.a.one | default(0)}}"], []),
        ([A_MAYBE, "{set: {two: steps.a.one if steps.a is defined else 0}}"], []),
        ([A_MAYBE, "{set: {two: steps.a.one}, when: inputs.n > 1}"], []),
        ([A_MAYBE, "{set: {x: '1'}, when: steps.a.one > 1}"], ["maybe-missing"]),
        ([A_MAYBE, "{set: {x: '1'}, when: status.a == 'succeeded' and steps.a.one > 1}"], []),
        ([A_MAYBE, f"{{steps: [{READ_A}], when: inputs.n > 1}}"], []),
        ([f"{{steps: [{A}], when: inputs.n > 1}}", READ_A], ["maybe-missing"]),
        ([f"{{id: b, steps: [{A_MAYBE}]}}", READ_A], ["maybe-missing"]),
        ([f"{{id: b, steps: [{A_MAYBE}]}}", "{set: {two: steps.b.a.one}}"], ["maybe-missing"]),
        ([f"{{steps: [{A}, {READ_A}], when: inputs.n > 1}}"], []),
        ([A_MAYBE, "{id: b, set: {two: errors.a is none and status.a == 'skipped'}}"], []),
        (
            ["{id: a, action: edr.get_host, with: {name: x}, on_error: continue}", "{set: {two: steps.a.name}}"],
            ["maybe-missing"],
        ),
        (["{id: a, action: edr.get_host, with: {name: x}}", "{set: {two: steps.a.name}}"], []),
        (
            [
                "{id: a, action: messaging.post, with: {channel: c, text: x}, on_error: continue}",
                "{set: {two: steps.a | length}}",
            ],
            [],
        ),
        (["{set: {one: '1'}, when: inputs.n > 1}", "{set: {two: vars.one}}"], ["maybe-missing"]),
        (["{set: {one: '1'}, when: inputs.n > 1}", "{set: {two: vars.one | default(2)}}"], []),
        (
            [
                ALERTS,
                "{id: t, action: ticketing.get_ticket, with: {number: x}}",
                "{id: c, action: ticketing.comment, with: {ticket: '{{ steps.t }}', text: x}}",
                "{set: {two: steps.c.name}}",
            ],
            ["maybe-missing"],
        ),
    ],
)
def test_what_may_be_missing_needs_care(lines: list[str], expected: list[str]) -> None:
    """Skipped, continued and unheard: each gives nothing to read, and a default, a test or a `when` is care."""
    assert check(steps(*lines)) == expected


LOOP = "{id: loop, for_each: inputs.l, steps: [{id: in_it, set: {a: item}}, {set: {b: steps.in_it.a, c: vars.a}}]}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([LOOP], []),
        ([LOOP, "{set: {x: steps.loop | length}}"], []),
        ([LOOP, "{set: {x: steps.in_it.a}}"], ["inside-loop"]),
        ([LOOP, "{set: {x: vars.a}}"], ["inside-loop"]),
        ([LOOP, "{set: {x: status.in_it}}"], ["inside-loop"]),
        ([LOOP, "{set: {x: item}}"], ["unknown-name"]),
        (["{id: loop, for_each: inputs.l, as: host, steps: [{set: {a: host}}]}"], []),
        (["{id: loop, for_each: inputs.l, as: host, steps: [{set: {a: item}}]}"], ["unknown-name"]),
        (["{id: loop, for_each: item, steps: [{set: {a: item}}]}"], ["unknown-name"]),
        (["{id: loop, for_each: inputs.l, when: item != 1, steps: [{set: {a: item}}]}"], []),
        (
            ["{for_each: inputs.l, steps: [{for_each: item.x, as: y, steps: [{set: {a: '[item, y]'}}]}]}"],
            [],
        ),
        (["{id: loop, for_each: inputs.n, steps: [{set: {a: item}}]}"], ["wrong-expression"]),
        (["{id: b, steps: [{id: c, set: {a: '1'}}], while: steps.c.a > 1, at_most: 3}"], []),
        (
            ["{id: b, steps: [{id: c, set: {a: '1'}}], while: steps.c.a > 1, at_most: 3}", "{set: {x: steps.c.a}}"],
            ["inside-loop"],
        ),
        (["{id: b, steps: [{id: c, set: {a: '1'}}], while: steps.c.a > 1, at_most: 3}", "{set: {x: steps.b.c.a}}"], []),
        (
            [
                "{id: loop, for_each: inputs.l, when: inputs.n > 1, action: edr.list_alerts}",
                "{set: {x: steps.loop | length}}",
            ],
            [],
        ),
        ([LOOP, "{set: {x: \"steps.loop | map(attribute='statuz')\"}}"], ["wrong-expression"]),
    ],
)
def test_a_loop_is_read_from_outside_by_its_output(lines: list[str], expected: list[str]) -> None:
    """Inside, a step sees its own item's steps and variables; outside there is only the list of outcomes."""
    assert check(steps(*lines)) == expected


HANDLED = "id: p\nsteps:\n  - id: a\n    action: edr.get_host\n    with: {name: x}\n    on_error:\n"


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("{id: h, set: {m: error.message}}", []),
        ("{id: h, set: {m: error.mesage}}", ["wrong-expression"]),
        ("{id: h, set: {m: errors.a.kind}}", []),
        ("{id: h, set: {m: status.a}}", []),
        ("{id: h, set: {m: steps.a.name}}", ["maybe-missing"]),
    ],
)
def test_a_handler_sees_the_error_and_not_the_output(handler: str, expected: list[str]) -> None:
    """The step it handles has failed, so it has given nothing."""
    assert check(HANDLED + f"      - {handler}\n") == expected


def test_what_a_handler_did_may_be_missing_afterwards() -> None:
    """A handler runs only if its step fails."""
    text = HANDLED.replace("on_error:", "on_error: {then: continue, steps: [{id: h, set: {m: '1'}}]}")

    assert check(text + "  - {set: {x: steps.h.m}}") == ["maybe-missing"]
    assert check(text + "  - {set: {x: steps.h.m | default(0)}}") == []


@pytest.mark.parametrize("name", ["on_failure", "finally"])
def test_what_runs_after_a_failure_takes_nothing_for_granted(name: str) -> None:
    """`on_failure` and `finally` may run before a step has; its status is always there."""
    text = steps(A) + f"{name}:\n  - {{set: {{x: steps.a.one}}}}\n"

    assert check(text) == ["maybe-missing"]
    assert check(text.replace("steps.a.one", "steps.a.one | default(0)")) == []
    assert check(text.replace("steps.a.one", "status.a")) == []


def test_the_steps_do_not_see_what_runs_after_them() -> None:
    """`finally` is later than everything."""
    text = steps("{set: {x: status.late}}") + "finally:\n  - {id: late, set: {y: '1'}}\n"

    assert check(text) == ["not-before"]


@pytest.mark.parametrize(
    ("lines", "value", "expected"),
    [
        ([A], "{{ steps.a.one }}", []),
        ([A_MAYBE], "{{ steps.a.one }}", ["maybe-missing"]),
        ([A_MAYBE], "{{ steps.a.one | default(none) }}", []),
        ([LOOP], "{{ steps.loop }}", []),
        ([LOOP], "{{ steps.in_it }}", ["inside-loop"]),
        ([A], "{{ vars.one }} {{ status.a }}", []),
    ],
)
def test_outputs_see_the_steps_of_a_run_that_succeeded(lines: list[str], value: str, expected: list[str]) -> None:
    """They are computed at the end."""
    assert check(steps(*lines) + f'outputs: {{o: "{value}"}}') == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("{a: '{{ inputs.n }}', b: '{{ vars.a }}'}", []),
        ("{a: '{{ vars.b }}', b: '{{ inputs.n }}'}", ["not-before"]),
        ("{a: '{{ vars.a }}'}", ["not-before"]),
        ("{a: '{{ steps.a }}'}", ["unknown-name"]),
        ("{a: '{{ run.id }} {{ now }}'}", []),
    ],
)
def test_a_variable_sees_inputs_and_the_variables_above_it(variables: str, expected: list[str]) -> None:
    """Variables are computed in order, before any step."""
    assert check(steps(A.replace("one", "z")) + f"vars: {variables}") == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{wait: {action: edr.list_alerts, until: result | length > 0, every: 1s, at_most: 1m}}", []),
        ("{wait: {action: edr.list_alerts, until: result.x, every: 1s, at_most: 1m}}", ["wrong-expression"]),
        ("{wait: {event: e, when: event.host == 'x', at_most: 1m}}", []),
        ("{wait: {event: e, when: result, at_most: 1m}}", ["unknown-name"]),
        ("{set: {a: event.x}}", ["unknown-name"]),
        ("{set: {a: steps}}", ["unknown-step"]),
        ("{set: {a: 'steps[inputs.n]'}}", ["unknown-step"]),
    ],
)
def test_some_names_are_known_in_one_place_only(line: str, expected: list[str]) -> None:
    """`event` and `result` belong to what brings them."""
    assert check(steps(line)) == expected


def test_a_change_that_goes_to_several_instances_gives_outcomes() -> None:
    """Even if only one instance is configured, so that a playbook does not break with the second."""
    block = (
        "{id: b, action: firewall.block_indicators, with: {indicators: [{kind: ipv4, value: 192.0.2.7}], reason: x}}"
    )

    assert check(steps(block, "{set: {x: 'steps.b[0].output[0].blocked', y: 'steps.b[0].status'}}")) == []
    assert check(steps(block, "{set: {x: steps.b.blocked}}")) == ["wrong-expression"]


def test_long_chains_of_variables_are_no_burden() -> None:
    """Each step reads the one before, three hundred times, forwards and backwards."""
    forward = [
        f"{{id: s{n}, set: {{v{n}: {'inputs.n' if n == 0 else f'steps.s{n - 1}.v{n - 1}'}}}}}" for n in range(300)
    ]

    assert check(steps(*forward)) == []
    assert set(check(steps(*reversed(forward)))) == {"not-before"}
