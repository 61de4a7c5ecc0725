"""Any HTTP API that has no connector of its own."""

from hikeshi_connectors.http.connector import Http

__all__ = ["Http"]
