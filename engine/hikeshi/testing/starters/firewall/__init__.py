"""Acme for Hikeshi."""

from hikeshi.testing.starters.firewall.connector import Acme

__all__ = ["Acme"]
