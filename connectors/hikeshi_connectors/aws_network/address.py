"""Addresses as networks: the form in which AWS keeps them, and in which two spellings of one are the same."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = ["Network", "network_in", "overlap"]

Network = IPv4Network | IPv6Network


def network_in(text: str, *, exact: bool = False) -> Network | None:
    """Return the network that a text names, a single address as a network of one; None if it names none.

    With `exact`, 192.0.2.5/24 names none: it could be meant to be the address, or all of its network.
    """
    try:
        return ip_network(text, strict=exact)
    except ValueError:
        return None


def overlap(one: Network, other: Network) -> bool:
    """Say whether an address is in both."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
