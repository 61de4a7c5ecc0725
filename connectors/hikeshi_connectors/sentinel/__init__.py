"""Microsoft Sentinel and the Log Analytics workspace below it."""

from hikeshi_connectors.sentinel.connector import Sentinel

__all__ = ["Sentinel"]
