"""Blocking addresses by WAF's IP sets, in which entries of other people stand as well."""

# ruff: noqa: ARG002 - an IP set has no place for a reason of an entry, nor for its end

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from hikeshi.capabilities import Block, Firewall, Indicator, supports
from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, PartialFailure, Unsupported, understood
from hikeshi_connectors.aws.answers import StaleLock
from hikeshi_connectors.aws.connector import AwsConnector
from hikeshi_connectors.aws.service import WAFV2
from hikeshi_connectors.aws_network.settings import IpSetName, NetworkSettings

__all__ = ["IpSets"]

_TRIES: Final = 6
_KINDS: Final = {"ipv4", "ipv6", "cidr"}
Network = IPv4Network | IPv6Network


class IpSets(AwsConnector, Firewall):
    """The part of the connector that is about addresses.

    Source: https://docs.aws.amazon.com/waf/latest/APIReference/API_UpdateIPSet.html.
    """

    settings: NetworkSettings

    def set_up(self) -> None:
        super().set_up()
        arns = {4: self.settings.ip_set_v4, 6: self.settings.ip_set_v6}
        self._sets = {version: IpSetName.in_arn(arn) for version, arn in arns.items() if arn}
        self._turn = asyncio.Lock()

    @supports(kinds=_KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read which addresses stand in the IP sets, as exactly this network: one in a wider entry is not its block."""
        networks = [self._network(each) for each in indicators]
        versions = sorted({each.version for each in networks} & self._sets.keys())
        there = {entry for version in versions for entry in _networks((await self._read(version))["Addresses"])}
        return [
            Block(connector=self.name, kind=each.kind, value=each.value, blocked=network in there)
            for each, network in zip(indicators, networks, strict=True)
        ]

    @supports(kinds=_KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Add addresses to the IP sets. WAF ends no entry by itself, so `expires_in_s` is left to the engine's hold."""

        def added(entries: list[str], wanted: Sequence[Network]) -> list[str]:
            there = set(_networks(entries))
            return entries + [str(each) for each in wanted if each not in there]

        await self._change(indicators, added)

    @supports(kinds=_KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        def removed(entries: list[str], wanted: Sequence[Network]) -> list[str]:
            return [each for each, network in zip(entries, _networks(entries), strict=True) if network not in wanted]

        await self._change(indicators, removed)

    async def _change(
        self, indicators: Iterable[Indicator], edited: Callable[[list[str], Sequence[Network]], list[str]]
    ) -> None:
        """Edit the IP sets that the indicators belong to. Raises PartialFailure if only some could be sent."""
        wanted: dict[int, dict[Network, list[str]]] = {}
        for each in indicators:
            network = self._network(each)
            wanted.setdefault(network.version, {}).setdefault(network, []).append(each.value)
        refused: dict[str, ConnectorError] = {}
        sent = False
        async with self._turn:
            for version, networks in sorted(wanted.items(), key=lambda item: item[0] not in self._sets):
                try:
                    sent |= await self._edit(version, list(networks), edited)
                except ConnectorError as exc:
                    # What was sent before is not undone by this, and only these entries are refused.
                    if not sent or exc.applied is not Applied.NO:
                        raise
                    refused |= {value: exc for values in networks.values() for value in values}
        if refused:
            raise PartialFailure(refused)
        if not sent:
            raise Conflict(f"{self.name}: the IP sets are so already")

    async def _edit(
        self, version: int, wanted: Sequence[Network], edited: Callable[[list[str], Sequence[Network]], list[str]]
    ) -> bool:
        """Replace an IP set's entries by the edited ones, under its lock; False if nothing differs.

        Whoever writes in between makes the lock stale: then the set is read and edited anew.
        """
        if version not in self._sets:
            raise Unsupported(f"{self.name}: no IP set for IPv{version} is configured (ip_set_v{version})")
        for left in reversed(range(_TRIES)):
            found = await self._read(version)
            entries = edited(found["Addresses"], wanted)
            if entries == found["Addresses"]:
                return False
            body = {**self._sets[version].fields, "Addresses": entries, "LockToken": found["LockToken"]}
            if found["Description"]:
                body["Description"] = found["Description"]  # what is not given again is gone
            try:
                await self.aws.json(WAFV2, "UpdateIPSet", body)
            except StaleLock:
                if not left:
                    raise
                continue
            return True
        raise AssertionError("unreachable")

    async def _read(self, version: int) -> dict[str, Any]:
        answer = await self.aws.read_json(WAFV2, "GetIPSet", self._sets[version].fields)
        with understood(f"{self.name}: GetIPSet"):
            found, token = answer["IPSet"], answer["LockToken"]
            if not all(isinstance(each, str) for each in found["Addresses"]) or not isinstance(token, str):
                raise TypeError("an address or a token that is no text")
            if found["IPAddressVersion"] != f"IPV{version}":
                raise Invalid(f"{self.name}: {found['ARN']} holds {found['IPAddressVersion']}, not IPv{version}")
            description = str(found.get("Description") or "")
            return {"Addresses": list(found["Addresses"]), "LockToken": token, "Description": description}

    def _network(self, indicator: Indicator) -> Network:
        if indicator.kind not in _KINDS:
            raise Unsupported(f"{self.name}: an IP set holds addresses, not indicators of the kind {indicator.kind}")
        try:
            return ip_network(indicator.value, strict=False)
        except ValueError:
            raise Invalid(f"{self.name}: {indicator.value[:80]!r} is no address and no network") from None


def _networks(entries: Iterable[str]) -> list[Network]:
    """Return entries as networks: WAF gives IPv6 addresses in another spelling than they were given."""
    with understood("an IP set's entries"):
        return [ip_network(each, strict=False) for each in entries]
