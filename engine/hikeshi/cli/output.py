"""Where everything that a command says goes out.

Rule of this file: nothing is written but through here, so every text is masked by the redactor and made harmless, and
with --json the standard output holds one JSON document and nothing else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from hikeshi.cli.text import Piece, Styled, cut, harmless, pad, width

__all__ = ["Output"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NARROWEST = 40


class Output:
    """The standard output and the standard error of one command."""

    def __init__(self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self.mask: Callable[[Any], Any] = lambda value: value
        """Masks secrets in plain data; the redactor's, as soon as there is one."""

    def line(self, *pieces: Piece) -> None:
        """Write one line of the result for people. With --json there is none: the document says it."""
        if not self.as_json:
            self._write(self._stdout, pieces)

    def lines(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Write several lines of the result for people."""
        for pieces in lines:
            self.line(*pieces)

    def note(self, *pieces: Piece) -> None:
        """Write one line beside the result: progress, warnings, errors."""
        self._write(self._stderr, pieces)

    def document(self, data: Any) -> None:
        """Write the one JSON document. Its text is ASCII, so that no terminal obeys it."""
        import json

        self._stdout.write(json.dumps(self.mask(data), indent=2, default=str) + "\n")

    def json_line(self, data: Any) -> None:
        """Write one JSON document on one line: for a command that writes one after the other, and never ends."""
        import json

        self._stdout.write(json.dumps(self.mask(data), default=str) + "\n")

    def verbatim(self, text: str) -> None:
        """Write a text of several lines as it is, but for what a terminal would obey: a diagram, a traceback."""
        for each in self.mask(text).splitlines():
            self._stdout.write(harmless(each) + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Piece]]) -> None:
        """Write a table for people; on a terminal it is made to fit, in a pipe nothing is cut."""
        if self.as_json:
            return
        texts = [[harmless(self.mask(_text(cell))) for cell in row] for row in rows]
        columns = [max(map(width, column)) for column in zip(header, *texts, strict=True)]
        if self.is_terminal:
            _fit(columns, self.columns - 2 * (len(columns) - 1))
        self._row([Styled(title, "dim") for title in header], columns)
        for row in rows:
            self._row(row, columns)

    def _row(self, row: Sequence[Piece], columns: Sequence[int]) -> None:
        pieces: list[Piece] = []
        for number, (cell, wide) in enumerate(zip(row, columns, strict=True)):
            text = cut(harmless(self.mask(_text(cell))), wide)
            if number < len(columns) - 1:
                text = pad(text, wide) + "  "
            pieces.append(Styled(text, cell.style) if isinstance(cell, Styled) else text)
        self.line(*pieces)

    @property
    def is_terminal(self) -> bool:
        return self._stdout.isatty()

    @property
    def can_animate(self) -> bool:
        """Say whether the standard error is a terminal that can redraw what it shows."""
        return self._stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")

    @property
    def columns(self) -> int:
        return max(_NARROWEST, shutil.get_terminal_size().columns)

    def flush(self) -> None:
        self._stdout.flush()
        self._stderr.flush()

    def _write(self, stream: TextIO, pieces: Sequence[Piece]) -> None:
        colour = _has_colour(stream)
        stream.write("".join(_dressed(self.mask(_text(piece)), piece, colour) for piece in pieces).rstrip() + "\n")


def _text(piece: Piece) -> str:
    return piece.text if isinstance(piece, Styled) else piece


def _dressed(text: str, piece: Piece, colour: bool) -> str:
    shown = harmless(text)
    if not colour or not isinstance(piece, Styled) or piece.style not in _CODES:
        return shown
    return f"\x1b[{_CODES[piece.style]}m{shown}\x1b[0m"


def _has_colour(stream: TextIO) -> bool:
    """Colour is for terminals, and not where somebody asked for none: https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _fit(columns: list[int], room: int) -> None:
    """Take from the widest column until the row fits."""
    while sum(columns) > room and max(columns) > 12:
        widest = columns.index(max(columns))
        others = sum(columns) - columns[widest]
        second = max([wide for number, wide in enumerate(columns) if number != widest], default=0)
        columns[widest] = max(12, room - others, min(second, columns[widest] - 1))
