"""Microsoft Defender for Endpoint."""

from hikeshi_connectors.defender.connector import Defender

__all__ = ["Defender"]
