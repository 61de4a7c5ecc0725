"""MISP: events of indicators that organisations share."""

from hikeshi_connectors.misp.connector import Misp

__all__ = ["Misp"]
