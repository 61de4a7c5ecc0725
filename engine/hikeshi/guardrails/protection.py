"""The index over everything that is protected: which entries mean a target, under any of its names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from hikeshi.guardrails.account import Account, accounts_in
from hikeshi.guardrails.address import Span, plain_ipv4, spans_of
from hikeshi.guardrails.beneath import Beneath
from hikeshi.guardrails.globs import AccountGlobs, HostGlobs
from hikeshi.guardrails.host_name import canonical_host, hosts_in, is_plain
from hikeshi.guardrails.names import Names
from hikeshi.guardrails.register import Entry, NameRegister, SpanRegister
from hikeshi.guardrails.rule import Listed, Sense
from hikeshi.guardrails.spelling import fold
from hikeshi.guardrails.tag import tags_in
from hikeshi.guardrails.url import is_url, url_host, url_key

__all__ = ["Hit", "NotAnEntry", "Protection"]


class NotAnEntry(ValueError):
    """An entry of a list is nothing that can be compared with a target. The message says what it should be.

    `number` is that of its list, `line` its line there, and `where` both for people, as soon as somebody knows.
    """

    def __init__(self, text: str, number: int, line: int, where: str = "") -> None:
        super().__init__(text)
        self.number, self.line, self.where = number, line, where


class Hit(NamedTuple):
    """A name of a target, and the entry that means it."""

    name: str
    entry: Entry

    @property
    def text(self) -> str:
        """What met, for people."""
        return f"{self.name!r} is {self.entry.key!r}"


class Protection:
    """Lists, by their numbers. Built once, then only asked."""

    def __init__(self, lists: Sequence[Listed], domains: Iterable[str] = ()) -> None:
        """Raises NotAnEntry for the first entry that cannot be one.

        `domains` are those in which a host may be that is named without its domain; none of them means any domain.
        """
        self._own_domains = tuple(canonical_host(fold(domain)) for domain in domains)
        self._hosts = NameRegister()
        self._domains = NameRegister()
        self._values = NameRegister()  # URLs and hashes
        self._accounts = NameRegister()
        self._groups = NameRegister()
        self._tags = NameRegister()
        self._spans = {4: SpanRegister(), 6: SpanRegister()}
        self._host_globs = HostGlobs()
        self._account_globs = AccountGlobs()
        self._group_globs = AccountGlobs()
        self._tag_globs = HostGlobs()
        self._beneath = Beneath()
        self._senses = [listed.sense for listed in lists]
        for number, listed in enumerate(lists):
            self._add(number, listed)
        for names in (self._hosts, self._domains, self._values, self._accounts, self._groups, self._tags):
            names.close()
        for spans in self._spans.values():
            spans.close()

    # Building

    def _add(self, number: int, listed: Listed) -> None:
        for line, text in listed.lines():
            if listed.sense is Sense.HOSTS and is_plain(text):
                self._hosts.add(text, number, line)
                self._beneath.add(text, number, line)
            else:
                self._add_entry(listed.sense, text, number, line)

    def _add_entry(self, sense: Sense, text: str, number: int, line: int) -> None:
        folded = fold(text)
        if not folded:
            raise NotAnEntry(f"{text!r} names nothing", number, line)
        spans = spans_of(folded, integers=False) if sense in _WITH_ADDRESSES else set()
        for span in spans:
            self._spans[span.version].add(span, text, number, line)
        if spans:
            return
        if sense is Sense.NETWORKS:
            raise NotAnEntry(f"{text!r} is no network; write it as 192.0.2.0/24", number, line)
        if not folded.strip("*?.@/"):
            raise NotAnEntry(f"{text!r} means everything; to stop all changes there is the kill switch", number, line)
        if "*" in folded or ("?" in folded and not is_url(folded)):
            self._add_pattern(sense, folded, number, line)
        else:
            self._add_name(sense, folded, number, line)

    def _add_pattern(self, sense: Sense, folded: str, number: int, line: int) -> None:
        if is_url(folded):
            self._host_globs.add(url_key(folded), number, line)
            self._beneath.add(f"*.{url_host(folded)}", number, line)
        elif sense is Sense.GROUPS:
            self._group_globs.add(folded, number, line)
        elif sense is Sense.TAGS:
            self._tag_globs.add(tags_in(folded)[0], number, line)
        elif sense is Sense.USERS or "@" in folded:
            self._account_globs.add(folded, number, line)
        else:
            self._host_globs.add(folded, number, line)
            self._beneath.add(f"*.{canonical_host(folded)}", number, line)

    def _add_name(self, sense: Sense, folded: str, number: int, line: int) -> None:
        register, keys = self._keys_of(sense, folded)
        if not keys:
            raise NotAnEntry(f"{folded!r} names nothing", number, line)
        for key in keys:
            register.add(key, number, line)
            if register in (self._hosts, self._domains):
                self._beneath.add(key, number, line)
        if register is self._values and is_url(folded):  # the URL's host as well
            self._beneath.add(f"*.{url_host(folded)}", number, line)

    def _keys_of(self, sense: Sense, folded: str) -> tuple[NameRegister, list[str]]:
        """Where a name is kept, and under which spellings."""
        if sense is Sense.HOSTS:
            return self._hosts, sorted(set(filter(None, map(canonical_host, hosts_in(folded)))))
        if sense is Sense.TAGS:
            return self._tags, [tags_in(folded)[0]]
        if sense is Sense.INDICATORS and is_url(folded):
            return self._values, [url_key(folded)]
        if sense is Sense.INDICATORS and "@" not in folded:
            host = canonical_host(folded)
            return (self._domains, [host]) if "." in host else (self._values, [folded])
        accounts = [account.key for account in accounts_in(folded) if account.name]
        return (self._groups if sense is Sense.GROUPS else self._accounts), accounts

    # Asking

    def hits(self, names: Names) -> Iterator[Hit]:
        """Yield every entry that means a target under any of its names, with that name. It may yield one twice.

        Entries of indicators are about what is blocked: an entity that is called so is no indicator.
        """
        if not self._senses:
            return
        for hit in self._own_hits(names):
            if names.is_blockable or self._senses[hit.entry.number] is not Sense.INDICATORS:
                yield hit
        for text in names.further:
            yield from self._named_anyhow(text)

    def _own_hits(self, names: Names) -> Iterator[Hit]:
        for text in names.ids:
            yield from self._hosts_named(text, integers=False)
            yield from self._accounts_named(text)
        for text in names.hosts:
            yield from self._hosts_named(text, integers=True)
        for text in names.accounts:
            yield from self._accounts_named(text)
            yield from self._machine_accounts(text)
        for text in names.groups or ():
            yield from self._known_as(text, self._groups, self._group_globs)
        for text in names.tags or ():
            yield from self._tagged(text)
        if names.value:
            yield from self._seen_as(names.value, names.kind)

    def _named_anyhow(self, text: str) -> Iterator[Hit]:
        yield from self._accounts_named(text)
        yield from self._known_as(text, self._groups, self._group_globs)
        yield from self._seen_as(text, "text", integers=False)

    def _hosts_named(self, text: str, *, integers: bool) -> Iterator[Hit]:
        for host, spans in _places_in(text, integers):
            yield from self._in_spans(text, spans)
            if host:
                yield from (Hit(text, entry) for entry in self._meant_by(host))

    def _meant_by(self, host: str) -> Iterator[Entry]:
        """The entries for a host of this name: the same name, or one of both without its domain."""
        yield from self._hosts.named(host)
        yield from self._domains.named(host)
        yield from self._host_globs.of_text(host)
        short, _, domain = host.partition(".")
        if not domain:
            yield from self._meant_by_short(host)
        elif not self._own_domains or domain in self._own_domains:
            yield from self._hosts.named(short)

    def _meant_by_short(self, host: str) -> Iterator[Entry]:
        if not self._own_domains:
            yield from self._hosts.beginning(f"{host}.")
            yield from filter(self._is_of_host, self._host_globs.of_short(host))
        for domain in self._own_domains:
            yield from self._hosts.named(f"{host}.{domain}")
            yield from filter(self._is_of_host, self._host_globs.of_text(f"{host}.{domain}"))

    def _is_of_host(self, entry: Entry) -> bool:
        return self._senses[entry.number] is Sense.HOSTS

    def _in_spans(self, text: str, spans: Iterable[Span]) -> Iterator[Hit]:
        for span in spans:
            yield from (Hit(text, entry) for entry in self._spans[span.version].touching(span))

    def _accounts_named(self, text: str) -> Iterator[Hit]:
        yield from self._known_as(text, self._accounts, self._account_globs)

    def _known_as(self, text: str, register: NameRegister, globs: AccountGlobs) -> Iterator[Hit]:
        for account in accounts_in(fold(text)):
            for entry in register.beginning(f"{account.name}@"):
                name, _, domain = entry.key.rpartition("@")
                if account.may_be(Account(name, domain)):
                    yield Hit(text, entry)
            yield from (Hit(text, entry) for entry in globs.of_account(account))

    def _machine_accounts(self, text: str) -> Iterator[Hit]:
        """`DC01$` is the account of the host dc01: without it the host is cut off from its domain."""
        for account in accounts_in(fold(text)):
            if account.name.endswith("$"):
                yield from self._hosts_named(account.name, integers=False)

    def _tagged(self, text: str) -> Iterator[Hit]:
        for tag in tags_in(fold(text)):
            yield from (Hit(text, entry) for entry in self._tags.named(tag))
            yield from (Hit(text, entry) for entry in self._tag_globs.of_text(tag))

    def _seen_as(self, text: str, kind: str, *, integers: bool = True) -> Iterator[Hit]:
        """What blocking an indicator would cut off."""
        plain = plain_ipv4(text)
        if plain is not None:
            yield from self._seen_as_address(text, plain)
            return
        folded = fold(text)
        leads = is_url(folded)
        key = url_key(folded) if leads else folded
        yield from (Hit(text, entry) for entry in self._values.named(key))
        if leads:
            yield from (Hit(text, entry) for entry in self._host_globs.of_text(key))
        elif "@" in folded:
            yield from self._accounts_named(text)
        if kind != "indicator:email":
            yield from self._hosts_named(text, integers=integers)
            yield from (Hit(text, entry) for entry in self._beneath.of(canonical_host(folded)))

    def _seen_as_address(self, text: str, span: Span) -> Iterator[Hit]:
        """What `_seen_as` finds for an address as it is usually written: entries that are addresses have no names."""
        for entry in self._spans[span.version].touching(span):
            yield Hit(text, entry)
        for entry in self._host_globs.of_text(text):
            yield Hit(text, entry)
        for entry in self._beneath.of(text):
            yield Hit(text, entry)


# It depends on the text alone, never on a list: so it may be kept from one rulebook to the next, and from one change
# to another. It is short, since it is for the few lists that one target is compared with.
@lru_cache(maxsize=16)
def _places_in(text: str, integers: bool) -> tuple[tuple[str, tuple[Span, ...]], ...]:
    """Return every host that a text may speak of, in its canonical spelling, with what it is as addresses."""
    folded = fold(text)
    plain = plain_ipv4(folded)
    if plain is not None:
        return ((folded, (plain,)),)
    candidates = set(hosts_in(folded))
    return tuple((canonical_host(each), tuple(spans_of(each, integers=integers))) for each in candidates)


_WITH_ADDRESSES = (Sense.HOSTS, Sense.INDICATORS, Sense.NETWORKS)
