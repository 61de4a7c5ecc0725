"""Whether a target is one thing at all: not nothing, not everything, and of the kind that an action takes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from hikeshi.guardrails.address import Span, plain_ipv4, spans_of
from hikeshi.guardrails.host_name import canonical_host
from hikeshi.guardrails.names import Names
from hikeshi.guardrails.refusal import Code
from hikeshi.guardrails.spelling import fold
from hikeshi.guardrails.url import is_url, url_host

__all__ = ["Doubt", "doubt_about"]

WIDEST_PREFIX = {4: 8, 6: 16}
"""The widest networks that one change may be aimed at, as prefix lengths by version of IP."""

# What programs write where a value is missing.
_NOTHING = frozenset(("", "null", "none", "nil", "undefined", "nan", "n/a", "-", "--", "()", "[]", "{}"))
_ZERO_ID = re.compile(r"0{8,}|[{]?0+(?:-0+)+[}]?")
_EVERYTHING = frozenset(("all", "any", "every", "everyone", "everything", "%", "_all", "@", ".", "/"))
_HASH_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64}
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


class Doubt(NamedTuple):
    """What speaks against a target, whatever is protected."""

    code: Code
    why: str


def doubt_about(names: Names, expected: frozenset[str]) -> Doubt | None:
    """Return why a target is refused before its names are compared with anything, or None.

    `expected` are the kinds that the action takes: of entities (`host`), `indicator`, `text`; empty for any.
    """
    family = names.kind.partition(":")[0]
    if expected and family not in expected:
        wanted = " or ".join(sorted(expected))
        return Doubt(Code.WRONG_KIND, f"it is of the kind {family!r}, and this action takes {wanted}")
    if family == "indicator":
        return _about_indicator(names)
    if family == "text":
        return _about_text(names.value)
    return _about_entity(names)


def _about_entity(names: Names) -> Doubt | None:
    for text in names.ids:
        folded = fold(text)
        if folded in _NOTHING or _ZERO_ID.fullmatch(folded):
            return Doubt(Code.EMPTY, f"its ID is {text!r}, which names nothing")
        if _is_open(folded):
            return Doubt(Code.WILDCARD, f"its ID is {text!r}, which stands for more than one thing")
    named = (*names.hosts, *names.accounts, *(names.groups or () if names.kind == "group" else ()))
    if not any(map(fold, named)):
        return Doubt(Code.UNRESOLVABLE, "it has no name that could be compared with what is protected")
    if any("*" in text for text in map(fold, named)):
        return Doubt(Code.WILDCARD, "one of its names has a wildcard, so it stands for more than one thing")
    return None


def _about_text(text: str) -> Doubt | None:
    folded = fold(text)
    if folded in _NOTHING or _ZERO_ID.fullmatch(folded):
        return Doubt(Code.EMPTY, "it names nothing")
    if _is_open(folded) or (not is_url(folded) and "?" in folded):
        return Doubt(Code.WILDCARD, "it stands for more than one thing")
    return _about_spans(spans_of(folded, integers=False))


def _is_open(folded: str) -> bool:
    return folded in _EVERYTHING or "*" in folded


def _about_spans(spans: Collection[Span]) -> Doubt | None:
    for span in sorted(spans):
        every = span.first == span.last and span.first in (0, (1 << 32) - 1)
        if every or span.prefix < WIDEST_PREFIX[span.version]:
            widest = WIDEST_PREFIX[span.version]
            return Doubt(Code.WILDCARD, f"it stands for too many addresses; /{widest} is the widest network there is")
    return None


def _about_indicator(names: Names) -> Doubt | None:
    kind = names.kind.partition(":")[2]
    plain = plain_ipv4(names.value) if kind == "ipv4" else None
    if plain is not None:
        return _about_spans((plain,))
    folded = fold(names.value)
    if folded in _NOTHING:
        return Doubt(Code.EMPTY, "it names nothing")
    if folded in _EVERYTHING or ("*" in folded and not is_url(folded)):
        return Doubt(Code.WILDCARD, "it stands for more than one thing")
    spans = spans_of(folded)
    if doubt := _about_spans(spans):
        return doubt
    if kind == "domain" and "." not in canonical_host(folded):
        return Doubt(Code.WILDCARD, "a domain of one label stands for everything beneath it")
    if kind == "url" and "*" in url_host(folded):
        return Doubt(Code.WILDCARD, "its host is a wildcard, so it stands for more than one thing")
    if not _is_of_kind(kind, folded, spans):
        return Doubt(Code.WRONG_KIND, f"it is called an indicator of the kind {kind!r}, and is none")
    return None


def _is_of_kind(kind: str, folded: str, spans: set[Span]) -> bool:
    single = any(span.first == span.last for span in spans)
    match kind:
        case "ipv4":
            return single and ":" not in folded
        case "ipv6":
            return single and ":" in folded
        case "cidr":
            return bool(spans)
        case "domain":
            return not spans and not is_url(folded) and "@" not in folded and "/" not in folded
        case "url":
            return is_url(folded) and bool(url_host(folded))
        case "email":
            mailbox, _, domain = folded.rpartition("@")
            return bool(mailbox) and "." in domain
        case _:
            return len(folded) == _HASH_LENGTHS.get(kind) and _HEXADECIMAL.fullmatch(folded) is not None
