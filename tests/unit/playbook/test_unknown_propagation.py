"""SAFETY 4 and 5: unknown goes through everything, and no condition is decided that depends on it.

The cases are made from the tables: each example, and each operator, with an unknown in the place of each of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from hikeshi.playbook import evaluate, syntax
from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.functions import FILTERS, FUNCTIONS, TESTS
from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.unknown import Unknown, find_unknown

pytestmark = pytest.mark.safety(4)

UNKNOWN = Unknown("Host", "not read")
SCOPE = {"u": UNKNOWN, "inside": [{"deep": [UNKNOWN]}]}
OPERATORS = [
    "1 + 2",
    "2 - 1",
    "2 * 3",
    "4 / 2",
    "4 // 3",
    "4 % 3",
    "2 ** 3",
    "'a' ~ 'b' ~ 'c'",
    "'a' + 'b'",
    "[1] + [2]",
    "-1",
    "+1",
    "1 == 1",
    "1 != 2",
    "1 < 2",
    "1 <= 2",
    "2 > 1",
    "2 >= 1",
    "1 < 2 < 3",
    "'a' in 'abc'",
    "1 in [1, 2]",
    "3 not in [1]",
    "'k' in {'k': 1}",
    "not false",
    "true and true",
    "false or false",
    "1 if true else 2",
    "[1, 2][0]",
    "{'a': 1}['a']",
    "[1, 2][0:1]",
]
EXAMPLES = [entry.example[0] for table in (FILTERS, TESTS, FUNCTIONS) for entry in table.values()]


def variants(node: syntax.Node, stand_in: syntax.Node) -> Iterator[syntax.Node]:
    """Yield the tree once for each node below it, with the stand-in there."""
    for entry in fields(node):
        value = getattr(node, entry.name)
        if isinstance(value, syntax.Node):
            yield replace(node, **{entry.name: stand_in})  # type: ignore[misc]  # one of its own fields
            for inner in variants(value, stand_in):
                yield replace(node, **{entry.name: inner})  # type: ignore[misc]  # the same
        elif isinstance(value, tuple):
            for at, child in enumerate(value):
                if isinstance(child, syntax.Node):
                    for inner in (stand_in, *variants(child, stand_in)):
                        changed = (*value[:at], inner, *value[at + 1 :])
                        yield replace(node, **{entry.name: changed})  # type: ignore[misc]  # the same


def may_be_decided(tree: syntax.Node) -> bool:
    """Whether the stand-in stands where nothing is evaluated, or beside the part of a literal that is read."""
    match tree:
        case syntax.Conditional(otherwise=syntax.Name()):
            return True
        case syntax.Application(function=function, arguments=(syntax.Name(),)):
            return function.form == "default" and tree.subject == syntax.Constant(1, 0)
        case syntax.Item(subject=syntax.ListOf(items=(_, syntax.Name()))):
            return True
        case syntax.Slice(subject=syntax.ListOf(items=(_, syntax.Name()))):
            return True
    return False


@pytest.mark.parametrize("text", [*OPERATORS, *EXAMPLES])
@pytest.mark.parametrize("name", ["u", "inside"])
def test_unknown_in_any_place_never_gives_a_decided_value(text: str, name: str) -> None:
    """Wherever an unknown stands in an operator, filter, test or function, the result is unknown too."""
    tree = parse_expression(text).tree
    cases = list(variants(tree, syntax.Name(name, 0)))
    assert cases or not list(syntax.children(tree))
    for case in cases:
        if may_be_decided(case):
            continue
        try:
            result = evaluate.run(evaluate.build(case), 1, SCOPE)
        except EvaluationError:
            continue  # `inside` in the place of a number: an error decides nothing
        assert find_unknown(result) is not None, case


@pytest.mark.parametrize("test", [name for name, entry in TESTS.items() if not entry.parameters])
def test_no_test_tells_anything_about_an_unknown(test: str) -> None:
    """`is defined`, `is none` and `is string` included."""
    for subject in ("u", "u.a.b", "u[0]", "inside"):
        assert parse_expression(f"{subject} is {test}").evaluate(SCOPE) == Unknown("boolean", "not read")
        assert parse_expression(f"{subject} is not {test}").evaluate(SCOPE) == Unknown("boolean", "not read")


@pytest.mark.parametrize("name", [name for name, entry in FILTERS.items() if entry.form == "plain"])
def test_every_filter_of_an_unknown_is_unknown(name: str) -> None:
    """A filter added to the table is covered by being there."""
    required = sum(parameter.default.__class__.__name__ == "Required" for parameter in FILTERS[name].parameters)
    arguments = f"({', '.join(['1'] * required)})" if required else ""
    for subject in ("u", "[u]", "{'a': [u]}", "u.b"):
        assert isinstance(parse_expression(f"{subject} | {name}{arguments}").evaluate(SCOPE), Unknown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("false and u", False),
        ("true or u", True),
        ("u and false", Unknown("boolean", "not read")),
        ("u or true", Unknown("boolean", "not read")),
        ("[u, 1][1]", 1),
        ("{'a': u, 'b': 2}.b", 2),
        ("1 if true else u", 1),
        ("1 | default(u)", 1),
        ("none | default(u)", UNKNOWN),
        ("u | default(1)", UNKNOWN),
        ("{'a': u} | default({})", {"a": UNKNOWN}),
        ("u.name.first", Unknown("Host.name.first", "not read")),
        ("(u is defined) if false else 3", 3),
    ],
)
def test_what_is_surely_known_stays_known(text: str, expected: object) -> None:
    """From the left, what decides comes first; known parts of a structure can be read."""
    assert parse_expression(text).evaluate(SCOPE) == expected


def test_loops_over_lists_with_an_unknown_item_are_unknown_lists() -> None:
    """`select` cannot say what it keeps, not even of the items that are known."""
    for text in (
        "[1, u] | select('gt', 0)",
        "[1, 2] | reject('eq', u)",
        "[{'a': u}] | selectattr('a')",
        "[u] | map('string')",
    ):
        assert parse_expression(text).evaluate(SCOPE) == Unknown("list", "not read")
