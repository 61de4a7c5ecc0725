"""What holds for every expression."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.functions import FILTERS, FUNCTIONS, TESTS
from hikeshi.playbook.inference import infer
from hikeshi.playbook.plain_data import EvaluationError, equal, identity
from hikeshi.playbook.shape import ANY
from hikeshi.playbook.syntax import ExpressionError
from hikeshi.playbook.template import parse_value
from hikeshi.playbook.unknown import Unknown, find_unknown

UNKNOWN = Unknown("Host", "not read")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
LITERALS = st.sampled_from(
    [
        "1",
        "0",
        "-1",
        "2.5",
        "'a'",
        "''",
        "'10.0.0.1'",
        "true",
        "none",
        "[]",
        "[1, 'a']",
        "{'a': 1}",
        "x",
        "y",
        "x.a",
        "y[0]",
        "u",
        "u.a",
    ]
)
BINARY = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
)


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    filters = st.builds(lambda a, f, b: f"({a}) | {f}" + b, inner, st.sampled_from(list(FILTERS)), arguments(inner))
    tests = st.builds(lambda a, t, b: f"(({a}) is {t}{b})", inner, st.sampled_from(list(TESTS)), arguments(inner))
    functions = st.builds(lambda f, a: f"{f}({a})", st.sampled_from(list(FUNCTIONS)), inner)
    each = st.builds(
        lambda a, f, t: f"({a}) | {f}('{t}')",
        inner,
        st.sampled_from(["select", "map", "selectattr"]),
        st.sampled_from([*FILTERS, *TESTS]),
    )
    return filters | tests | functions | each


def arguments(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | st.builds(lambda a: f"({a})", inner) | st.builds(lambda a, b: f"({a}, {b})", inner, inner)


EXPRESSIONS = st.recursive(
    LITERALS,
    lambda inner: (
        st.builds(lambda a, o, b: f"({a}) {o} ({b})", inner, BINARY, inner)
        | st.builds(lambda a, b, c: f"({a}) if ({b}) else ({c})", inner, inner, inner)
        | st.builds(lambda a, b: f"({a})[{b}]", inner, inner)
        | st.builds(lambda a, b: f"({a})[{b}:]", inner, inner)
        | st.builds(lambda a: f"not ({a})", inner)
        | calls(inner)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(text=EXPRESSIONS, x=DATA, y=DATA)
def test_evaluation_raises_only_evaluation_errors(text: str, x: object, y: object) -> None:
    """Whatever is written and whatever the data: a value, or one of the two errors of the language."""
    try:
        expression = parse_expression(text)
        infer(expression, {"x": ANY, "y": ANY, "u": ANY})
        expression.evaluate({"x": x, "y": y, "u": UNKNOWN}, operations=20_000)
    except (ExpressionError, EvaluationError):
        pass


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=" ()[]{}'\"\\.,|+-*/%~<>=!abixnotsrd_0123456789:\n\r#;é", max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text takes the parser down, alone or within braces."""
    for parse in (parse_expression, parse_value):
        offset = 0
        try:
            parse(text)
        except ExpressionError as error:
            offset = error.offset
        assert 0 <= offset <= len(text)


@settings(max_examples=300, deadline=None)
@given(text=EXPRESSIONS, x=DATA)
def test_what_unknown_hides_is_never_decided(text: str, x: object) -> None:
    """If a decided value comes out although `u` is unknown, every value in its place gives the same one."""
    try:
        expression = parse_expression(text)
        planned = expression.evaluate({"x": x, "y": [1], "u": UNKNOWN}, operations=20_000)
    except (ExpressionError, EvaluationError):
        return
    if find_unknown(planned) is not None:
        return
    for actual in (True, None, {"a": 1}, "a", [1]):
        try:
            live = expression.evaluate({"x": x, "y": [1], "u": actual}, operations=20_000)
        except EvaluationError:
            continue
        assert identity(live) == identity(planned) or not equal(planned, planned)


@given(left=DATA, right=DATA)
def test_identity_and_equality_agree(left: object, right: object) -> None:
    """`unique` and `==` mean the same."""
    if equal(left, left) and equal(right, right):  # a NaN from outside equals nothing
        assert equal(left, right) == (identity(left) == identity(right))
