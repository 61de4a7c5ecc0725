"""Palo Alto Networks PAN-OS: firewalls, by their XML API."""

from hikeshi_connectors.panos.connector import PanOs

__all__ = ["PanOs"]
