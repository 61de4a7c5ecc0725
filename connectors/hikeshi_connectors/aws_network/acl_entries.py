"""Blocks by network ACLs: entries that deny a network, with rule numbers out of a range that is Hikeshi's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hikeshi.connector import Applied, Conflict, ConnectorError, NotFound, Unsupported
from hikeshi_connectors.aws.answers import Node, StaleLock
from hikeshi_connectors.aws.client import AwsClient
from hikeshi_connectors.aws.service import EC2
from hikeshi_connectors.aws_network.address import Network, network_in
from hikeshi_connectors.aws_network.settings import NetworkSettings

__all__ = ["AclEntries"]

_TRIES: Final = 6
_ALL_PROTOCOLS: Final = "-1"
_DIRECTIONS: Final = (False, True)  # whether an entry is about what leaves the subnet


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry in Hikeshi's range. `network` is what it denies everything to, None for an entry that does not."""

    acl: str
    number: int
    egress: bool
    network: Network | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One request: the operation, and its parameters."""

    operation: str
    params: dict[str, Any]


class AclEntries:
    """The network ACLs of one instance. A network is blocked when each of them denies it in both directions.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html.
    """

    def __init__(self, name: str, aws: AwsClient, settings: NetworkSettings) -> None:
        self._name = name
        self._aws = aws
        self._acls = settings.network_acls
        self._numbers = range(settings.acl_rule_numbers[0], settings.acl_rule_numbers[1] + 1)
        self._turn = asyncio.Lock()

    async def there(self, versions: set[int]) -> set[Network]:  # noqa: ARG002 - ACLs hold both
        """Return the networks that every ACL denies in both directions."""
        entries = await self._read()
        places = {(acl, egress) for acl in self._acls for egress in _DIRECTIONS}
        by_place = {place: {each.network for each in entries if (each.acl, each.egress) == place} for place in places}
        everywhere = set.intersection(*by_place.values())
        return {each for each in everywhere if each is not None}

    async def put(self, networks: Sequence[Network], *, blocked: bool) -> dict[Network, ConnectorError]:
        """Add entries for networks, or delete them. Raises Conflict if all is so already; refuses nothing in part.

        A number that somebody else took in between is noticed by AWS; then the ACLs are read anew.
        """
        begun = False
        async with self._turn:
            for left in reversed(range(_TRIES)):
                try:
                    entries = await self._read()
                    steps = list(self._added(entries, networks) if blocked else _removed(entries, networks))
                    if not steps and not begun:
                        raise Conflict(f"{self._name}: the network ACLs are so already")
                    for step in steps:
                        await self._send(step)
                        begun = True
                except ConnectorError as exc:
                    if isinstance(exc, StaleLock) and left:
                        continue
                    if begun:
                        exc.applied = Applied.MAYBE
                    raise
                return {}
        raise AssertionError("unreachable")

    async def _send(self, step: _Step) -> None:
        try:
            await self._aws.form(EC2, step.operation, step.params)
        except NotFound as exc:
            if step.operation != "DeleteNetworkAclEntry":
                raise
            raise StaleLock(exc.message) from exc  # somebody else deleted it

    def _added(self, entries: Sequence[_Entry], networks: Sequence[Network]) -> Iterator[_Step]:
        for acl in self._acls:
            mine = [each for each in entries if each.acl == acl]
            taken = {(each.number, each.egress) for each in mine}
            for network in networks:
                missing = [way for way in _DIRECTIONS if not any(_is(each, network, egress=way) for each in mine)]
                if not missing:
                    continue
                number = next((n for n in self._numbers if not any((n, way) in taken for way in missing)), None)
                if number is None:
                    limits = f"{self._numbers.start} to {self._numbers.stop - 1}"
                    raise Unsupported(f"{self._name}: {acl} has no free rule number from {limits} for {network}")
                taken |= {(number, way) for way in missing}
                for way in missing:
                    cidr = {"CidrBlock" if network.version == 4 else "Ipv6CidrBlock": str(network)}
                    deny = {"Protocol": _ALL_PROTOCOLS, "RuleAction": "deny", **cidr}
                    yield _Step("CreateNetworkAclEntry", {**_place(acl, number, egress=way), **deny})

    async def _read(self) -> list[_Entry]:
        """Return the entries in Hikeshi's range. Raises NotFound if one of the ACLs does not exist."""
        found = await self._aws.pages(EC2, "DescribeNetworkAcls", {"NetworkAclId": list(self._acls)}, "networkAclSet")
        missing = set(self._acls) - {each.text("networkAclId") for each in found}
        if missing:
            raise NotFound(f"{self._name}: there is no network ACL {', '.join(sorted(missing))}")
        entries = [_entry(acl.text("networkAclId"), each) for acl in found for each in acl.all_under("entrySet")]
        return [each for each in entries if each.number in self._numbers]


def _removed(entries: Sequence[_Entry], networks: Sequence[Network]) -> Iterator[_Step]:
    for each in entries:
        if each.network in networks:
            yield _Step("DeleteNetworkAclEntry", _place(each.acl, each.number, egress=each.egress))


def _place(acl: str, number: int, *, egress: bool) -> dict[str, Any]:
    return {"NetworkAclId": acl, "RuleNumber": number, "Egress": "true" if egress else "false"}


def _entry(acl: str, node: Node) -> _Entry:
    denies_all = node.text("ruleAction") == "deny" and node.text("protocol") == _ALL_PROTOCOLS
    cidr = node.maybe("cidrBlock") or node.maybe("ipv6CidrBlock") or ""
    network = network_in(cidr) if denies_all else None
    return _Entry(acl, int(node.text("ruleNumber")), node.text("egress") == "true", network)


def _is(entry: _Entry, network: Network, *, egress: bool) -> bool:
    return entry.network == network and entry.egress is egress
