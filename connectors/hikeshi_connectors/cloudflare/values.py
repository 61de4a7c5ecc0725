"""Indicators in the forms in which Cloudflare keeps them.

Sources: https://developers.cloudflare.com/waf/tools/lists/custom-lists/ (prefixes of account lists),
https://developers.cloudflare.com/cloudflare-one/reusable-components/lists/ (Gateway), and Cloudflare's OpenAPI file
(firewall access rules: the values of `configuration.target`).
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit

from hikeshi.connector import Invalid, Unsupported

__all__ = ["access_target", "address_of", "domain_of", "list_address", "shown_address", "url_of"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}", re.IGNORECASE | re.ASCII
)
_SHORTEST = {4: 8, 6: 12}
_RANGES = {4: (16, 24), 6: (32, 48, 64)}


def address_of(value: str) -> Network:
    """Return an address or network. Raises Invalid for anything else, and for the network of all addresses."""
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise Invalid(f"{value[:80]!r} is neither an address nor a network") from None
    if "%" in value or network.prefixlen == 0:
        raise Invalid(f"{value[:80]!r} is no address or network that can be blocked")
    return network


def shown_address(text: str) -> str:
    """Return an address or network as a list has it; other text as it is."""
    # Long lists are of single IPv4 addresses, and such an address can be written in one way only.
    return _shown(text) if "/" in text or ":" in text else text


@lru_cache(maxsize=131_072)  # a list is read whole, again and again
def _shown(text: str) -> str:
    try:
        return _written(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


@lru_cache(maxsize=131_072)  # each is looked at when it is read, changed and read again
def list_address(value: str) -> str:
    """Return an address or network for a list. Raises Unsupported for networks that lists do not take."""
    with suppress(ValueError):
        return str(ipaddress.IPv4Address(value))  # long lists are of such, and a network takes its time to make
    network = address_of(value)
    if network.prefixlen < _SHORTEST[network.version]:
        raise Unsupported(
            f"{network}: Cloudflare's lists take IPv{network.version} networks from /{_SHORTEST[network.version]} on"
        )
    return _written(network)


def access_target(value: str) -> tuple[str, str]:
    """Return the target and value of an access rule. Raises Unsupported for networks that access rules do not take."""
    network = address_of(value)
    if network.prefixlen == network.max_prefixlen:
        return ("ip" if network.version == 4 else "ip6"), str(network.network_address)
    if network.prefixlen not in _RANGES[network.version]:
        known = ", ".join(f"/{length}" for length in _RANGES[network.version])
        raise Unsupported(f"{network}: an access rule takes IPv{network.version} networks of {known} only; use a list")
    return "ip_range", str(network)


def domain_of(value: str) -> str:
    """Return a domain for a Gateway list. Raises Invalid for anything else."""
    if not _HOST.fullmatch(value):
        raise Invalid(f"{value[:80]!r} is not a domain")
    return value.lower()


def url_of(value: str) -> str:
    """Return a URL for a Gateway list, without user and fragment. Raises Invalid or Unsupported for what is none."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Invalid(f"{value[:80]!r} is not a URL") from None
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
        raise Unsupported(f"{value[:80]!r}: Gateway takes URLs of http and https with the name of a host")
    host = (parts.hostname or "").lower() + (f":{port}" if port else "")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path or '/'}{query}"


def _written(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
