"""IP addresses, networks and ranges in every spelling that some product takes for them, as spans of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

__all__ = ["Span", "plain_ipv4", "spans_of"]


class Span(NamedTuple):
    """The addresses from `first` to `last`, both included, of one version of IP: 4 or 6."""

    version: int
    first: int
    last: int

    @property
    def prefix(self) -> int:
        """How many leading bits all of its addresses share."""
        return (32 if self.version == 4 else 128) - (self.first ^ self.last).bit_length()


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_USUAL_V4 = re.compile(rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}")
_ADDRESS_SIGNS = re.compile(r"[0-9a-fx.:/\-\[\] ]*(?:%[^/\s]*)?[0-9a-f.:/\-\[\] ]*")
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,16}")
_OCTAL = re.compile(r"0[0-7]+")
_ALL_V4 = (1 << 32) - 1
_V4_MAPPED = 0xFFFF << 32
_NAT64 = 0x64FF9B << 96
# Addresses below 1.0.0.0 are not meant by ::/96: `::1` is the host itself.
_V4_COMPATIBLE_FROM = 1 << 24
_SIX_TO_FOUR = 0x2002 << 112


def spans_of(text: str, *, integers: bool = True) -> set[Span]:
    """Return what a folded text stands for as addresses: none, one, or one for each way in which it can be read.

    Zero-padded numbers are read as decimal and as octal. IPv6 that carries an IPv4 address gives that one as well.
    With `integers=False` a number without a dot is no address.
    """
    plain = plain_ipv4(text)
    return _readings(text, integers=integers) if plain is None else {plain}


@lru_cache(maxsize=16)  # short: each address of a long list is asked about in several places, one after the other
def plain_ipv4(text: str) -> Span | None:
    """Return the address that a text is in the usual spelling of IPv4, which nothing reads otherwise; else None."""
    usual = _USUAL_V4.fullmatch(text)
    if usual is None:
        return None
    first, second, third, fourth = map(int, usual.groups())
    number = first << 24 | second << 16 | third << 8 | fourth
    return Span(4, number, number)


def _readings(text: str, *, integers: bool) -> set[Span]:
    if not _ADDRESS_SIGNS.fullmatch(text) or (not any(map(str.isdigit, text)) and ":" not in text):
        return set()
    if not integers and _NUMBER.fullmatch(text):
        return set()
    found = {*_addresses(text), *_networks(text), *_ranges(text)}
    return found | {inner for span in found if span.version == 6 for inner in _carried(span)}


def _addresses(text: str) -> Iterator[Span]:
    for version, number in _numbers(text):
        yield Span(version, number, number)


def _numbers(text: str) -> Iterator[tuple[int, int]]:
    """The readings of one address, with its port, brackets and zone if it has them."""
    bare = text.strip(" ")
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    bare = bare.partition("%")[0].rstrip(".")
    if ":" in bare:
        yield from ((6, number) for number in _ipv6(bare))
    else:
        yield from ((4, number) for number in _ipv4(bare))


def _ipv4(text: str) -> set[int]:
    """Read an address as the C library does: one to four numbers, of which the last fills what is left."""
    parts = text.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return set()
    readings = {tuple(map(_decimal, parts)), tuple(map(_as_in_c, parts))}
    return {number for reading in readings if (number := _joined(reading)) is not None}


def _decimal(part: str) -> int:
    return int(part, 16) if part.startswith("0x") else int(part)


def _as_in_c(part: str) -> int:
    return int(part, 8) if _OCTAL.fullmatch(part) else _decimal(part)


def _joined(parts: tuple[int, ...]) -> int | None:
    *leading, rest = parts
    if any(part > 255 for part in leading) or rest >= 1 << 8 * (4 - len(leading)):
        return None
    return rest + sum(part << 8 * (3 - place) for place, part in enumerate(leading))


def _ipv6(text: str) -> set[int]:
    head, _, tail = text.rpartition(":")
    spellings = {text}
    if "." in tail:  # an IPv4 address at its end, which may be zero-padded
        spellings = {f"{head}:{IPv4Address(number)}" for number in _ipv4(tail)}
    try:
        return {int(IPv6Address(spelling)) for spelling in spellings}
    except AddressValueError:
        return set()


def _networks(text: str) -> Iterator[Span]:
    base, slash, mask = text.partition("/")
    if not slash:
        base, _, mask = text.strip().partition(" ")
    mask = mask.strip()
    for version, number in _numbers(base):
        bits = _host_bits(mask, version)
        if bits is not None:
            first = number >> bits << bits
            yield Span(version, first, first + (1 << bits) - 1)


def _host_bits(mask: str, version: int) -> int | None:
    """Return how many bits a prefix length, a net mask or a wildcard mask leaves to the host."""
    size = 32 if version == 4 else 128
    if mask.isdecimal() and mask.isascii() and len(mask) <= 3:
        return size - int(mask) if int(mask) <= size else None
    if version == 6 or "." not in mask:
        return None
    for number in _ipv4(mask):
        for rest in (number ^ _ALL_V4, number):
            if rest & (rest + 1) == 0:
                return rest.bit_length()
    return None


def _ranges(text: str) -> Iterator[Span]:
    start, _, end = text.partition("-")
    if end.strip().isdecimal() and "." in start:  # 10.0.0.1-9
        end = f"{start.strip().rpartition('.')[0]}.{end.strip()}"
    for version, first in _numbers(start):
        for other, last in _numbers(end):
            if version == other:
                yield Span(version, min(first, last), max(first, last))


def _carried(span: Span) -> Iterator[Span]:
    """The IPv4 addresses that IPv6 addresses stand for: mapped, compatible, NAT64 and 6to4."""
    for base, lowest in ((_V4_MAPPED, 0), (_NAT64, 0), (0, _V4_COMPATIBLE_FROM)):
        first, last = max(span.first - base, lowest), min(span.last - base, _ALL_V4)
        if first <= last:
            yield Span(4, first, last)
    first = max(span.first - _SIX_TO_FOUR, 0) >> 80
    last = min(span.last - _SIX_TO_FOUR, (1 << 112) - 1) >> 80
    if span.last >= _SIX_TO_FOUR and first <= last:
        yield Span(4, first, last)
