"""Blocks by WAF's IP sets, in which entries of other people stand as well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, Unsupported, understood
from hikeshi_connectors.aws.answers import StaleLock
from hikeshi_connectors.aws.client import AwsClient
from hikeshi_connectors.aws.service import WAFV2
from hikeshi_connectors.aws_network.address import Network, network_in
from hikeshi_connectors.aws_network.settings import IpSetName, NetworkSettings

__all__ = ["IpSets"]

_TRIES: Final = 6


class IpSets:
    """The IP sets of one instance, one for each version of IP.

    Source: https://docs.aws.amazon.com/waf/latest/APIReference/API_UpdateIPSet.html.
    """

    def __init__(self, name: str, aws: AwsClient, settings: NetworkSettings) -> None:
        arns = {4: settings.ip_set_v4, 6: settings.ip_set_v6}
        self._name = name
        self._aws = aws
        self._sets = {version: IpSetName.in_arn(arn) for version, arn in arns.items() if arn}
        self._turn = asyncio.Lock()

    async def there(self, networks: Sequence[Network]) -> set[Network]:
        """Return the networks in the IP sets that these networks could be in."""
        versions = {each.version for each in networks}
        found = [await self._read(version) for version in sorted(versions & self._sets.keys())]
        return {network for each in found for network in _networks(each["Addresses"]) if network is not None}

    async def put(self, networks: Sequence[Network], *, blocked: bool) -> dict[Network, ConnectorError]:
        """Put networks into the IP sets, or take them out; return those that were refused, if others were accepted.

        Raises Conflict if all is so already.
        """
        by_version: dict[int, list[Network]] = {}
        for each in networks:
            by_version.setdefault(each.version, []).append(each)
        refused: dict[Network, ConnectorError] = {}
        sent = False
        async with self._turn:
            # Those that can't be sent come last: what is refused then is only their part.
            for version, mine in sorted(by_version.items(), key=lambda item: item[0] not in self._sets):
                try:
                    sent |= await self._edit(version, mine, blocked=blocked)
                except ConnectorError as exc:
                    if not sent or exc.applied is not Applied.NO:
                        raise
                    refused |= dict.fromkeys(mine, exc)
        if not sent:
            raise Conflict(f"{self._name}: the IP sets are so already")
        return refused

    async def _edit(self, version: int, networks: Sequence[Network], *, blocked: bool) -> bool:
        """Replace an IP set's entries by the edited ones, under its lock; False if nothing differs.

        Whoever writes in between makes the lock stale: then the set is read and edited anew.
        """
        if version not in self._sets:
            raise Unsupported(f"{self._name}: no IP set for IPv{version} is configured (ip_set_v{version})")
        for left in reversed(range(_TRIES)):
            found = await self._read(version)
            entries = (_added if blocked else _removed)(found["Addresses"], networks)
            if entries == found["Addresses"]:
                return False
            body = {**self._sets[version].fields, "Addresses": entries, "LockToken": found["LockToken"]}
            if found["Description"]:
                body["Description"] = found["Description"]  # what is not given again is gone
            try:
                await self._aws.json(WAFV2, "UpdateIPSet", body)
            except StaleLock:
                if not left:
                    raise
                continue
            return True
        raise AssertionError("unreachable")

    async def _read(self, version: int) -> dict[str, Any]:
        answer = await self._aws.read_json(WAFV2, "GetIPSet", self._sets[version].fields)
        with understood(f"{self._name}: GetIPSet"):
            found, token = answer["IPSet"], answer["LockToken"]
            if not all(isinstance(each, str) for each in found["Addresses"]) or not isinstance(token, str):
                raise TypeError("an address or a token that is no text")
            if found["IPAddressVersion"] != f"IPV{version}":
                raise Invalid(f"{self._name}: {found['ARN']} holds {found['IPAddressVersion']}, not IPv{version}")
            description = str(found.get("Description") or "")
            return {"Addresses": list(found["Addresses"]), "LockToken": token, "Description": description}


def _added(entries: Sequence[str], networks: Sequence[Network]) -> list[str]:
    there = set(_networks(entries))
    return [*entries, *(str(each) for each in networks if each not in there)]


def _removed(entries: Sequence[str], networks: Sequence[Network]) -> list[str]:
    gone = set(networks)
    return [each for each, network in zip(entries, _networks(entries), strict=True) if network not in gone]


def _networks(entries: Iterable[str]) -> list[Network | None]:
    """Return entries as networks: WAF gives IPv6 addresses in another spelling than they were given."""
    return [network_in(each) for each in entries]
