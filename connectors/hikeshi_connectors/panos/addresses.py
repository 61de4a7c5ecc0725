"""Addresses as PAN-OS registers them: hosts of both kinds, and IPv4 networks since PAN-OS 10.0.

Source: http://api-lab.paloaltonetworks.com/registered-ip.html (registered-ip objects).
"""

from __future__ import annotations

import ipaddress

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["ADDRESS_KINDS", "canonical", "registered_form"]

ADDRESS_KINDS = frozenset({"ipv4", "ipv6", "cidr"})


def registered_form(indicator: Indicator) -> str:
    """Return an address or network as it is registered.

    Raises Unsupported for IPv6 networks, Invalid for what is no address.
    """
    try:
        network = ipaddress.ip_network(indicator.value)
    except ValueError:
        raise Invalid(f"{indicator.value!r} is neither an address nor a network") from None
    if "%" in indicator.value:
        raise Invalid(f"{indicator.value!r} has a zone ID, which means nothing to a firewall")
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    if network.version == 6:
        raise Unsupported(f"{network}: PAN-OS registers single IPv6 addresses, but no IPv6 networks")
    return str(network)


def canonical(text: str) -> str:
    """Return an address or network in the form of `registered_form`, other text (a range) as it is."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
