"""CrowdStrike Falcon."""

from hikeshi_connectors.crowdstrike.connector import Falcon

__all__ = ["Falcon"]
