"""Addresses and networks in the forms in which FortiOS takes and shows them.

Source: Fortinet's OpenAPI file of FortiOS 6.4.14 (cmdb, firewall): address, address6, addrgrp, addrgrp6.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid

__all__ = [
    "Network",
    "address_of",
    "address_shown",
    "network_of",
    "network_shown",
    "object_body",
    "object_name",
    "tables_of",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX = "hikeshi-"


@dataclass(frozen=True, slots=True)
class Tables:
    """The two tables of one address family: of address objects and of groups."""

    objects: str
    groups: str
    field: str


_TABLES = {
    4: Tables("/api/v2/cmdb/firewall/address", "/api/v2/cmdb/firewall/addrgrp", "subnet"),
    6: Tables("/api/v2/cmdb/firewall/address6", "/api/v2/cmdb/firewall/addrgrp6", "ip6"),
}


def tables_of(version: int) -> Tables:
    """Return where objects and groups of IPv4 (4) or IPv6 (6) are kept."""
    return _TABLES[version]


def address_of(indicator: Indicator) -> str:
    """Return the one address that an indicator of IPv4 means. Raises Invalid for what is none, and for "0.0.0.0"."""
    try:
        address = address_shown(indicator.value)
    except ValueError:
        raise Invalid(f"{indicator.value[:80]!r} is not an address") from None
    if address == "0.0.0.0":  # noqa: S104 - it is refused
        raise Invalid(f"{indicator.value!r} is every address there is")
    return address


def network_of(indicator: Indicator) -> Network:
    """Return the network that an indicator means, a single address as a network of one.

    Raises Invalid for what is neither, and for the network of all addresses.
    """
    return _network(indicator.value)


@lru_cache(maxsize=65_536)  # each is looked at when it is read, changed and read again
def _network(value: str) -> Network:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise Invalid(f"{value[:80]!r} is neither an address nor a network") from None
    if "%" in value:
        raise Invalid(f"{value!r} has a zone ID, which means nothing to a firewall")
    if network.prefixlen == 0:
        raise Invalid(f"{value!r} is every address there is")
    return network


def network_shown(text: object) -> Network | None:
    """Return the network that an address object shows ("10.0.0.0 255.0.0.0", "2001:db8::/32"), or None."""
    try:
        return ipaddress.ip_network("/".join(str(text).split()), strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=262_144)  # the list of bans is read whole, again and again
def address_shown(text: str) -> str:
    """Return a banned address, canonical. Raises ValueError for anything else."""
    return str(ipaddress.ip_address(text))


def object_name(network: Network) -> str:
    """Return the name of our address object for a network. There is no slash in it, for it becomes part of a path."""
    return _PREFIX + str(network).replace("/", "_")


def object_body(network: Network, comment: str) -> dict[str, str]:
    """Return the address object for a network."""
    named = {"name": object_name(network), "comment": comment[:255]}
    if network.version == 4:
        return {**named, "type": "ipmask", "subnet": f"{network.network_address} {network.netmask}"}
    return {**named, "type": "ipprefix", "ip6": str(network)}
