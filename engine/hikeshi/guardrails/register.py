"""Sorted lists of names and of address spans, which answer in microseconds however long they are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from hikeshi.guardrails.address import Span

__all__ = ["Entry", "NameRegister", "SpanRegister"]

_END = "\0"  # sorts before every character that a folded name can have


class Entry(NamedTuple):
    """One entry of a list: what it says, the number of its list, and its line in a file (0 if it stands in a rule)."""

    key: str
    number: int
    line: int


class NameRegister:
    """Names in order. One text for each entry, since a million of them have to fit into memory."""

    def __init__(self) -> None:
        self._items: list[str] = []

    def add(self, key: str, number: int, line: int) -> None:
        """Note a name. Nothing is found before `close`."""
        self._items.append(f"{key}{_END}{number}{_END}{line}")

    def close(self) -> None:
        """Put the names in order."""
        self._items.sort()

    def named(self, key: str) -> Iterator[Entry]:
        """Yield the entries of exactly this name."""
        return self.beginning(f"{key}{_END}")

    def beginning(self, start: str) -> Iterator[Entry]:
        """Yield the entries that begin so, in their order."""
        if not self._items:
            return
        for place in range(bisect_left(self._items, start), len(self._items)):
            item = self._items[place]
            if not item.startswith(start):
                return
            key, number, line = item.split(_END)
            yield Entry(key, int(number), int(line))


class SpanRegister:
    """Spans of addresses in order of their first one; they may overlap and lie inside of each other."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, str, int, int]] = []
        self._reach: list[int] = []

    def add(self, span: Span, key: str, number: int, line: int) -> None:
        """Note a span under the text it was written as. Nothing is found before `close`."""
        self._spans.append((span.first, span.last, key, number, line))

    def close(self) -> None:
        """Put the spans in order."""
        self._spans.sort()
        reach = -1
        for _, last, *_ in self._spans:
            reach = max(reach, last)
            self._reach.append(reach)

    def touching(self, span: Span) -> Iterator[Entry]:
        """Yield the entries that share an address with a span: from the right, until none further left reaches it."""
        place = bisect_left(self._spans, (span.last + 1,)) - 1
        while place >= 0 and self._reach[place] >= span.first:
            _, last, key, number, line = self._spans[place]
            if last >= span.first:
                yield Entry(key, number, line)
            place -= 1
