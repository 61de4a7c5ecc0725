"""The Basic Encoding Rules, as far as LDAP uses them: a tag of one byte, a definite length, a content.

Source: RFC 4511, 5.1; ITU-T X.690.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["element", "elements", "integer", "number_in", "octets", "size_of"]

_INTEGER, _OCTETS = 0x02, 0x04


def size_of(content: bytes) -> int | None:
    """Return how long the first element is, header included, or None if its length is not there yet.

    Raises ValueError for a length that is not definite or absurd.
    """
    if len(content) < 2:
        return None
    first = content[1]
    if first < 0x80:
        return 2 + first
    more = first & 0x7F
    if not 1 <= more <= 4:
        raise ValueError("a length that LDAP does not use")
    if len(content) < 2 + more:
        return None
    return 2 + more + int.from_bytes(content[2 : 2 + more], "big")


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element of a sequence. Raises ValueError for what is cut short."""
    while content:
        size = size_of(content)
        if size is None or size > len(content):
            raise ValueError("an element that is cut short")
        head = 2 + (content[1] & 0x7F if content[1] >= 0x80 else 0)
        yield content[0], content[head:size]
        content = content[size:]


def element(tag: int, *parts: bytes) -> bytes:
    """Return an element that holds these parts one after the other."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def octets(value: str | bytes) -> bytes:
    """Return a string as an element."""
    return element(_OCTETS, value.encode() if isinstance(value, str) else value)


def integer(value: int, tag: int = _INTEGER) -> bytes:
    """Return a number that is not negative as an element."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def number_in(content: bytes) -> int:
    """Return the number that an element holds."""
    return int.from_bytes(content, "big", signed=True)
