"""Names of accounts and groups: sign-in names, e-mail addresses, `DOMAIN\\user`, distinguished names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from hikeshi.guardrails.distinguished_name import parse_distinguished_name
from hikeshi.guardrails.host_name import canonical_host

__all__ = ["Account", "accounts_in"]

_PREFIX = re.compile(r"(?:mailto|smtp|sips?|upn|x500):(?://)?")
_IN_BRACKETS = re.compile(r"<([^<>]+)>$")
_GUEST = "#ext#"


class Account(NamedTuple):
    """A name, and the domain that it is said to be in; empty if none is said."""

    name: str
    domain: str

    @property
    def key(self) -> str:
        return f"{self.name}@{self.domain}"

    def may_be(self, other: Account) -> bool:
        """Say whether both can name the same account.

        A domain without a dot is a NetBIOS name, which says nothing about the DNS name, so it may be any.
        """
        if self.name != other.name:
            return False
        if not self.domain or not other.domain or self.domain == other.domain:
            return True
        return ("." in self.domain) != ("." in other.domain)


def accounts_in(text: str) -> Iterator[Account]:
    """Yield every account that a folded text may name: `name@domain`, `DOMAIN\\name`, a guest's sign-in name, a DN."""
    named = parse_distinguished_name(text)
    if named is not None:
        yield Account(named.name, canonical_host(named.domain))
        return
    text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    bracketed = _IN_BRACKETS.search(text)
    text = (bracketed[1] if bracketed else text).rpartition("|")[2].strip()
    domain, slash, name = text.rpartition("\\")
    if slash and "@" not in name:
        yield Account(name.strip(), canonical_host(domain.strip("\\ ").rpartition("\\")[2]))
        return
    yield from _signed_in(name.strip("{} "))


def _signed_in(text: str) -> Iterator[Account]:
    name, _, domain = text.rpartition("@") if "@" in text else (text, "", "")
    yield Account(name, canonical_host(domain))
    if name.endswith(_GUEST):  # alice_partner.example#EXT#@tenant.example is alice@partner.example
        home, _, home_domain = name.removesuffix(_GUEST).rpartition("_")
        yield Account(home, canonical_host(home_domain))
