"""What a text stands for as addresses, to the last bit."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from hikeshi.guardrails.address import Span, spans_of
from hikeshi.guardrails.register import Entry, SpanRegister


def net(text: str) -> Span:
    network = ip_network(text)
    return Span(network.version, int(network[0]), int(network[-1]))


def between(first: str, last: str) -> Span:
    return Span(ip_address(first).version, int(ip_address(first)), int(ip_address(last)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.5", [net("10.0.0.5")]),
        ("255.255.255.255", [net("255.255.255.255")]),
        ("0.0.0.0", [net("0.0.0.0")]),
        ("010.0.0.5", [net("10.0.0.5"), net("8.0.0.5")]),
        ("09.0.0.5", [net("9.0.0.5")]),
        ("0x10.0.0.5", [net("16.0.0.5")]),
        ("4294967295", [net("255.255.255.255")]),
        ("037777777777", [net("255.255.255.255")]),
        ("10.16777215", [net("10.255.255.255")]),
        ("10.1.65535", [net("10.1.255.255")]),
        ("[10.0.0.5]", [net("10.0.0.5")]),
        ("10.0.0.5:443", [net("10.0.0.5")]),
        ("[2001:db8::5]:443", [net("2001:db8::5")]),
        (" 10.0.0.5 ", [net("10.0.0.5")]),
        ("10.0.0.5.", [net("10.0.0.5")]),
        ("fe80::1%eth0", [net("fe80::1")]),
        ("10.0.0.5%eth0", [net("10.0.0.5")]),
        ("::1", [net("::1")]),
        ("::", [net("::")]),
        ("::1.0.0.0", [net("::100:0"), net("1.0.0.0")]),
        ("::0.255.255.255", [net("::ff:ffff")]),
        ("::255.255.255.255", [net("::ffff:ffff"), net("255.255.255.255")]),
        ("::1:0:0", [net("::1:0:0")]),
        ("::ffff:0:0", [net("::ffff:0:0"), net("0.0.0.0")]),
        ("::ffff:ffff:ffff", [net("::ffff:ffff:ffff"), net("255.255.255.255")]),
        ("::fffe:ffff:ffff", [net("::fffe:ffff:ffff")]),
        ("::1:0:0:0", [net("::1:0:0:0")]),
        ("64:ff9b::", [net("64:ff9b::"), net("0.0.0.0")]),
        ("64:ff9b::ffff:ffff", [net("64:ff9b::ffff:ffff"), net("255.255.255.255")]),
        ("64:ff9b::1:0:0", [net("64:ff9b::1:0:0")]),
        ("2002::", [net("2002::"), net("0.0.0.0")]),
        ("2002:ffff:ffff:1::", [net("2002:ffff:ffff:1::"), net("255.255.255.255")]),
        ("2001:ffff::", [net("2001:ffff::")]),
        ("2003::", [net("2003::")]),
        ("2002:a00::/24", [net("2002:a00::/24"), net("10.0.0.0/8")]),
        ("2002::/16", [net("2002::/16"), net("0.0.0.0/0")]),
        ("::ffff:0:0/96", [net("::ffff:0:0/96"), net("0.0.0.0/0")]),
        ("::/0", [net("::/0"), net("0.0.0.0/0"), between("1.0.0.0", "255.255.255.255")]),
        ("::ffff:09.0.0.5", [net("::ffff:900:5"), net("9.0.0.5")]),
        ("10.0.0.5/8", [net("10.0.0.0/8")]),
        ("10.0.0.5/0", [net("0.0.0.0/0")]),
        ("10.0.0.5/32", [net("10.0.0.5")]),
        ("10.0.0.5/032", [net("10.0.0.5")]),
        ("10.0.0.5/255.0.0.0", [net("10.0.0.0/8")]),
        ("10.0.0.5/0.255.255.255", [net("10.0.0.0/8")]),
        ("10.0.0.5/255.255.255.255", [net("10.0.0.5")]),
        ("10.0.0.5/0.0.0.0", [net("0.0.0.0/0")]),
        ("10.0.0.5 255.0.0.0", [net("10.0.0.0/8")]),
        ("10.0.0.5 8", [net("10.0.0.0/8")]),
        ("2001:db8::5/128", [net("2001:db8::5")]),
        ("2001:db8::5/0", [net("::/0"), net("0.0.0.0/0"), between("1.0.0.0", "255.255.255.255")]),
        ("10.0.0.1-10.0.0.9", [between("10.0.0.1", "10.0.0.9")]),
        ("10.0.0.9-10.0.0.1", [between("10.0.0.1", "10.0.0.9")]),
        ("10.0.0.1-9", [between("10.0.0.1", "10.0.0.9")]),
        ("10.0.0.1 - 9", [between("10.0.0.1", "10.0.0.9")]),
        ("2001:db8::1-2001:db8::9", [between("2001:db8::1", "2001:db8::9")]),
        ("10.0.0.256", []),
        ("256.0.0.1", []),
        ("10.256.0", []),
        ("10.1.65536", []),
        ("10.16777216", []),
        ("4294967296", []),
        ("10.0.0.0.5", []),
        ("10..0.5", []),
        ("10.0.0", [net("10.0.0.0")]),
        ("10.0.0.x", []),
        ("10.0.0.5/33", []),
        ("2001:db8::/129", []),
        ("10.0.0.5/1000", []),
        ("10.0.0.5/255.0.255.0", []),
        ("10.0.0.5/x", []),
        ("2001:db8::5/255.0.0.0", []),
        ("2001:db8::5/64.0", []),
        ("10.0.0.5/64", []),
        ("10.0.0.1-2001:db8::9", []),
        ("10.0.0.1-", []),
        ("-10.0.0.1", []),
        ("2001:db8::1::2", []),
        ("2001:db8::10.0.0.256", []),
        ("dc01", []),
        ("dead.beef", []),
        ("", []),
        ("-", []),
        ("fade", []),
        (":", []),
    ],
)
def test_a_text_stands_for_exactly_these_addresses(text: str, expected: list[Span]) -> None:
    """Each reading counts once; what is no address is none."""
    assert spans_of(text) == set(expected)


def test_a_number_is_an_address_only_where_numbers_are_read() -> None:
    """As the ID of a product's host it is a number."""
    assert spans_of("167772165") == {net("10.0.0.5")}
    assert spans_of("0xa000005") == {net("10.0.0.5")}
    assert spans_of("167772165", integers=False) == set()
    assert spans_of("0xa000005", integers=False) == set()
    assert spans_of("10.5", integers=False) == {net("10.0.0.5")}


@pytest.mark.parametrize(
    ("span", "prefix"),
    [
        (net("10.0.0.0/8"), 8),
        (net("10.0.0.5"), 32),
        (between("10.0.0.1", "10.0.0.2"), 30),
        (net("0.0.0.0/0"), 0),
        (net("2001:db8::/32"), 32),
        (net("2001:db8::5"), 128),
        (net("::/0"), 0),
    ],
)
def test_the_width_of_a_span_is_that_of_the_network_around_it(span: Span, prefix: int) -> None:
    """A range is as wide as the smallest network that holds it."""
    assert span.prefix == prefix


def test_every_span_that_touches_is_found_and_no_other() -> None:
    """A wide one far to the left is found behind narrow ones; touching at one address is enough."""
    register = SpanRegister()
    for number, (first, last) in enumerate([(10, 20), (0, 100), (30, 30), (15, 16), (200, 210)]):
        register.add(Span(4, first, last), f"{first}-{last}", number, 7)
    register.close()

    def found(first: int, last: int) -> set[int]:
        return {entry.number for entry in register.touching(Span(4, first, last))}

    assert found(30, 30) == {1, 2}
    assert found(16, 30) == {0, 1, 2, 3}
    assert found(20, 20) == {0, 1}
    assert found(21, 21) == {1}
    assert found(100, 199) == {1}
    assert found(101, 199) == set()
    assert found(199, 200) == {4}
    assert found(210, 300) == {4}
    assert found(211, 300) == set()
    assert found(0, 300) == {0, 1, 2, 3, 4}
    assert list(register.touching(Span(4, 205, 205))) == [Entry("200-210", 4, 7)]
    assert list(SpanRegister().touching(Span(4, 0, 9))) == []
