"""No way of writing a protected name leads around the list, and no length of the list makes it slow."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hikeshi.guardrails import Code, Guardrails, Listed, Names, Protected, Sense

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
labels = st.text(LETTERS, min_size=1, max_size=8).map(lambda text: f"h{text}")
wide_labels = st.text(LETTERS + "äöüéñçжλ東京", min_size=1, max_size=8).map(lambda text: f"h{text}")
domains = st.lists(wide_labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
fqdns = st.tuples(labels, domains).map(".".join)
numbers = st.integers(1 << 24, (1 << 32) - 2)


def protect(sense: Sense, *entries: str) -> Guardrails:
    return Guardrails([Protected("y:1", (Listed.of(sense, entries),))])


def is_refused(rules: Guardrails, text: str) -> bool:
    refusal = rules.verdict("edr.isolate_host", Names.of(text))
    return refusal is not None and refusal.code == Code.PROTECTED


def as_wide(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)


def as_punycode(text: str) -> str:
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in text.split(".")
    )


def with_unseen(text: str) -> str:
    return "\u200b".join(text) + "\u2060"


ANY_TEXT: list[Callable[[str], str]] = [
    str.upper,
    str.title,
    as_wide,
    with_unseen,
    lambda text: f"  {text}\t",
    lambda text: f'"{text}"',
    lambda text: text.replace(".", "[.]"),
    lambda text: text.replace(".", "(dot)"),
    lambda text: text.replace(".", "。"),
]
HOST: list[Callable[[str], str]] = [
    lambda text: f"{text}.",
    as_punycode,
    lambda text: f"https://{text}/",
    lambda text: f"hxxp://{text}:8080/a?b=c#d",
    lambda text: f"https://me:pw@{text}",
    lambda text: f"{text}:443",
    lambda text: f"\\\\{text}\\c$",
    lambda text: f"cifs/{text}",
]
respellings = st.lists(st.sampled_from(ANY_TEXT), max_size=3)


def respelled(text: str, ways: list[Callable[[str], str]]) -> str:
    for way in ways:
        text = way(text)
    return text


@pytest.mark.safety(10)
@given(name=fqdns, host=st.none() | st.sampled_from(HOST), ways=respellings)
def test_a_host_is_refused_however_its_name_is_written(
    name: str, host: Callable[[str], str] | None, ways: list[Callable[[str], str]]
) -> None:
    """Its full name, its name without the domain, and both as part of a URL, a path or a service."""
    rules = protect(Sense.HOSTS, name)

    for text in (name, name.partition(".")[0]):
        assert is_refused(rules, respelled(host(text) if host else text, ways))


@pytest.mark.safety(10)
@given(name=fqdns, ways=respellings, host=st.none() | st.sampled_from(HOST[:2]))
def test_an_entry_may_be_written_in_any_way_too(
    name: str, ways: list[Callable[[str], str]], host: Callable[[str], str] | None
) -> None:
    """Whoever keeps the list need not know how products write names."""
    assert is_refused(protect(Sense.HOSTS, respelled(host(name) if host else name, ways)), name)


@pytest.mark.safety(10)
@given(name=labels, domain=domains, ways=respellings, way=st.integers(0, 5))
def test_an_account_is_refused_however_its_name_is_written(
    name: str, domain: str, ways: list[Callable[[str], str]], way: int
) -> None:
    """Sign-in name, mail address, short name and the forms with a domain before a backslash."""
    parts = ",".join(f"DC={label}" for label in domain.split("."))
    text = (
        f"{name}@{domain}",
        name,
        f"CORP\\{name}",
        f"{domain}\\{name}",
        f"mailto:{name}@{as_punycode(domain)}",
        f"CN={name},OU=People,{parts}",
    )[way]

    assert is_refused(protect(Sense.USERS, f"{name}@{domain}"), respelled(text, ways))


@pytest.mark.safety(10)
@given(number=numbers, way=st.integers(0, 15), ways=respellings)
def test_an_address_is_refused_however_it_is_written(number: int, way: int, ways: list[Callable[[str], str]]) -> None:
    """Decimal, octal, hexadecimal, short, padded, and carried by IPv6."""
    a, b, c, d = number.to_bytes(4, "big")
    address = ipaddress.IPv4Address(number)
    text = (
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"{a:03}.{b:03}.{c:03}.{d:03}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"::ffff:{address}",
        ipaddress.IPv6Address((0xFFFF << 32) + number).exploded,
        f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"http://{number}/",
        f"{address}:8080",
        f"[::ffff:{address}]:443",
    )[way]

    assert is_refused(protect(Sense.HOSTS, str(address)), respelled(text, ways))


@pytest.mark.safety(10)
@given(number=numbers, prefix=st.integers(8, 32))
def test_every_network_around_a_protected_address_is_refused(number: int, prefix: int) -> None:
    """With its net mask, its wildcard mask and as a range, too; the next network beside it is not."""
    network = ipaddress.ip_network((number, prefix), strict=False)
    rules = protect(Sense.HOSTS, str(ipaddress.IPv4Address(number)))
    first, last = network[0], network[-1]
    assume(int(last) + network.num_addresses < 1 << 32)

    for text in (
        f"{network}",
        f"{first}/{network.netmask}",
        f"{first} {network.netmask}",
        f"{first}/{network.hostmask}" if prefix < 32 else f"{first}",  # 0.0.0.0 is a net mask first
        f"{first}-{last}",
        f"::ffff:{first}/{96 + prefix}",
    ):
        assert is_refused(rules, text), text
    assert not is_refused(rules, f"{last + 1}/{prefix}")


@pytest.mark.safety(10)
@given(start=numbers, size=st.integers(0, 300), number=numbers, near=st.integers(-2, 302))
def test_a_network_protects_exactly_its_addresses(start: int, size: int, number: int, near: int) -> None:
    """The first and the last one belong to it, their neighbours do not."""
    last = min(start + size, (1 << 32) - 2)
    rules = protect(Sense.NETWORKS, f"{ipaddress.IPv4Address(start)}-{ipaddress.IPv4Address(last)}")

    for each in (number, min(max(start + near, 1 << 24), (1 << 32) - 2)):
        assert is_refused(rules, str(ipaddress.IPv4Address(each))) is (start <= each <= last)


@given(st.lists(st.tuples(numbers, st.integers(0, 1 << 20)), min_size=1, max_size=20), numbers)
def test_overlapping_networks_are_all_found(spans: list[tuple[int, int]], number: int) -> None:
    """However they overlap and lie inside of each other."""
    top = (1 << 32) - 2
    entries = [f"{ipaddress.IPv4Address(a)}-{ipaddress.IPv4Address(min(a + size, top))}" for a, size in spans]
    rules = protect(Sense.NETWORKS, *entries)

    for each in (number, spans[0][0], min(sum(spans[0]), top)):
        assert is_refused(rules, str(ipaddress.IPv4Address(each))) is any(a <= each <= a + size for a, size in spans)


@given(name=fqdns, other=fqdns)
def test_another_host_is_not_refused(name: str, other: str) -> None:
    """Neither its full name nor its short one meets the protected one."""
    assume(name.partition(".")[0] != other.partition(".")[0])

    rules = protect(Sense.HOSTS, name)

    assert is_refused(rules, other) is (name.endswith(f".{other}"))
    assert not is_refused(rules, other.partition(".")[0])


@settings(max_examples=300)
@given(st.text(st.characters(exclude_characters="\n"), max_size=60), st.sampled_from(list(Sense)))
def test_no_text_breaks_a_verdict(text: str, sense: Sense) -> None:
    """Whatever comes in, there is a verdict; and what can be an entry is refused as a target."""
    rules = protect(Sense.HOSTS, "dc01", "10.0.0.0/8", "*.corp.example")
    rules.verdict("a.b", Names.of(text))
    for kind in ("domain", "url", "ipv4", "email"):
        rules.verdict("a.b", Names.of({"kind": kind, "value": text}))

    try:
        own = protect(sense, text)
    except ValueError:
        return
    assert not text.strip() or own.verdict("a.b", Names.of(text)) is not None


@pytest.mark.safety(10)
def test_a_million_entries_load_in_seconds_and_match_in_microseconds() -> None:
    """The list has no limit that anybody reaches."""
    body = "".join(f"host-{number}.site{number % 50}.corp.example\n" for number in range(1_000_000))
    begun = time.perf_counter()
    rules = Guardrails([Protected("y:1", (Listed(Sense.HOSTS, body, "hosts.txt"),))])
    loaded_s = time.perf_counter() - begun

    asked = ["HOST-999999", "host-123456.site6.corp.example.", "pc7", "https://evil.test/x", "10.0.0.5"] * 100
    begun = time.perf_counter()
    refused = [rules.verdict("edr.isolate_host", Names.of(text)) for text in asked]
    each_s = (time.perf_counter() - begun) / len(asked)

    assert [refusal.rule if refusal else None for refusal in refused[:5]] == [
        "hosts.txt:1000000",
        "hosts.txt:123457",
        None,
        None,
        None,
    ]
    assert loaded_s < 20  # about 2 s on a laptop; the machine may be busy
    assert each_s < 0.002  # about 0.0001 s
