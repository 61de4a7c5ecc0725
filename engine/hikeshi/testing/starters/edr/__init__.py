"""Acme for Hikeshi."""

from hikeshi.testing.starters.edr.connector import Acme

__all__ = ["Acme"]
