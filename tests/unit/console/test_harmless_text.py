"""Text from outside in the console: it is shown as what it is, and turns nothing around."""

import pytest

from hikeshi.console.elements import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fs-tyo-01", "fs-tyo-01"),
        ("火消し Mägi ✓", "火消し Mägi ✓"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("one\ntwo", "one\ntwo"),
        ("tab\there", "tab here"),
        ("bell\x07", "bell\\x07"),
        ("wide\u3000space", "wide space"),
        ("line\u2028end", "line\\u2028end"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_what_nobody_sees_is_written_out(text: str, shown: str) -> None:
    """A name that reads differently from what it is can't pass for another one; markup stays text."""
    assert harmless(text) == shown
