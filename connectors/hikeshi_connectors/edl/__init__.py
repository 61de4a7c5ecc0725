"""External dynamic lists: Hikeshi serves them, and any firewall polls them."""

from hikeshi_connectors.edl.connector import Edl

__all__ = ["Edl"]
