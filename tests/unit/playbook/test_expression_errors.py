"""What is not an expression, and what the author is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.syntax import ExpressionError


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "there is no expression here"),
        ("1 +", 3, "ends too early"),
        ("a b", 2, "unexpected 'b' after the end"),
        ("a, b", 1, "unexpected ','"),
        ("a }} b", 2, "unexpected '}}'"),
        ("{{ a }}", 0, "bare expression"),
        ("{% if a %}", 1, "unexpected '%'"),
        ("[1, 2", 5, "ends too early"),
        ("x | lwer", 4, "there is no filter 'lwer'; did you mean 'lower'?"),
        ("x is definde", 2, "there is no test 'definde'; did you mean 'defined'?"),
        ("rnge(3)", 0, "there is no function 'rnge'; did you mean 'range'?"),
        ("lower(x)", 0, "is a filter; write it after the value"),
        ("x.items()", 7, "data has no methods"),
        ("_x", 0, "names that start with _"),
        ("x.__class__", 2, "names that start with _"),
        ("x | replace('a')", 4, "needs 'new'"),
        ("x | lower(1)", 4, "takes at most 0 arguments"),
        ("x | truncate(len=3)", 4, "has no argument 'len'; did you mean 'length'?"),
        ("x | truncate(3, length=3)", 4, "is given 'length' twice"),
        ("x | join(*y)", 4, r"* and ** are not part"),
        ("x | select(y)", 4, "written out as text"),
        ("x | select('foo')", 11, "there is no test 'foo'"),
        ("x | map('select')", 8, "cannot be applied"),
        ("x | map", 4, "needs the name of a filter"),
        ("'\\d'", 1, "no escape"),
        ("'\\ud800'", 1, "no character"),
        ("1e999", 0, "too large"),
        ("9" * 5000, 0, "too large"),
        ("x ? y", 2, "unexpected"),
        ("x; y", 1, "unexpected ';'"),
    ],
)
def test_what_is_not_an_expression_is_refused_with_its_place(text: str, offset: int, message: str) -> None:
    """The message says what is wrong, where, and the nearest known name."""
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert message in caught.value.message
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "[" * 5000,
        "{" * 5000,
        "x(" * 5000,
        "not " * 4000 + "true",
        "-" * 10_000 + "1",
        "1" + "+1" * 8000,
        "1" + "*1" * 8000,
        "1" + "**1" * 5000,
        "a" + ".b" * 8000,
        "a" + "[0]" * 5000,
        "a" + "|lower" * 2500,
        "1 if 1 else " * 1300 + "1",
        "a" + "()" * 8000,
        "(" * 300 + "1" + ")" * 300,
        "x" * 20_000,
    ],
)
def test_deep_or_long_text_is_refused_without_harm(text: str) -> None:
    """Nothing that fits into memory takes the parser down."""
    with pytest.raises(ExpressionError):
        parse_expression(text)


@pytest.mark.parametrize("text", ["a and " * 2000 + "a", " ~ ".join(["1"] * 3000), "1 <= " * 2000 + "1"])
def test_long_flat_chains_are_fine(text: str) -> None:
    """Length alone is no depth."""
    assert parse_expression(text).evaluate({"a": True}) is not None


def test_the_parser_is_loaded_with_the_first_expression_only() -> None:
    """Importing the language does not import jinja2, so that a program starts fast."""
    code = "import sys, hikeshi.playbook.template, hikeshi.playbook.inference; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
