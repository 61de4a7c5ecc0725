"""The last net: values that must not be written are masked wherever they turn up, in every usual encoding.

The first rule is structure: secrets are never arguments, outputs or events. This catches what slips through, such as
a product that repeats a token in an error text.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Redactor"]

MASK = "[secret]"
_SHORTEST = 4  # masking shorter values would tear holes into ordinary text and protect nothing
_WORD = re.compile(r"[a-z][a-z_.-]{0,30}")  # what could as well be the name of a field, an action or a status
_LINE = 16  # so long is a line of a key at least; a shorter one could as well be a line of anything
_MOST_LINES = 200  # a private key has fewer than a hundred; each more costs in every text that is written
_HEX_ESCAPE = re.compile("%[0-9A-F]{2}")
_FLAT = frozenset({str, int, float, bool, type(None)})


class Redactor:
    """Knows the secret values of this process and masks them in texts."""

    def __init__(self) -> None:
        self._needles: list[str] = []
        self._strong: list[str] = []  # those that cannot be an ordinary word
        self._known: set[str] = set()

    def add(self, value: str) -> None:
        """Mask this value from now on, in plain, JSON, repr, URL, HTML, hexadecimal and base64 form."""
        if len(value) < _SHORTEST or value in self._known:
            return
        self._known.add(value)
        needles = set(self._needles)
        for text in (value, *_lines(value)):
            needles.update(form for form in _forms(text) if len(form) >= _SHORTEST)
        self._needles = sorted(needles, key=len, reverse=True)
        self._strong = [needle for needle in self._needles if not _WORD.fullmatch(needle)]

    def holds(self, text: str) -> bool:
        """Say whether a known secret is in the text, in any form."""
        return any(needle in text for needle in self._needles)

    def text(self, text: str) -> str:
        """Return the text with every known secret masked."""
        return _masked(text, self._needles)

    def data(self, value: Any) -> Any:
        """Return plain data with every known secret masked, in values, and in keys as `names` does."""
        return self._data(value, self._needles) if self._needles and not self._is_free(value) else value

    def names(self, value: Any) -> Any:
        """Return plain data that the engine wrote itself with every secret masked that is no ordinary word.

        A password such as "host" must not turn the name of a field into something that nobody can read back.
        """
        return self._data(value, self._strong) if self._strong else value

    def _is_free(self, value: Any) -> bool:
        """Say whether a flat map holds no secret: most states are such, and a change may be of many targets."""
        if type(value) is not dict or not _FLAT.issuperset(map(type, value.values())):
            return False
        return not self.holds("\n".join([*value, *(each for each in value.values() if type(each) is str)]))

    def _data(self, value: Any, needles: Sequence[str]) -> Any:
        if isinstance(value, str):
            return _masked(value, needles)
        if isinstance(value, dict):
            # What stands under a key with a $ is a mark of the engine's own.
            return {
                _masked(key, self._strong): self._data(item, self._strong if key[:1] == "$" else needles)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self._data(item, needles) for item in value]
        return value


def _masked(text: str, needles: Sequence[str]) -> str:
    for needle in needles:
        if needle in text:
            text = text.replace(needle, MASK)
    return text


def _lines(value: str) -> list[str]:
    """Return the long lines of a value of several: a private key is shown line by line by whatever shows lines."""
    lines = [line.strip() for line in value.splitlines()]
    if not 1 < len(lines) <= _MOST_LINES:
        return []
    return [line for line in lines if len(line) >= _LINE and not line.startswith("-----")]


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value
    for in_ascii in (True, False):
        once = json.dumps(value, ensure_ascii=in_ascii)[1:-1]
        yield once
        yield json.dumps(once)[1:-1]  # JSON in a text of JSON
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield _HEX_ESCAPE.sub(lambda escape: escape[0].lower(), quoted)
    yield html.escape(value)
    yield html.escape(value, quote=False)
    yield html.escape(value, quote=False).replace('"', "&#34;").replace("'", "&#39;")
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        yield from _inside_base64(raw, shift)


def _inside_base64(raw: bytes, shift: int) -> Iterator[str]:
    """Give the part of the base64 text that this value alone decides, when `shift` bytes stand before it."""
    first = (0, 2, 3)[shift]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(b"\0" * shift + raw).decode()
        whole = (shift + len(raw)) * 8 // 6
        yield text[first:whole]
