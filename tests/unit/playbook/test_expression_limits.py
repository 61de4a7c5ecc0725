"""How much one evaluation may do."""

from __future__ import annotations

import pytest

from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.plain_data import EvaluationError

pytestmark = pytest.mark.safety(30)


@pytest.mark.parametrize(
    "text",
    [
        "2 ** 5000",
        "2.0 ** 5000",
        "(2 ** 4000) * (2 ** 4000)",
        "10 ** 400 * 1.0",
        "range(10 ** 9)",
        "range(10 ** 30)",
        "range(400000) | map('string') | map('upper') | join",
        "big ~ big",
        "big | replace('a', 'bbb')",
        "big + big",
        "[big, big] | join(big)",
        "many | sort",
        "many | unique",
        "deep == deep",
        "deep | tojson",
        "deep | unique",
        "(2 ** 4000) | float",
        "1e308 * 10",
        "('9' ~ big) | int",
        "big | title ~ big",
    ],
)
def test_evaluation_is_bounded(text: str) -> None:
    """Numbers, texts, lists and work that grow too large end in an error, soon."""
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    scope = {"big": "a" * 9_000_000, "many": list(range(1_000_000)), "deep": [deep]}
    with pytest.raises(EvaluationError):
        parse_expression(text).evaluate(scope)


def test_the_budget_of_operations_is_per_evaluation() -> None:
    """The same expression can be evaluated again; a smaller budget is obeyed."""
    expression = parse_expression("range(1000) | map('string') | length")
    assert [expression.evaluate({}), expression.evaluate({})] == [1000, 1000]
    with pytest.raises(EvaluationError, match="operations"):
        expression.evaluate({}, operations=500)


def test_a_path_into_a_large_value_costs_nothing_more() -> None:
    """Reading one field does not look at the rest."""
    scope = {"event": {"body": ["x"] * 5_000_000, "id": 7}}
    assert parse_expression("event.id == 7 and event.body[4000000] == 'x'").evaluate(scope, operations=50) is True
