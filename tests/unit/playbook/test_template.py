"""Values of a playbook with expressions in them."""

from __future__ import annotations

import pytest

from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.template import TemplateError, parse_value
from hikeshi.playbook.unknown import Unknown

SCOPE: dict[str, object] = {
    "inputs": {"host": "pc7", "hours": 8, "on": True, "none": None, "tags": ["a"]},
    "u": Unknown("Host", "not read"),
    "evil": "{{ inputs.host }}",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{{ inputs.tags }}", ["a"]),
        ("  {{ inputs.hours }}\n", 8),
        ("{{ inputs.none }}", None),
        ("{{ inputs.hours }}h", "8h"),
        ("{{ inputs.host }}/{{ inputs.on }}", "pc7/true"),
        ("no braces { } } }}", "no braces { } } }}"),
        ("{{ '{{' }} and {{ '}}' }}", "{{ and }}"),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{{'a': 1}}}", {"a": 1}),
        ({"a": ["{{ inputs.host }}", 1, None], "b": {"c": "x{{ 1 + 1 }}"}}, {"a": ["pc7", 1, None], "b": {"c": "x2"}}),
        (2.5, 2.5),
        ("", ""),
        ("{{ evil }}", "{{ inputs.host }}"),
        ("<{{ evil }}>", "<{{ inputs.host }}>"),
    ],
)
def test_a_value_gives_its_expressions_results(value: object, expected: object) -> None:
    """One expression keeps its type; in longer text it becomes text; results are not looked at again."""
    assert parse_value(value).evaluate(SCOPE) == expected


def test_text_with_an_unknown_in_it_is_an_unknown_text() -> None:
    """The whole text is unknown, and says why."""
    assert parse_value("is {{ u.name }} up?").evaluate(SCOPE) == Unknown("string", "not read")
    assert parse_value({"a": "{{ u }}", "b": 1}).evaluate(SCOPE) == {"a": Unknown("Host", "not read"), "b": 1}


@pytest.mark.parametrize("name", ["inputs.none", "inputs.tags", "inputs", "inputs.nowhere"])
def test_only_scalars_go_into_text(name: str) -> None:
    """Null, lists, maps and what is missing are errors that say which expression it was, and where."""
    with pytest.raises(EvaluationError) as caught:
        parse_value({"text": ["a", f"x {{{{ {name} }}}}"]}).evaluate(SCOPE)
    assert name.rpartition(".")[2] in caught.value.message
    assert caught.value.path == ("text", 1)
    assert caught.value.expression == f" {name} "


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a {% if x %}", 2, "statements are not part of the language"),
        ("a {# x #}", 2, "comments in braces are not"),
        ("ab {{ x", 3, "not closed"),
        ("ab {{ x | lwer }}", 10, "did you mean 'lower'"),
        ("ab {{ 'x }}", 6, "unexpected"),
        ("{{- x }}", 2, "white space control"),
        ("{{ x -}}", 5, "white space control"),
        ("{{ }}", 2, "no expression"),
        ("{{ {{ x }} }}", 3, "bare expression"),
        ("{{ x }} {{ y.__z__ }}", 13, "start with _"),
    ],
)
def test_a_mistake_in_a_text_is_reported_with_its_place(text: str, offset: int, message: str) -> None:
    """The offset counts in the text of the playbook, not in the expression."""
    with pytest.raises(TemplateError) as caught:
        parse_value(text)
    assert message in caught.value.message
    assert caught.value.offset == offset


def test_all_mistakes_of_a_value_are_reported_at_once() -> None:
    """Each problem has the path to its text."""
    with pytest.raises(TemplateError) as caught:
        parse_value({"a": "{{ 1 + }}", "b": [1, "{% x %}"], "{{ c }}": 1, 5: 1, "d": object()})
    assert sorted(map(str, (problem.path for problem in caught.value.problems))) == sorted(
        map(str, [("a",), ("b", 1), ("{{ c }}",), (), ("d",)])
    )


def test_a_template_lists_its_expressions_with_their_places() -> None:
    """Each expression has the path of its text, its offset there, and whether it is the whole value."""
    template = parse_value({"a": "{{ x }}", "b": ["n {{ y }}{{ z }}"], "c": 1})
    found = [(entry.path, entry.offset, entry.expression.text, entry.whole) for entry in template.expressions]
    assert found == [(("a",), 2, " x ", True), (("b", 0), 4, " y ", False), (("b", 0), 11, " z ", False)]
    assert not template.is_constant
    assert parse_value({"a": [1, "b {"]}).is_constant


def test_long_text_with_many_braces_is_parsed_or_refused_soon() -> None:
    """The work is bounded by limits on the text and on its expressions."""
    for text in ("{{ 1 }}" * 20_000, "{" * 1_000_000, "{{ '" * 50_000, "{ " * 100_000 + "{{ 1"):
        with pytest.raises(TemplateError):
            parse_value(text)
