"""FortiGate firewalls, by the REST API of FortiOS."""

from hikeshi_connectors.fortigate.connector import FortiGate

__all__ = ["FortiGate"]
