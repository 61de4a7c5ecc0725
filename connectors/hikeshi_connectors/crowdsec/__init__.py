"""CrowdSec: decisions that its bouncers enforce, by the Local API."""

from hikeshi_connectors.crowdsec.connector import CrowdSec

__all__ = ["CrowdSec"]
