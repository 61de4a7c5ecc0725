"""Sophos Central."""

from hikeshi_connectors.sophos.connector import Sophos

__all__ = ["Sophos"]
