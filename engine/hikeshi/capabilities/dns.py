"""DNS resolvers: names that are answered with nothing, and who asked for them."""

from __future__ import annotations

from hikeshi.capabilities.action import change, read
from hikeshi.capabilities.blocking import is_blocked, is_not_blocked
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.effect import Recovery
from hikeshi.capabilities.entities import Block, Indicator, NameQuery

__all__ = ["Dns"]


class Dns(Capability, name="dns"):
    """Resolvers and their policies. A sinkhole takes every bound instance, like a block on firewalls."""

    @read
    async def sinkholes_of(self, domains: list[Indicator]) -> list[Block]:
        """Read which of these domains the resolver does not resolve; one answer for each, in the same order."""
        raise NotImplementedError

    @change(
        target="domains",
        undo="unsinkhole_domains",
        verify="sinkholes_of",
        done=is_blocked,
        settle_s=120,
        recovery=Recovery.VERIFIABLE,
    )
    async def sinkhole_domains(self, domains: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Answer for these domains, and for all names below them, as if they did not exist."""
        raise NotImplementedError

    @change(
        target="domains",
        undo="sinkhole_domains",
        verify="sinkholes_of",
        done=is_not_blocked,
        settle_s=120,
        recovery=Recovery.VERIFIABLE,
    )
    async def unsinkhole_domains(self, domains: list[Indicator], reason: str) -> None:
        """Resolve these domains again."""
        raise NotImplementedError

    @read
    async def search_names(self, domain: str, since_s: int = 86400) -> list[NameQuery]:
        """Find who asked for a domain, or for a name below it, in the last `since_s` seconds; newest first."""
        raise NotImplementedError
