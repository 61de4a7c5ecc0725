"""Matrix: messages to rooms, and what people reply to them."""

from hikeshi_connectors.matrix.connector import Matrix

__all__ = ["Matrix"]
