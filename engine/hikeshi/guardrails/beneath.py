"""Domains beneath which something protected lies: blocking the domain would block that too."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.guardrails.register import Entry

__all__ = ["Beneath"]


class Beneath:
    """The parents of names, with one example for each parent and list: many hosts share few domains."""

    def __init__(self) -> None:
        self._parents: dict[str, list[Entry]] = {}

    def add(self, name: str, number: int, line: int) -> None:
        """Note what lies above a name of two labels or more. A parent has two labels at least."""
        parent = name.partition(".")[2]
        while "." in parent:
            known = self._parents.setdefault(parent, [])
            if any(entry.number == number for entry in known):
                return  # and so are its parents
            known.append(Entry(name, number, line))
            parent = parent.partition(".")[2]

    def of(self, domain: str) -> Iterator[Entry]:
        """Yield what lies beneath a domain: one entry for each list."""
        yield from self._parents.get(domain, ())
