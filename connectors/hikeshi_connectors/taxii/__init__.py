"""TAXII 2.1: collections of STIX objects that organisations share."""

from hikeshi_connectors.taxii.connector import Taxii

__all__ = ["Taxii"]
