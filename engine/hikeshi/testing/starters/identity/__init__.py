"""Acme for Hikeshi."""

from hikeshi.testing.starters.identity.connector import Acme

__all__ = ["Acme"]
