"""SentinelOne Singularity."""

from hikeshi_connectors.sentinelone.connector import SentinelOne

__all__ = ["SentinelOne"]
