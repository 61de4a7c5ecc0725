"""Indicators as lines of a list that PAN-OS, FortiGate, Cisco and Check Point read alike: bare text, no scheme.

Sources: "Formatting Guidelines for an External Dynamic List" (PAN-OS administrator's guide: IP, domain and URL lists),
"Threat feeds" (FortiOS administration guide): one entry a line; a space begins a comment, `*` and `^` are wildcards.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["KINDS", "LISTS", "line_of"]

KINDS = ("ipv4", "ipv6", "cidr", "domain", "url")
LISTS: dict[str, tuple[str, ...]] = {**{kind: (kind,) for kind in KINDS}, "ip": ("ipv4", "ipv6", "cidr")}
"""The lists that are served, and the kinds of indicators in each: one for each kind, and one for all addresses."""

_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}", re.ASCII | re.IGNORECASE
)
_PORTS = {"http": 80, "https": 443}
_PLAIN = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_MOST_CHARACTERS = 255


def line_of(indicator: Indicator) -> str:
    """Return the line for an indicator.

    Raises Invalid for what is none of its kind, Unsupported for what firewalls would read as something else: other
    schemes, wildcard characters, over 255 characters.
    """
    if indicator.kind in LISTS["ip"]:
        return _address(indicator)
    if indicator.kind == "domain":
        if not _HOST.fullmatch(indicator.value):
            raise Invalid(f"{indicator.value[:80]!r} is not a domain")
        return indicator.value.lower()
    if indicator.kind == "url":
        return _url(indicator.value)
    raise Unsupported(f"a firewall does not block indicators of the kind {indicator.kind}")


def _address(indicator: Indicator) -> str:
    try:
        network = ipaddress.ip_network(indicator.value)
    except ValueError:
        raise Invalid(f"{indicator.value[:80]!r} is neither an address nor a network") from None
    if "%" in indicator.value or network.prefixlen == 0:
        raise Invalid(f"{indicator.value[:80]!r} is no address or network that can be blocked")
    if indicator.kind == "cidr":
        return str(network)
    if network.prefixlen != network.max_prefixlen or f"ipv{network.version}" != indicator.kind:
        raise Invalid(f"{indicator.value[:80]!r} is not of the kind {indicator.kind}")
    return str(network.network_address)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Invalid(f"{value[:80]!r} is not a URL") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host):
        raise Unsupported(f"{value[:80]!r}: lists hold URLs of http and https with the name of a host")
    shown_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    # What a browser sends, and so what a firewall sees: no user, no fragment, everything else encoded.
    line = host + shown_port + quote((parts.path or "/") + query, safe=_PLAIN)
    if "*" in line or "^" in line:
        raise Unsupported(f"{value[:80]!r} holds a character that firewalls take for a wildcard")
    if len(line) > _MOST_CHARACTERS:
        raise Unsupported(f"{value[:80]!r}... is longer than firewalls take ({_MOST_CHARACTERS} characters)")
    return line
