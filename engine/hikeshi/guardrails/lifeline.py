"""What the engine itself needs to stay alive: a playbook that cuts it off can't be stopped or undone by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hikeshi.guardrails.rule import NOBODY, Listed, Protected, Sense
from hikeshi.guardrails.spelling import fold
from hikeshi.guardrails.url import is_url, url_host

__all__ = ["lifeline"]

_LOOPBACK = ("127.0.0.0/8", "::1", "localhost", "localhost.localdomain")


def lifeline(
    *,
    hosts: Iterable[str] = (),
    addresses: Iterable[str] = (),
    accounts: Iterable[str] = (),
    databases: Iterable[str] = (),
    base_urls: Mapping[str, Iterable[str]] | None = None,
) -> tuple[Protected, ...]:
    """Return the rules that protect the engine: pure, from facts to rules.

    `hosts`, `addresses` and `accounts` are the engine's own; `databases` are URLs or host names of its databases (of a
    URL only the host is used, so a password in it goes nowhere); `base_urls` are those of each connector, by its name.
    """
    rules = [_rule("engine: own hosts", "the engine runs on it", Sense.HOSTS, (*_LOOPBACK, *hosts, *addresses))]
    rules.append(_rule("engine: own accounts", "the engine signs in with it", Sense.USERS, accounts))
    rules.append(_rule("engine: database", "the engine's database is there", Sense.HOSTS, map(_host, databases)))
    for name, urls in (base_urls or {}).items():
        why = f"the engine reaches the connector {name!r} there"
        rules.append(_rule(f"engine: connector {name}", why, Sense.HOSTS, map(_host, urls)))
    return tuple(rule for rule in rules if any(each.body for each in rule.lists))


def _rule(origin: str, why: str, sense: Sense, entries: Iterable[str]) -> Protected:
    texts = (" ".join(text.split()) for text in entries)
    return Protected(origin, (Listed.of(sense, filter(fold, texts)),), why, NOBODY)


def _host(text: str) -> str:
    folded = fold(text)
    return url_host(folded) if is_url(folded) else text
