"""Distinguished names of directories: `CN=dc01,OU=Domain Controllers,DC=corp,DC=example`."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DistinguishedName", "parse_distinguished_name"]

_PART = re.compile(r"\s*([a-z][a-z0-9-]*|[0-9.]+)\s*=\s*((?:\\.|[^\\,;+])*)(?:[,;+]|$)")
_NAMING = ("cn", "uid", "ou", "samaccountname")
_ESCAPE = re.compile(r"\\([0-9a-f]{2}|.)")


class DistinguishedName(NamedTuple):
    """What a distinguished name names, and the domain it lies in, which may be empty."""

    name: str
    domain: str


def parse_distinguished_name(text: str) -> DistinguishedName | None:
    """Return the parts of a folded text that is a distinguished name, or None if it is none."""
    if "=" not in text:
        return None
    parts: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            return None
        parts.append((match[1], _ESCAPE.sub(_unescaped, match[2]).strip()))
        place = match.end()
    if parts[0][0] not in _NAMING:
        return None
    return DistinguishedName(parts[0][1], ".".join(value for key, value in parts if key == "dc"))


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if len(match[1]) == 2 else match[1]
