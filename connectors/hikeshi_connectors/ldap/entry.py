"""What a directory gives and takes: entries, modifications, and the filters that ask for them.

The hard rule of this file: a value enters a filter by `escaped` only, where nothing of it keeps a meaning.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hikeshi.connector import Invalid

__all__ = ["Entry", "Modification", "escaped", "ldif"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `attributes` maps names in lower case to values as the directory gave them."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, name: str) -> list[bytes]:
        return list(self.attributes.get(name.lower(), ()))

    def texts(self, name: str) -> list[str]:
        """Return the values of an attribute as text. Raises Invalid if one is none."""
        try:
            return [value.decode() for value in self.values(name)]
        except UnicodeDecodeError:
            raise Invalid(f"{self.dn}: {name} is no text") from None

    def text(self, name: str) -> str | None:
        """Return the only value of an attribute, or None if there is none. Raises Invalid for several."""
        found = self.texts(name)
        if len(found) > 1:
            raise Invalid(f"{self.dn}: {name} has {len(found)} values where one is due")
        return found[0] if found else None

    def number(self, name: str) -> int | None:
        """Return the only value of an attribute as a number, or None if there is none. Raises Invalid."""
        found = self.text(name)
        try:
            return None if found is None else int(found)
        except ValueError:
            raise Invalid(f"{self.dn}: {name} is no number") from None


@dataclass(frozen=True, slots=True)
class Modification:
    """One part of a modification: values of an attribute that are added, deleted, or take the place of all.

    The parts happen together."""

    operation: Literal["add", "delete", "replace"]
    attribute: str
    values: tuple[str, ...]


def escaped(value: str | bytes) -> str:
    """Return a value as it stands in a filter: every byte that is no ASCII letter or digit is written as its number.

    Source: RFC 4515, 3.
    """
    content = value.encode() if isinstance(value, str) else value
    return "".join(chr(byte) if byte < 128 and chr(byte).isalnum() else f"\\{byte:02x}" for byte in content)


def ldif(dn: str, parts: Sequence[Modification]) -> str:
    """Return a modification as LDIF has it, but for values in printable Unicode, which stay readable.

    Source: RFC 2849.
    """
    lines = [_line("dn", dn), "changetype: modify"]
    for part in parts:
        lines += [f"{part.operation}: {part.attribute}", *(_line(part.attribute, value) for value in part.values), "-"]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str) -> str:
    if value.isprintable() and value == value.strip() and not value.startswith((":", "<")):
        return f"{name}: {value}"
    return f"{name}:: {b64encode(value.encode()).decode()}"
