"""PowerDNS Authoritative Server: a response policy zone by its HTTP API."""

from hikeshi_connectors.powerdns.connector import PowerDns

__all__ = ["PowerDns"]
