"""Domains and URLs as entries of a custom URL category.

An entry has no scheme. `example.com/` matches that host and everything on it, but none of its subdomains; `*` and `^`
are wildcards, so nothing that holds one becomes an entry.
Source: "Guidelines for URL Category Exceptions",
https://docs.paloaltonetworks.com/advanced-url-filtering/administration/configuring-url-filtering/url-category-exceptions/guidelines-for-url-category-exceptions
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["SITE_KINDS", "entry_key", "entry_of"]

SITE_KINDS = frozenset({"domain", "url"})
_MOST_CHARACTERS = 255
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}", re.ASCII | re.IGNORECASE
)
_PORTS = {"http": 80, "https": 443}
_PLAIN = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def entry_of(indicator: Indicator) -> str:
    """Return the entry for a domain or URL.

    Raises Unsupported for what URL filtering cannot express (other schemes and ports, wildcard characters, over 255
    characters), Invalid for what is no domain or URL.
    """
    entry = _domain(indicator.value) if indicator.kind == "domain" else _url(indicator.value)
    if "*" in entry or "^" in entry:
        raise Unsupported(f"{indicator.value[:80]!r} holds a character that PAN-OS takes for a wildcard")
    if len(entry) > _MOST_CHARACTERS:
        raise Unsupported(f"{indicator.value[:80]!r}... is longer than PAN-OS allows ({_MOST_CHARACTERS} characters)")
    return entry


def entry_key(entry: str) -> str:
    """Return what is equal for entries that mean the same: letter case and a missing final slash do not matter."""
    key = entry.strip().casefold()
    return key if "/" in key else f"{key}/"


def _domain(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise Invalid(f"{value[:80]!r} is not a domain")
    return f"{value.lower()}/"


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Invalid(f"{value[:80]!r} is not a URL") from None
    if parts.scheme not in _PORTS:
        raise Unsupported(f"{value[:80]!r}: PAN-OS filters URLs of http and https only")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise Unsupported(f"{value[:80]!r}: not a host that a URL category can hold")
    if port not in (None, _PORTS[parts.scheme]):
        raise Unsupported(f"{value[:80]!r}: a URL category holds no port, so it would not match")
    query = f"?{parts.query}" if parts.query else ""
    # What a browser sends, and so what the firewall sees: no user, no fragment, everything else encoded.
    return f"{(parts.hostname or '').lower()}{quote((parts.path or '/') + query, safe=_PLAIN)}"
