"""Indicators in text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.playbook.indicator_text import defang, domain_of, find_indicators, is_private, parse_indicator, refang


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("hxxps://Bad[.]Example/A?b=C#d", "url", "https://bad.example/A?b=C#d"),
        ("hXXp[:]//bad(.)example", "url", "http://bad.example"),
        ("http[://]bad{.}example:8080/", "url", "http://bad.example:8080/"),
        ("http://[2001:DB8::0001]/x", "url", "http://[2001:db8::1]/x"),
        ("http://münchen.example/ü", "url", "http://xn--mnchen-3ya.example/ü"),
        ("bad[dot]example", "domain", "bad.example"),
        ("  BAD.EXAMPLE.  ", "domain", "bad.example"),
        ("a_b.bad.example", "domain", "a_b.bad.example"),
        ("Eve[at]bad[.]example", "email", "eve@bad.example"),
        ("192[.]0[.]2[.]7", "ipv4", "192.0.2.7"),
        ("2001:0db8::0001", "ipv6", "2001:db8::1"),
        ("192.0.2.0/24", "cidr", "192.0.2.0/24"),
        ("192.0.2.7/32", "ipv4", "192.0.2.7"),
        ("D41D8CD98F00B204E9800998ECF8427E", "md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a" * 40, "sha1", "a" * 40),
        ("F" * 64, "sha256", "f" * 64),
    ],
)
def test_an_indicator_is_recognised_and_normalised(text: str, kind: str, value: str) -> None:
    """Defanged or not, each kind has one written form, which is an indicator again."""
    assert parse_indicator(text) == {"kind": kind, "value": value}
    assert parse_indicator(value) == {"kind": kind, "value": value}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "*",
        "*.com",
        "*.bad.example",
        "com",
        ".com",
        "co.uk",
        "localhost",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/7",
        "2000::/15",
        "010.0.0.1",
        "1.2.3",
        "1.2.3.4/24",
        "300.1.1.1",
        "fe80::1%eth0",
        "a..example",
        "-a.example",
        "a b.example",
        "bad.123",
        "http://",
        "http://*.example/",
        "http://com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://bad.example:99999/",
        "eve@",
        "@bad.example",
        "eve@*.example",
        "*@bad.example",
        "a" * 33,
        "x" * 5000,
        "{{ 7*7 }}",
        "['*']",
    ],
)
def test_what_is_no_indicator_or_names_too_much_is_refused(text: str) -> None:
    """SAFETY 10: empty texts, wildcards and over-broad networks never become a target."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_indicator(text)


def test_indicators_are_found_in_free_text() -> None:
    """Each once, in order, without the punctuation of the sentence, and no file names."""
    text = (
        "Seen hxxps://bad[.]example:8443/a(b), then update.exe from 192.0.2.7:443; mail eve[at]evil.example. "
        "BAD2.example and bad2[.]example, 2001:db8::1, 10.0.0.0/8, d41d8cd98f00b204e9800998ecf8427e at 12:30, v1.2.3 (http://x.example/)."
    )
    assert [entry["value"] for entry in find_indicators(text)] == [
        "https://bad.example:8443/a(b)",
        "192.0.2.7",
        "eve@evil.example",
        "bad2.example",
        "2001:db8::1",
        "10.0.0.0/8",
        "d41d8cd98f00b204e9800998ecf8427e",
        "http://x.example/",
    ]


@pytest.mark.parametrize(
    "text", ["http://a.bad.example/x.y", "192.0.2.7", "eve@bad.example", "https://bad.example?q=1.2"]
)
def test_defanged_text_comes_back(text: str) -> None:
    """Defanging can be repeated, and refanging takes it back."""
    assert defang(text) != text
    assert defang(defang(text)) == defang(text)
    assert refang(defang(text)) == text


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abx0159.:/@[]()-_%* hftps", max_size=40) | st.text(max_size=30))
def test_any_text_is_an_indicator_or_refused(text: str) -> None:
    """Nothing but ValueError comes out, and what is taken is a fixed point."""
    try:
        found = parse_indicator(text)
    except ValueError:
        found = None
    if found is not None:
        assert parse_indicator(found["value"]) == found
    for entry in find_indicators(text):
        assert parse_indicator(entry["value"]) == entry


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("10.1.2.3", True),
        ("100.64.0.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("8.8.8.8", False),
        ("2001:4860::1", False),
    ],
)
def test_private_addresses_are_told_apart(address: str, private: bool) -> None:
    """An IPv4 address in IPv6 form is judged as the IPv4 address."""
    assert is_private(address) is private


def test_the_domain_of_a_url_an_address_or_a_domain() -> None:
    """An indicator that has no domain is an error."""
    assert [domain_of(text) for text in ("hxxp://a.bad[.]example:1/x", "eve@bad.example", "Bad.Example")] == [
        "a.bad.example",
        "bad.example",
        "bad.example",
    ]
    with pytest.raises(ValueError, match="has no domain"):
        domain_of("192.0.2.7")


def test_an_ipv4_address_in_ipv6_dress_is_the_ipv4_address():
    """No packet carries it otherwise, and no firewall would ever meet it."""
    assert parse_indicator("::ffff:203.0.113.9") == {"kind": "ipv4", "value": "203.0.113.9"}
    assert parse_indicator("::FFFF:cb00:7109/128") == {"kind": "ipv4", "value": "203.0.113.9"}
    assert parse_indicator("2001:db8::7")["kind"] == "ipv6"
