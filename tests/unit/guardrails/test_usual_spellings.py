"""The short way for the usual spelling of an address gives what the long way gives."""

from __future__ import annotations

from itertools import product

from hikeshi.guardrails import Guardrails, Names
from hikeshi.guardrails.address import Span, plain_ipv4, spans_of
from hikeshi.guardrails.host_name import canonical_host, hosts_in
from hikeshi.guardrails.rule import Listed, Protected, Sense

_OCTETS = ("0", "7", "9", "10", "99", "100", "199", "249", "250", "255")


def test_a_usual_address_is_what_its_other_spelling_is() -> None:
    """With a port, which takes the long way, it is the same address."""
    for octets in product(_OCTETS, repeat=4):
        text = ".".join(octets)
        assert spans_of(text) == spans_of(text, integers=False) == spans_of(f"{text}:1") == {plain_ipv4(text)}


def test_a_usual_address_speaks_of_no_other_host() -> None:
    """What the long way finds in it is the text itself, and nothing."""
    for octets in product(_OCTETS, repeat=4):
        text = ".".join(octets)
        assert {canonical_host(each) for each in hosts_in(text)} == {text, ""}


def test_an_ambiguous_spelling_takes_the_long_way() -> None:
    """Zero-padded, short, hexadecimal and too large numbers are not the usual spelling."""
    for text in (
        "010.0.0.5",
        "10.0.0.05",
        "00.0.0.0",
        "10.5",
        "0xa.0.0.5",
        "256.0.0.1",
        "1.2.3.4.5",
        "1.2.3.4\n",
        "١.2.3.4",
    ):
        assert plain_ipv4(text) is None
    assert spans_of("010.0.0.5") == {Span(4, 0x08000005, 0x08000005), Span(4, 0x0A000005, 0x0A000005)}


def test_a_verdict_is_that_of_the_guardrails_that_are_asked() -> None:
    """The same target is judged by each set of rules alone, however often and in whatever order they are asked."""
    strict = Guardrails([Protected("here", (Listed.of(Sense.NETWORKS, ["198.51.100.0/24"]),))])
    names = Names.of_indicator("ipv4", "198.51.100.7")
    for rules, refused in ((strict, True), (Guardrails(), False), (strict, True), (Guardrails(), False)):
        verdicts = rules.verdicts("firewall.block_indicators", [names] * 3, expected=["indicator"])
        assert len(verdicts) == (3 if refused else 0)


def test_an_indicator_has_the_names_that_its_plain_data_has() -> None:
    """What the call is about besides belongs to the names either way."""
    others = {"group": "dc01.corp.example", "reason": "not compared"}
    short = Names.of_indicator("domain", "evil.example", Names.further_in(others))
    assert short == Names.of({"kind": "domain", "value": "evil.example"}, arguments=others)
    assert short.further == ("dc01.corp.example",)
