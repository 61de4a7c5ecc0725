"""Patterns of names, found by what they begin or end with, so that many of them cost little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from hikeshi.guardrails.account import Account, accounts_in
from hikeshi.guardrails.host_name import canonical_host, first_label
from hikeshi.guardrails.register import Entry
from hikeshi.guardrails.spelling import matches

__all__ = ["AccountGlobs", "HostGlobs"]


class HostGlobs:
    """Patterns with `*` and `?` of hosts, domains and other texts."""

    def __init__(self) -> None:
        self._by_ending: dict[str, list[Entry]] = defaultdict(list)  # of `*.corp.example`
        self._by_start: dict[str, list[Entry]] = defaultdict(list)

    def add(self, pattern: str, number: int, line: int) -> None:
        """Note a folded pattern."""
        entry = Entry(canonical_host(pattern), number, line)
        ending = entry.key.removeprefix("*.")
        if ending != entry.key and _start(ending) == ending:
            self._by_ending[ending].append(entry)
        else:
            self._by_start[_start(entry.key)].append(entry)

    def of_text(self, text: str) -> Iterator[Entry]:
        """Yield the patterns that mean a text as it stands."""
        rest = text if self._by_ending else ""
        while "." in rest:
            rest = rest.partition(".")[2]
            yield from self._by_ending.get(rest, ())
        for entry in _beginning(self._by_start, text):
            if matches(entry.key, text):
                yield entry

    def of_short(self, host: str) -> Iterator[Entry]:
        """Yield the patterns whose first label means a host that is named without its domain.

        A first label that is only `*` would mean every such name, and counts for none.
        """
        for entry in _beginning(self._by_start, host):
            label = first_label(entry.key)
            if label != entry.key and label.strip("*?") and matches(label, host):
                yield entry


class AccountGlobs:
    """Patterns of accounts or groups: of the name alone, or of name and domain."""

    def __init__(self) -> None:
        self._by_start: dict[str, list[Entry]] = defaultdict(list)

    def add(self, pattern: str, number: int, line: int) -> None:
        """Note a folded pattern."""
        for account in accounts_in(pattern):
            self._by_start[_start(account.name)].append(Entry(account.key, number, line))

    def of_account(self, account: Account) -> Iterator[Entry]:
        """Yield the patterns that mean an account.

        A pattern whose name is only `*` says nothing about names without a domain.
        """
        for entry in _beginning(self._by_start, account.name):
            name, _, domain = entry.key.rpartition("@")
            if matches(name, account.name) and _same_domain(name, domain, account.domain):
                yield entry


def _same_domain(name: str, pattern: str, domain: str) -> bool:
    if not pattern or matches(pattern, domain):
        return True
    # A NetBIOS domain may be any DNS domain, and no domain may be any; but not for a pattern of all names.
    return bool(name.strip("*?")) and (not domain or ("." in domain) != ("." in pattern))


def _beginning(found: dict[str, list[Entry]], text: str) -> Iterator[Entry]:
    if not found:
        return
    for start in accumulate(text, initial=""):
        yield from found.get(start, ())


def _start(pattern: str) -> str:
    return pattern.partition("*")[0].partition("?")[0]
