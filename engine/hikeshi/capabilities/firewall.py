"""Firewalls: what passes the network's borders."""

from __future__ import annotations

from hikeshi.capabilities.action import change, read
from hikeshi.capabilities.blocking import is_blocked, is_not_blocked
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.effect import Recovery
from hikeshi.capabilities.entities import Block, Connection, Indicator

__all__ = ["Firewall"]


class Firewall(Capability, name="firewall"):
    """Network firewalls and filters. Indicators belong to no instance: they go to every bound one."""

    @read
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read which of these indicators are blocked; one answer for each, in the same order."""
        raise NotImplementedError

    @change(
        target="indicators",
        undo="unblock_indicators",
        verify="blocks_of",
        done=is_blocked,
        settle_s=120,
        recovery=Recovery.VERIFIABLE,
    )
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Block traffic to and from these indicators; the product lifts the block itself after `expires_in_s`."""
        raise NotImplementedError

    @change(
        target="indicators",
        undo="block_indicators",
        verify="blocks_of",
        done=is_not_blocked,
        settle_s=120,
        recovery=Recovery.VERIFIABLE,
    )
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        """Let traffic to and from these indicators pass again."""
        raise NotImplementedError

    @read
    async def search_traffic(self, address: str, since_s: int = 86400) -> list[Connection]:
        """Find traffic to or from an address in the last `since_s` seconds, newest first."""
        raise NotImplementedError
