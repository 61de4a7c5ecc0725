"""Hosts, accounts, tags and patterns as they are read out of a text."""

from __future__ import annotations

import pytest

from hikeshi.guardrails.account import Account, accounts_in
from hikeshi.guardrails.address import spans_of
from hikeshi.guardrails.distinguished_name import DistinguishedName, parse_distinguished_name
from hikeshi.guardrails.host_name import canonical_host, hosts_in, is_plain
from hikeshi.guardrails.spelling import fold, matches
from hikeshi.guardrails.tag import tags_in
from hikeshi.guardrails.url import is_url, url_host, url_key


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("dc01", True),
        ("dc01.corp.example", True),
        ("a_b-c.d", True),
        ("face.book.example", True),
        ("abcd.abcd", True),
        ("DC01", False),
        ("dc01.", False),
        (".dc01", False),
        ("dc..01", False),
        ("10.0.0.5", False),
        ("0x0a000005", False),
        ("01dc", False),
        ("xn--bcher-kva.example", False),
        ("www.xn--bcher-kva.example", False),
        ("axn--b", False),
        ("abcd.abcd.abcd", False),
        ("abcdabcdabcd", False),
        ("abcdabcdabcde", True),
        ("dc*", False),
        ("dc01 # x", False),
        ("dc01$", False),
        ("", False),
        ("bücher", False),
        ("a\n", False),
    ],
)
def test_a_plain_name_needs_no_work(text: str, plain: bool) -> None:
    """Long lists are loaded without folding each line, so what is plain has to be folded already."""
    assert is_plain(text) is plain
    if plain:
        assert canonical_host(fold(text)) == text
        assert set(hosts_in(text)) - {""} == {text}
        assert spans_of(text) == set()


@pytest.mark.parametrize(
    "service",
    ["host", "cifs", "ldap", "gc", "dns", "http", "rpc", "termsrv", "wsman", "restrictedkrbhost", "mssqlsvc"],
)
def test_the_host_of_a_service_principal_is_read(service: str) -> None:
    """Known services only: before another slash stands a host."""
    assert "dc01.corp.example" in set(hosts_in(f"{service}/dc01.corp.example:389/corp"))
    assert "dc01.corp.example" not in set(hosts_in(f"{service}x/dc01.corp.example"))


@pytest.mark.parametrize(
    ("text", "name", "domain"),
    [
        ("cn=dc01,ou=servers,dc=corp,dc=example", "dc01", "corp.example"),
        ("cn=dc01; ou = servers ;dc=corp", "dc01", "corp"),
        ("uid=mei+ou=x", "mei", ""),
        ("ou=servers", "servers", ""),
        ("samaccountname=mei,dc=a", "mei", "a"),
        ("cn=a\\,b\\=c,dc=x", "a,b=c", "x"),
        ("cn=\\64c01", "dc01", ""),
        ("cn= dc01 ,dc=x", "dc01", "x"),
        ("cn=,dc=x", "", "x"),
        ("cn=a,2.5.4.3=b,dc=x", "a", "x"),
        ("cn=a,", "a", ""),
    ],
)
def test_a_distinguished_name_has_a_name_and_a_domain(text: str, name: str, domain: str) -> None:
    """The first part names; the domain components are the domain."""
    assert parse_distinguished_name(text) == DistinguishedName(name, domain)


@pytest.mark.parametrize(
    "text", ["dc01", "", "dc=corp,dc=example", "cn=a,b", "=a", "a b=c", "l=x,cn=a", "https://x/?cn=a"]
)
def test_what_is_no_distinguished_name_is_none(text: str) -> None:
    """A place in the directory, or an equals sign, names no host or account."""
    assert parse_distinguished_name(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mei", [Account("mei", "")]),
        ("mei@corp.example", [Account("mei", "corp.example")]),
        ("corp\\mei", [Account("mei", "corp")]),
        ("\\\\corp\\mei", [Account("mei", "corp")]),
        ("azuread\\mei@corp.example", [Account("mei", "corp.example")]),
        ("upn:mei@x", [Account("mei", "x")]),
        ("sip:mei@x", [Account("mei", "x")]),
        ("sips:mei@x", [Account("mei", "x")]),
        ("smtp:mei@x", [Account("mei", "x")]),
        ("mailto:mei@x", [Account("mei", "x")]),
        ("mailto://mei@x", [Account("mei", "x")]),
        ("x500:mei", [Account("mei", "")]),
        ("smtp:smtp:mei", [Account("smtp:mei", "")]),
        ("mei k <mei@x>", [Account("mei", "x")]),
        ("a|b|mei@x", [Account("mei", "x")]),
        ("{mei}", [Account("mei", "")]),
        ("mei@xn--bcher-kva.example", [Account("mei", "bücher.example")]),
        ("a@b@c", [Account("a@b", "c")]),
        ("cn=mei,dc=corp,dc=example", [Account("mei", "corp.example")]),
        ("a_b_c.d#ext#@t.e", [Account("a_b_c.d#ext#", "t.e"), Account("a_b", "c.d")]),
    ],
)
def test_an_account_is_read_out_of_every_form(text: str, expected: list[Account]) -> None:
    """With its domain, if one is said."""
    assert list(accounts_in(text)) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("corp.example", "corp.example", True),
        ("corp.example", "", True),
        ("corp.example", "corp", True),
        ("corp.example", "other", True),
        ("corp", "", True),
        ("corp", "corp", True),
        ("", "", True),
        ("corp.example", "other.example", False),
        ("corp", "other", False),
    ],
)
def test_accounts_of_one_name_may_be_the_same_unless_their_domains_differ(one: str, other: str, same: bool) -> None:
    """Only two names of one sort can be told apart."""
    assert Account("mei", one).may_be(Account("mei", other)) is same
    assert Account("mei", other).may_be(Account("mei", one)) is same
    assert not Account("mei", one).may_be(Account("ken", other))


@pytest.mark.parametrize(
    ("pattern", "text", "same"),
    [
        ("", "", True),
        ("", "a", False),
        ("a", "", False),
        ("*", "", True),
        ("*", "abc", True),
        ("**", "a", True),
        ("?", "a", True),
        ("?", "", False),
        ("?", "ab", False),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("a*c", "abbbc", True),
        ("a*c", "acb", False),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxbyy", False),
        ("*ab", "aab", True),
        ("*ab", "b", False),
        ("*a?c*", "xxabcx", True),
        ("a?", "a*", True),
        ("*.corp", "a.b.corp", True),
        ("a*", "*a", False),
        ("ab", "a", False),
        ("a?*", "a", False),
        ("[a]", "a", False),
        ("a" + "*a" * 30, "a" * 200 + "b", False),
    ],
)
def test_a_pattern_means_what_its_stars_say(pattern: str, text: str, same: bool) -> None:
    """Any characters, one character, and no others; many stars cost no more time."""
    assert matches(pattern, text) is same


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("do_not isolate", ("do-not-isolate",)),
        ("falcon/no-touch", ("falcon/no-touch", "no-touch")),
        ("a/b/c", ("a/b/c", "c")),
        ("a/", ("a/",)),
        ("/a", ("/a", "a")),
    ],
)
def test_a_tag_is_called_with_and_without_its_family(tag: str, expected: tuple[str, ...]) -> None:
    """Separators don't count."""
    assert tags_in(tag) == expected


@pytest.mark.parametrize(
    ("url", "host", "key"),
    [
        ("https://a.example", "a.example", "//a.example"),
        ("http://a.example:80/x/", "a.example", "//a.example/x"),
        ("https://a.example:443/x?y=/z#w", "a.example", "//a.example/x?y=/z"),
        ("https://a.example:8443/x", "a.example", "//a.example:8443/x"),
        ("https://u:p@a.example/x", "a.example", "//a.example/x"),
        ("https://a.example\\x", "a.example", "//a.example\\x"),
        ("https:\\\\a.example/x", "a.example", "//a.example/x"),
        ("https://a%2eexample/%78", "a.example", "//a.example/x"),
        ("https://[2001:db8::5]:8443/x", "[2001:db8::5]", "//[2001:db8::5]:8443/x"),
        ("https://xn--bcher-kva.example?x", "bücher.example", "//bücher.example?x"),
    ],
)
def test_a_url_is_what_it_leads_to(url: str, host: str, key: str) -> None:
    """Its host, and its key without what makes no difference."""
    assert is_url(url)
    assert url_host(url) == host
    assert url_key(url) == key


@pytest.mark.parametrize(
    "text", ["a.example", "//a.example", "a.example:80", "https:a.example", "x https://a.example", ""]
)
def test_without_a_scheme_a_text_is_no_url(text: str) -> None:
    """It is a name with something behind it."""
    assert not is_url(text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("", ""),
        ("Ab C", "ab c"),
        ("a  b\tc\n", "a b c"),
        (" 'a' ", "a"),
        ("`a`", "a"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("K", "k"),
        ("a\u3002b", "a.b"),
        ("a\u2010b\u2012c\u2013d\u2014e\u2015f\u2212g\u2011h", "a-b-c-d-e-f-g-h"),
        ("a\u115fb\u1160c\u17b4d\u17b5e\u034ff", "abcdef"),
        ("a\ufe00b\ufe0fc\U000e0100d\U000e01efe", "abcde"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        ("\u202ea", "a"),
        ("a[.]b(.)c{.}d", "a.b.c.d"),
        ("a[dot]b(DOT)c", "a.b.c"),
        ("a[[.]]b", "a.b"),
        ("a[@]b[at]c((at))d", "a@b@c@d"),
        ("hxxp://a", "http://a"),
        ("HXXPS://a", "https://a"),
        ("htxp://a", "http://a"),
        ("httx://a", "httx://a"),
        ("fxp://a", "ftp://a"),
        ("http[:]//a", "http://a"),
        ("http[://]a", "http://a"),
        ("expo", "expo"),
        ("hxxp", "hxxp"),
    ],
)
def test_a_text_is_folded_to_one_spelling(text: str, folded: str) -> None:
    """Folding again changes nothing."""
    assert fold(text) == folded
    assert fold(folded) == folded
