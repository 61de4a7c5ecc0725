"""Text on its way to a terminal: shown as what it is, obeyed by nothing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.cli.text import cut, harmless, pad, width

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fs-tyo-01", "fs-tyo-01"),
        ("火消し Mägi ✓", "火消し Mägi ✓"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31mred", "\\x9b31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("half \ud800", "half \\ud800"),
        ("line\u2028end", "line\\u2028end"),
        ("[bold]not markup[/]", "[bold]not markup[/]"),
        ("\U000e0041tag", "\\U000e0041tag"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    """Letters of every language stay; control characters become visible."""
    assert harmless(text) == shown


@given(st.text())
def test_no_text_leaves_anything_that_a_terminal_obeys(text: str) -> None:
    """Whatever comes in, only visible characters and spaces come out, on one line."""
    assert not any(unicodedata.category(sign) in UNSEEN for sign in harmless(text))


def test_long_text_is_cut_and_says_so() -> None:
    """Ten megabytes become a line, and nobody thinks that this was all."""
    shown = harmless("x" * 10_000_000, 50)

    assert shown == "x" * 50 + "... (9999950 more characters)"


@given(st.text(), st.integers(0, 40))
def test_cut_text_fits(text: str, columns: int) -> None:
    """Also where characters take two columns, or none."""
    assert width(cut(harmless(text), columns)) <= columns


def test_columns_line_up_with_wide_characters() -> None:
    """A Japanese name takes two columns for each sign."""
    assert width(pad("火消し", 10)) == 10
    assert pad("火消し", 10) == "火消し    "
