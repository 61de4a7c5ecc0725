"""What to do about text that is not YAML.

The parser gives words and a place, no codes, so the advice goes by the characters at that place and by its words; a
word it does not know costs a hint and nothing else.
"""

from __future__ import annotations

__all__ = ["advice_for"]

_BY_WORDS = (
    ("mapping values are not allowed", "a value that has ': ' in it stands in quotes; otherwise check the indentation"),
    ("did not find expected ',' or ']'", "close the list with ']', and separate its items by commas"),
    ("did not find expected ',' or '}'", "close the map with '}', and separate its keys by commas"),
    ("did not find expected key", "check the indentation: keys of one map start in the same column"),
    ("did not find expected '-' indicator", "check the indentation: items of one list start in the same column"),
    ("unexpected end of stream", "a quote, bracket or brace is not closed"),
    ("could not find expected ':'", "a key is followed by ': ' and its value"),
    (
        "unknown escape character",
        'in double quotes a backslash is written "\\\\"; in single quotes it stands for itself',
    ),
    ("block sequence entries are not allowed", "start the list on a new line, or write it as [a, b]"),
    ("did not find expected alphabetic or numeric", "text that starts with '&' or '*' stands in quotes"),
    ("did not find expected <document start>", "check the indentation of this line, or quote what precedes it"),
)
_OTHERWISE = "check the indentation and the quotes of this line and the one before"


def advice_for(problem: str, context: object, text: str, line: int, column: int) -> str:
    """Return what the author can do; line and column count from 0, as the parser's do."""
    character = _character_at(text, line, column)
    if character == "\t" or _is_indented_by_tab(text, line):
        return "indent with spaces, not with tabs"
    if character and character in "@`%":
        return f"text that starts with {character!r} stands in quotes"
    said = f"{problem} {context or ''}"
    return next((advice for words, advice in _BY_WORDS if words in said), _OTHERWISE)


def _line(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line] if line < len(lines) else ""


def _character_at(text: str, line: int, column: int) -> str:
    return _line(text, line)[column : column + 1]


def _is_indented_by_tab(text: str, line: int) -> bool:
    written = _line(text, line)
    return "\t" in written[: len(written) - len(written.lstrip())]
