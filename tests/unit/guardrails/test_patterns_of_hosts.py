"""Patterns of hosts: what they mean wherever their signs stand, and that many of them cost little."""

from __future__ import annotations

import time

import pytest

from hikeshi.guardrails import Guardrails, Listed, Names, Protected, Sense

pytestmark = pytest.mark.safety(10)


def is_refused(host: str, *patterns: str) -> bool:
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.HOSTS, patterns),))])
    return rules.verdict("edr.isolate_host", Names.of(host)) is not None


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("*.corp.example", "pc7.corp.example", True),
        ("*.corp.example", "pc7.tokyo.corp.example", True),
        ("*.corp.example", "corp.example.test", False),
        ("*.corp.example", "CN=pc7,OU=Clients,DC=corp,DC=example", True),
        ("*.corp.example", "CN=pc7,OU=Clients,DC=other,DC=example", False),
        ("*.corp.*", "pc7.corp.example", True),
        ("*.corp.*", "pc7.corp.test", True),
        ("*.corp.*", "pc7.other.example", False),
        ("*.corp.exampl?", "pc7.corp.example", True),
        ("*.corp.exampl?", "pc7.corp.examples", False),
        ("*.*.example", "pc7.corp.example", True),
        ("dc*.corp.example", "dc01.corp.example", True),
        ("dc*.corp.example", "dc01.tokyo.corp.example", True),
        ("*01.corp.example", "dc01.corp.example", True),
        ("*01.corp.example", "dc02.corp.example", False),
    ],
)
def test_a_pattern_means_what_its_signs_say(pattern: str, host: str, expected: bool) -> None:
    """Also one that begins with any domain, and has more signs behind it."""
    assert is_refused(host, pattern) is expected


def test_many_patterns_of_domains_cost_little() -> None:
    """A change is not held up by a list of twenty thousand customers: a domain is looked up, not compared with each."""
    patterns = [f"*.customer-{number}.example" for number in range(20_000)]
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.HOSTS, patterns),))])
    rules.verdict("edr.isolate_host", Names.of("first.example"))

    before = time.monotonic()
    refused = [rules.verdict("edr.isolate_host", Names.of(f"pc7.customer-{19_999 - at}.example")) for at in range(100)]
    took_s = time.monotonic() - before

    assert all(refused)
    assert took_s < 1.0
