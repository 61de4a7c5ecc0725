"""The last net: values that must not be written are masked wherever they turn up, in every usual encoding.

The first rule is structure: secrets are never arguments, outputs or events. This catches what slips through, such as
a product that repeats a token in an error text.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "Redactor"]

MASK = "[secret]"
_SHORTEST = 4  # masking shorter values would tear holes into ordinary text and protect nothing


class Redactor:
    """Knows the secret values of this process and masks them in texts."""

    def __init__(self) -> None:
        self._needles: list[str] = []
        self._known: set[str] = set()

    def add(self, value: str) -> None:
        """Mask this value from now on, in plain, JSON, repr, URL, HTML, hexadecimal and base64 form."""
        if len(value) < _SHORTEST or value in self._known:
            return
        self._known.add(value)
        needles = set(self._needles)
        needles.update(form for form in _forms(value) if len(form) >= _SHORTEST)
        self._needles = sorted(needles, key=len, reverse=True)

    def holds(self, text: str) -> bool:
        """Say whether a known secret is in the text, in any form."""
        return any(needle in text for needle in self._needles)

    def text(self, text: str) -> str:
        """Return the text with every known secret masked."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return text

    def data(self, value: Any) -> Any:
        """Return plain data with every known secret masked, in keys and values."""
        if not self._needles:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value


def _forms(value: str) -> Iterator[str]:
    raw = value.encode()
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield quoted.lower() if "%" in quoted else quoted
    yield html.escape(value)
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
