"""AbuseIPDB: who has reported an address."""

from hikeshi_connectors.abuseipdb.connector import AbuseIpDb

__all__ = ["AbuseIpDb"]
