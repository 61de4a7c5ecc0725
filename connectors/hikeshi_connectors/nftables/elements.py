"""Indicators as elements of named sets.

Single addresses and networks live in different sets: a set with `flags interval` refuses an address inside a network
that it holds, and two networks of which one lies in the other.
Source: nft(8), SETS and SET STATEMENT; libnftables-json(5), ELEMENT, PREFIX, RANGE.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported

__all__ = ["KINDS", "Network", "bounds_of", "element_of", "is_network", "key_of", "listed_key", "network_of"]

KINDS = {"ipv4", "ipv6", "cidr"}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def key_of(indicator: Indicator) -> str:
    """Return an address or network as it is sent and as `nft list set` tells it; a network of one as its address.

    Raises Invalid for what is neither: nft would ask a resolver for a name. Unsupported for other kinds.
    """
    if indicator.kind not in KINDS:
        raise Unsupported(f"nftables blocks addresses and networks, not indicators of the kind {indicator.kind}")
    return _key(indicator.value)


@lru_cache(maxsize=131_072)  # each is looked at when it is read, changed and read again
def _key(value: str) -> str:
    try:
        if "%" in value:
            raise ValueError
        if "/" not in value:  # long lists are of such, and a network takes its time to make
            return str(ipaddress.ip_address(value))
        return _written(ipaddress.ip_network(value))
    except ValueError:
        raise Invalid(f"{value[:80]!r} is neither an address nor a network") from None


def network_of(key: str) -> Network:
    """Return the network that a key stands for, an address as a network of one."""
    return ipaddress.ip_network(key)


def is_network(key: str) -> bool:
    """Say whether a key stands for more than one address."""
    return "/" in key


def element_of(key: str, timeout_s: int | None = None) -> Any:
    """Return an element in the form of libnftables' JSON; `timeout_s` None means that it never ends."""
    value: Any = key
    if is_network(key):
        address, _, length = key.partition("/")
        value = {"prefix": {"addr": address, "len": int(length)}}
    return value if timeout_s is None else {"elem": {"val": value, "timeout": timeout_s}}


def listed_key(value: Any) -> str:
    """Return the key of an element's value as `nft` tells it, or "" for a range that is no network.

    Raises AttributeError, KeyError, TypeError or ValueError for what is no element.
    """
    if isinstance(value, str):
        # nft writes ::ffff:192.0.2.1; Python before 3.13 does not.
        return str(ipaddress.ip_address(value)) if ":" in value and "." in value else value
    if "range" in value:
        return ""
    return _written(ipaddress.ip_network((value["prefix"]["addr"], value["prefix"]["len"])))


def bounds_of(values: Iterable[Any]) -> Mapping[tuple[int, int], str]:
    """Return the first and last address of each element of an interval set, as numbers, with a text for people.

    Raises as `listed_key` does.
    """
    found: dict[tuple[int, int], str] = {}
    for value in values:
        if isinstance(value, Mapping) and "range" in value:
            first, last = (int(ipaddress.ip_address(each)) for each in value["range"])
            found[first, last] = " to ".join(value["range"])
            continue
        network = ipaddress.ip_network(listed_key(value))
        found[int(network.network_address), int(network.broadcast_address)] = str(network)
    return found


def _written(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
