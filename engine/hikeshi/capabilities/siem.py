"""Logs and what is found in them: searches, and the detections that a SIEM raises."""

from __future__ import annotations

from hikeshi.capabilities.action import read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.entities import Alert, Indicator, LogEntry, Severity

__all__ = ["Siem"]


class Siem(Capability, name="siem"):
    """Log search and security information and event management.

    A search that the product could finish only in part (shards that failed, a time-out of its own) is an error: half
    of the evidence looks like all of it.
    """

    @read
    async def search_logs(self, query: str, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Search the last `since_s` seconds in the product's own query language; newest first, at most `limit`."""
        raise NotImplementedError

    @read
    async def search_logs_for(self, indicator: Indicator, since_s: int = 86400, limit: int = 1000) -> list[LogEntry]:
        """Find entries that mention an indicator in the last `since_s` seconds; newest first, at most `limit`."""
        raise NotImplementedError

    @read
    async def list_detections(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List detections of the last `since_s` seconds, newest first, at least as severe as `severity`."""
        raise NotImplementedError
