"""Blocking addresses, by whichever of AWS's means an instance is set up for."""

# ruff: noqa: ARG002 - AWS has no place for the reason of a block, nor for its end

from __future__ import annotations

from typing import Final

from hikeshi.capabilities import Block, Firewall, Indicator, supports
from hikeshi.connector import Invalid, PartialFailure, Unsupported
from hikeshi_connectors.aws.connector import AwsConnector
from hikeshi_connectors.aws_network.acl_entries import AclEntries
from hikeshi_connectors.aws_network.address import Network, network_in
from hikeshi_connectors.aws_network.ip_sets import IpSets
from hikeshi_connectors.aws_network.settings import NetworkSettings

__all__ = ["Blocking"]

_KINDS: Final = {"ipv4", "ipv6", "cidr"}


class Blocking(AwsConnector, Firewall):
    """The part of the connector that is about addresses: IP sets of WAF, or entries of network ACLs."""

    settings: NetworkSettings

    def set_up(self) -> None:
        super().set_up()
        means = AclEntries if self.settings.network_acls else IpSets
        self._blocks = means(self.name, self.aws, self.settings)

    @supports(kinds=_KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read which addresses are blocked, as exactly this network: one in a wider entry is not its block."""
        networks = [self._network(each) for each in indicators]
        there = await self._blocks.there(networks)
        return [
            Block(connector=self.name, kind=each.kind, value=each.value, blocked=network in there)
            for each, network in zip(indicators, networks, strict=True)
        ]

    @supports(kinds=_KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Block addresses. AWS ends no block by itself, so `expires_in_s` is left to the engine's hold."""
        await self._put(indicators, blocked=True)

    @supports(kinds=_KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        await self._put(indicators, blocked=False)

    async def _put(self, indicators: list[Indicator], *, blocked: bool) -> None:
        wanted: dict[Network, list[str]] = {}
        for each in indicators:
            wanted.setdefault(self._network(each), []).append(each.value)
        refused = await self._blocks.put(list(wanted), blocked=blocked)
        if refused:
            raise PartialFailure({value: exc for network, exc in refused.items() for value in wanted[network]})

    def _network(self, indicator: Indicator) -> Network:
        if indicator.kind not in _KINDS:
            raise Unsupported(f"{self.name}: addresses are blocked here, not indicators of the kind {indicator.kind}")
        found = network_in(indicator.value, exact=True)
        if found is None:
            wider = network_in(indicator.value)
            meant = "" if wider is None else f"; write {wider} if all of it is meant"
            raise Invalid(f"{self.name}: {indicator.value[:80]!r} is no address and no network{meant}")
        return found
