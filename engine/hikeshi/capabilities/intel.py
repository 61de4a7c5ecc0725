"""Threat intelligence: what others know of an indicator, and telling them what is known here."""

from __future__ import annotations

from hikeshi.capabilities.action import notify, read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.entities import Indicator, IntelReport, Opinion

__all__ = ["Intel"]


class Intel(Capability, name="intel"):
    """Reputation services, sharing platforms and feeds."""

    @read
    async def opinions_on(self, indicator: Indicator) -> list[Opinion]:
        """Ask what is known of an indicator. That nothing is known is an opinion too, `unknown`, and not `harmless`."""
        raise NotImplementedError

    @read
    async def list_indicators(self, feed: str, since_s: int = 86400) -> list[Indicator]:
        """List what a feed or collection, by name or ID, has added in the last `since_s` seconds."""
        raise NotImplementedError

    @notify
    async def share_indicators(self, feed: str, indicators: list[Indicator], title: str) -> IntelReport:
        """Add indicators to a collection or event, by name or ID, where others read them."""
        raise NotImplementedError
