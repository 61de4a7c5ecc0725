"""Addresses as PAN-OS registers them: hosts of both kinds, and IPv4 networks since PAN-OS 10.0.

Source: http://api-lab.paloaltonetworks.com/registered-ip.html (registered-ip objects).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["ADDRESS_KINDS", "canonical", "registered_form"]

ADDRESS_KINDS = frozenset({"ipv4", "ipv6", "cidr"})


def registered_form(indicator: Indicator) -> str:
    """Return an address or network as it is registered.

    Raises Unsupported for IPv6 networks, Invalid for what is no address.
    """
    return _form_of(indicator.value)


@lru_cache(maxsize=131_072)  # each is looked at when it is read, changed and read again
def _form_of(value: str) -> str:
    try:
        form = _written(value, strict=True)
    except ValueError:
        raise Invalid(f"{value!r} is neither an address nor a network") from None
    if "%" in value:
        raise Invalid(f"{value!r} has a zone ID, which means nothing to a firewall")
    if "/" in form and ":" in form:
        raise Unsupported(f"{form}: PAN-OS registers single IPv6 addresses, but no IPv6 networks")
    return form


def canonical(text: str) -> str:
    """Return an address or network in the form of `registered_form`, other text (a range) as it is."""
    # Long lists are of single IPv4 addresses, and such an address can be written in one way only.
    return _canonical(text) if "/" in text or ":" in text else text


@lru_cache(maxsize=131_072)  # what is registered is read whole, again and again
def _canonical(text: str) -> str:
    try:
        return _written(text, strict=False)
    except ValueError:
        return text


def _written(text: str, *, strict: bool) -> str:
    """Return an address or network, a network of one as its address. Raises ValueError; host bits count if strict."""
    if "/" not in text:
        return str(ipaddress.ip_address(text))  # a network takes longer to make
    network = ipaddress.ip_network(text, strict=strict)
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
