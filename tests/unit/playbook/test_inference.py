"""What is known of an expression before the run."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hikeshi.playbook import shape as shapes
from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.inference import Finding, infer, infer_condition, infer_list, infer_template
from hikeshi.playbook.shape import (
    ANY,
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    ListShape,
    MapShape,
    RecordShape,
    Shape,
    StringShape,
)
from hikeshi.playbook.template import parse_value

HOST = RecordShape(
    "Host",
    {
        "name": STRING,
        "tags": ListShape(STRING),
        "hosts": ListShape(INTEGER),
        "state": StringShape(enum=("isolated", "released")),
    },
    entity=True,
    model="x.Host",
)


class Steps:
    def get(self, name: str) -> Shape:
        return {"find": HOST, "all": ListShape(HOST)}[name]

    def names(self) -> Iterable[str]:
        return ["find", "all"]


NAMES = {
    "steps": Steps(),
    "inputs": shapes.record({"hours": INTEGER, "text": STRING}),
    "event": ANY,
    "free": MapShape(INTEGER),
}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("steps.find", HOST),
        ("steps.find.name", STRING),
        ("steps['find'].tags[0]", STRING),
        ("steps.all[0]", HOST),
        ("steps.all | first", HOST),
        ("steps.all | selectattr('name', 'eq', 'a') | list", ListShape(HOST)),
        ("steps.all | map(attribute='tags') | flatten", ListShape(STRING)),
        ("steps.all | map(attribute='name')", ListShape(STRING)),
        ("steps.all | batch(2)", ListShape(ListShape(HOST))),
        ("steps.all[1:]", ListShape(HOST)),
        ("steps.all | sort(attribute='name')", ListShape(HOST)),
        ("inputs.hours + 1", INTEGER),
        ("inputs.hours / 2", NUMBER),
        ("inputs.text ~ 1", STRING),
        ("event.a.b[0].c", ANY),
        ("free.anything", INTEGER),
        ("1 if event.x == 1 else 'a'", shapes.union([INTEGER, shapes.shape_of_constant("a")])),
        ("steps.find.name | default(none)", shapes.optional(STRING)),
        ("'8h' | duration", NUMBER),
        ("60 | duration", STRING),
        ("inputs.text | iocs | map(attribute='kind')", ListShape(STRING)),
        ("not (1 == 2)", BOOLEAN),
        ("steps.all | map('tojson')", ListShape(STRING)),
        ("steps.find if event.x == 1 else none", shapes.optional(HOST)),
        ("{'h': steps.find}.h", HOST),
        ("[steps.find] | last", HOST),
        ("steps.all + [steps.find]", ListShape(HOST)),
    ],
)
def test_the_shape_of_an_expression_is_known(text: str, shape: Shape) -> None:
    """Entities stay entities through lists, filters and branches; nothing is found wrong."""
    assert infer(parse_expression(text), NAMES) == (shape, [])


@pytest.mark.parametrize(
    ("text", "offset", "message", "suggestion"),
    [
        ("steps.find.hots", 10, "Host has no 'hots'; did you mean 'hosts'?", "hosts"),
        ("steps.find.hots | default([])", 10, "Host has no 'hots'; did you mean 'hosts'?", "hosts"),
        ("steps.fnd.name", 5, "`steps` has no 'fnd'; did you mean 'find'?", "find"),
        (
            "step.find",
            0,
            "there is no name 'step' here; did you mean 'steps'? (names: event, free, inputs, steps)",
            "steps",
        ),
        ("inputs.hour > 1", 6, "`inputs` has no 'hour'; did you mean 'hours'?", "hours"),
        (
            "steps.all.name",
            9,
            "a list of Host has no fields, so it has no 'name'; read an item first, or use map(attribute='name')",
            None,
        ),
        ("steps.find.name.first", 15, "a string has no fields, so it has no 'first'", None),
        ("steps.all | map(attribute='nam')", 12, "Host has no 'nam'; did you mean 'name'?", "name"),
        ("steps.all | selectattr('tag', 'eq', 1)", 12, "Host has no 'tag'; did you mean 'tags'?", "tags"),
        ("inputs.hours | lower", 15, "`lower` works on a string, and this is an integer", None),
        ("'a' | truncate('b')", 6, "`truncate` takes as 'length' an integer, and this is a string 'b'", None),
        ("inputs.hours == '8'", 6, "an integer and a string '8' are never the same", None),
        (
            "steps.find.state == 'isolatd'",
            16,
            "'isolatd' is not one of isolated, released; did you mean 'isolated'?",
            "isolated",
        ),
        ("inputs.text < 1", 6, "`<` compares two numbers or two texts, not a string with an integer", None),
        ("inputs.text + 1", 6, "`+` takes two numbers, two texts or two lists, not a string and an integer", None),
        ("inputs.text and true", 6, "`and` needs a boolean, and this is a string", None),
        ("1 in inputs.hours", 0, "`in` looks into a list, a map or a text, not into an integer", None),
        (
            "steps.all['a']",
            9,
            "a list of Host has no fields, so it has no 'a'; read an item first, or use map(attribute='a')",
            None,
        ),
        ("[steps.find] ~ ''", 0, "`~` needs a string, a number or a boolean, and this is a list of Host", None),
        ("-inputs.text", 7, "`-` needs a number, and this is a string", None),
    ],
)
def test_what_cannot_work_is_found(text: str, offset: int, message: str, suggestion: str | None) -> None:
    """Each finding has its words, its place and the name that was probably meant."""
    found = infer(parse_expression(text), NAMES)[1]
    assert [(finding.message, finding.suggestion) for finding in found] == [(message, suggestion)]
    assert abs(found[0].offset - offset) <= 6


def test_a_condition_must_be_able_to_be_a_boolean() -> None:
    """`when` with text is found before the run; any value is left to the run."""
    assert infer_condition(parse_expression("inputs.text"), NAMES) == [
        Finding("`when` must be true or false, and this is a string", 0)
    ]
    assert infer_condition(parse_expression("event.flag"), NAMES, "while") == []


def test_a_loop_needs_a_list_and_knows_its_item() -> None:
    """The shape of `item` is that of the list's items."""
    assert infer_list(parse_expression("steps.all"), NAMES) == (HOST, [])
    assert infer_list(parse_expression("event.hosts"), NAMES) == (ANY, [])
    assert [finding.message for finding in infer_list(parse_expression("steps.find"), NAMES)[1]] == [
        "`for_each` must be a list, and this is a Host"
    ]


def test_a_template_is_checked_as_a_whole() -> None:
    """Findings keep the place of their expression, and text takes only scalars."""
    shape, found = infer_template(
        parse_value({"host": "{{ steps.find }}", "text": ["{{ steps.find.nme }}", "a {{ steps.all }}"], "n": 1}), NAMES
    )
    assert isinstance(shape, RecordShape)
    assert (shape.fields["host"], shape.fields["n"]) == (HOST, INTEGER)
    assert [(entry.located.path, entry.finding.message) for entry in found] == [
        (("text", 0), "Host has no 'nme'; did you mean 'name'?"),
        (("text", 1), "a list of Host cannot be put into text"),
    ]
