"""nftables: Linux firewalls, by named sets of the kernel."""

from hikeshi_connectors.nftables.connector import Nftables

__all__ = ["Nftables"]
