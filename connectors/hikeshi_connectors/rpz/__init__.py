"""Response policy zones: resolvers that do not resolve what is in them, by DNS updates."""

from hikeshi_connectors.rpz.connector import Rpz

__all__ = ["Rpz"]
