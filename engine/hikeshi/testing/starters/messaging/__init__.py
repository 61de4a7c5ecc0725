"""Acme for Hikeshi."""

from hikeshi.testing.starters.messaging.connector import Acme

__all__ = ["Acme"]
