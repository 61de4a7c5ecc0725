"""Addresses as networks: the form in which AWS keeps them, and in which two spellings of one are the same."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

__all__ = ["Network", "network_in"]

Network = IPv4Network | IPv6Network


def network_in(text: str) -> Network | None:
    """Return the network that a text names, a single address as a network of one; None if it names none."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
