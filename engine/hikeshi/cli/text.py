"""Text on its way to a terminal.

Rule of this file: text from outside (names of hosts, messages of products, YAML of strangers) is data. No character
of it moves the cursor, changes a colour, turns the direction of writing or ends a line, and no length of it floods.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

__all__ = ["MOST", "Piece", "Styled", "cut", "harmless", "pad", "width"]

MOST = 2000
"""How many characters of one text are shown to people. With --json nothing is cut."""

_PLAIN = re.compile(r"[ -~]*")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Styled(NamedTuple):
    """A text and how it looks: `bold`, `dim`, `red`, `green`, `yellow`, `cyan`."""

    text: str
    style: str


Piece = str | Styled


def harmless(text: str, most: int = MOST) -> str:
    """Return the text on one line, with everything that a terminal would obey written out, such as `\\x1b`."""
    left_out = len(text) - most
    if left_out > 0:
        text = text[:most]
    if not _PLAIN.fullmatch(text):
        text = "".join(map(_shown, text))
    return f"{text}... ({left_out} more characters)" if left_out > 0 else text


def _shown(sign: str) -> str:
    if unicodedata.category(sign) not in _UNSEEN:
        return sign
    if sign in _SHORT:
        return _SHORT[sign]
    number = ord(sign)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def width(text: str) -> int:
    """Return how many columns a harmless text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(sign) for sign in text)


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return the text in at most so many columns; what was cut off is marked."""
    if width(text) <= columns:
        return text
    taken, room = [], max(0, columns - 3)
    for sign in text:
        room -= _columns(sign)
        if room < 0:
            break
        taken.append(sign)
    return "".join(taken) + "..."[: max(0, columns)]


def pad(text: str, columns: int) -> str:
    """Return the text, made harmless and filled with spaces up to so many columns."""
    shown = harmless(text)
    return shown + " " * (columns - width(shown))
