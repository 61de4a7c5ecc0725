"""The tables of filters, tests and functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.playbook.expression import parse_expression
from hikeshi.playbook.functions import FILTERS, FUNCTIONS, KINDS, TESTS, Function, describe_table
from hikeshi.playbook.inference import infer
from hikeshi.playbook.plain_data import equal

ENTRIES = [*FILTERS.values(), *TESTS.values(), *FUNCTIONS.values()]
DOCS = Path(__file__).parents[3] / "docs" / "expressions.md"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.role} {entry.name}")
def test_every_example_gives_what_it_says(entry: Function) -> None:
    """The examples of the documentation are true, and inference finds nothing wrong with them."""
    text, expected = entry.example
    assert equal(parse_expression(text).evaluate({}), expected)
    assert infer(parse_expression(text), {})[1] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.role} {entry.name}")
def test_every_entry_is_declared_fully(entry: Function) -> None:
    """Kinds are known, and whatever is evaluated plainly has an implementation."""
    assert entry.subject in KINDS
    assert all(parameter.kind in KINDS for parameter in entry.parameters)
    assert (entry.run is not None) is (entry.form == "plain")
    assert entry.doc
    assert f"{entry.name}" in entry.example[0]


def test_the_page_for_authors_has_the_tables_unchanged() -> None:
    """docs/expressions.md shows what describe_table() gives."""
    assert describe_table() in DOCS.read_text(encoding="utf-8")
