"""Blocks by network ACLs: entries that deny a network, with rule numbers out of a range that is Hikeshi's own.

EC2 looks at an ACL's entries in the order of their numbers, and the first one that fits decides. Source:
https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from hikeshi.connector import Applied, Conflict, ConnectorError, NotFound, OutcomeUnknown, Unsupported
from hikeshi_connectors.aws.answers import Node, StaleLock
from hikeshi_connectors.aws.client import AwsClient
from hikeshi_connectors.aws.service import EC2
from hikeshi_connectors.aws_network.address import Network, network_in, overlap
from hikeshi_connectors.aws_network.settings import NetworkSettings

__all__ = ["AclEntries"]

_TRIES: Final = 6
_ALL_PROTOCOLS: Final = "-1"
_DIRECTIONS: Final = (False, True)  # whether an entry is about what leaves the subnet


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of an ACL: what it says of a network, and whether it says it of every protocol."""

    acl: str
    number: int
    egress: bool
    network: Network | None
    allows: bool
    whole: bool

    def __str__(self) -> str:
        return f"{self.acl} number {self.number} ({'out' if self.egress else 'in'})"

    def outdoes(self, network: Network, number: int) -> bool:
        """Say whether this lets some of a network through before an entry of this number, in its place, denies it."""
        return self.allows and self.number < number and self.network is not None and overlap(self.network, network)


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

    async def there(self, networks: Sequence[Network]) -> set[Network]:
        """Return those of these networks that every ACL denies in both directions.

        Raises Conflict for a network that is denied in part: it is neither blocked, nor is there nothing to lift.
        """
        async with self._turn:  # what is under way here is not half a block
            entries = await self._read()
        return {each for each in networks if self._stands(entries, each)}

    def _stands(self, entries: Sequence[_Entry], network: Network) -> bool:
        ours = [each for each in entries if each.network == network and self._is_ours(each)]
        if not ours:
            return False
        stands = ", ".join(map(str, ours))
        missing = set(self._places()) - {(each.acl, each.egress) for each in ours}
        if missing:
            raise Conflict(
                f"{self._name}: {network} is denied in part, by {stands} alone; delete that or add the other entries"
            )
        for acl, egress in self._places():
            number = min(each.number for each in ours if (each.acl, each.egress) == (acl, egress))
            rule = _outdoing(entries, acl, network, number, egress=egress)
            if rule is not None:
                raise Conflict(f"{self._name}: {rule} allows {rule.network} before {stands} can deny {network}")
        return True

    async def put(self, networks: Sequence[Network], *, blocked: bool) -> dict[Network, ConnectorError]:
        """Add entries for networks, or delete them. Raises Conflict if all is so already; refuses nothing in part.

        A number that somebody else took in between is noticed by AWS; then the ACLs are read anew. What was begun is
        taken back if a later request is refused.
        """
        before: list[_Entry] | None = None
        begun = False
        async with self._turn:
            for left in reversed(range(_TRIES)):
                try:
                    entries = await self._read()
                    before = entries if before is None else before
                    steps = list(self._added(entries, networks) if blocked else self._removed(entries, networks))
                    if not steps and not begun:
                        raise Conflict(f"{self._name}: the network ACLs are so already")
                    for step in steps:
                        await self._send(step)
                        begun = True
                except ConnectorError as exc:
                    if isinstance(exc, StaleLock) and left:
                        continue
                    # Where nobody knows, the request may have been the last that was needed: what is read decides.
                    if begun and before is not None and exc.applied is Applied.NO:
                        await self._take_back(networks, before, exc)
                    raise
                return {}
        raise AssertionError("unreachable")

    async def _take_back(self, networks: Sequence[Network], before: Sequence[_Entry], why: ConnectorError) -> None:
        """Make the entries for these networks as they were. Raises OutcomeUnknown if that fails too."""
        try:
            now = await self._read()
            added, gone = (
                [each for each in some if each not in others] for some, others in ((now, before), (before, now))
            )
            steps = [*self._removed(added, networks), *map(_creation, self._ours_for(gone, networks))]
            for step in steps:
                await self._send(step)
        except ConnectorError as exc:
            raise OutcomeUnknown(f"{why.message}; what was begun could not be taken back: {exc.message}") from why

    async def _send(self, step: _Step) -> None:
        try:
            await self._aws.form(EC2, step.operation, step.params)
        except NotFound as exc:
            if step.operation != "DeleteNetworkAclEntry":
                raise
            raise StaleLock(exc.message) from exc  # somebody else deleted it

    def _added(self, entries: Sequence[_Entry], networks: Sequence[Network]) -> Iterator[_Step]:
        """Yield the entries that are missing. Raises Conflict if a rule of others would come before one of ours."""
        for acl in self._acls:
            taken = {(each.number, each.egress) for each in entries if each.acl == acl}
            for network in networks:
                ours = {each.egress: each.number for each in self._ours_for(entries, [network]) if each.acl == acl}
                missing = [way for way in _DIRECTIONS if way not in ours]
                number = self._free(acl, network, missing, taken) if missing else 0
                for way in _DIRECTIONS:
                    rule = _outdoing(entries, acl, network, ours.get(way, number), egress=way)
                    if rule is not None:
                        raise Conflict(
                            f"{self._name}: {rule} allows {rule.network}, so a deny of {network} in Hikeshi's rule "
                            "numbers after it would have no effect; remove that rule or give it a later number"
                        )
                taken |= {(number, way) for way in missing}
                yield from (_creation(_Entry(acl, number, way, network, allows=False, whole=True)) for way in missing)

    def _free(self, acl: str, network: Network, ways: Sequence[bool], taken: Set[tuple[int, bool]]) -> int:
        """Return the first of Hikeshi's numbers that is free in these directions. Raises Unsupported."""
        number = next((n for n in self._numbers if not any((n, way) in taken for way in ways)), None)
        if number is None:
            limits = f"{self._numbers.start} to {self._numbers.stop - 1}"
            raise Unsupported(f"{self._name}: {acl} has no free rule number from {limits} for {network}")
        return number

    def _removed(self, entries: Sequence[_Entry], networks: Sequence[Network]) -> Iterator[_Step]:
        for each in self._ours_for(entries, networks):
            yield _Step("DeleteNetworkAclEntry", _place(each.acl, each.number, egress=each.egress))

    def _ours_for(self, entries: Sequence[_Entry], networks: Sequence[Network]) -> list[_Entry]:
        return [each for each in entries if each.network in networks and self._is_ours(each)]

    def _is_ours(self, entry: _Entry) -> bool:
        return entry.number in self._numbers and entry.whole and not entry.allows

    def _places(self) -> list[tuple[str, bool]]:
        return [(acl, egress) for acl in self._acls for egress in _DIRECTIONS]

    async def _read(self) -> list[_Entry]:
        """Return all entries. Raises NotFound if one of the ACLs does not exist."""
        found = await self._aws.pages(EC2, "DescribeNetworkAcls", {"NetworkAclId": list(self._acls)}, "networkAclSet")
        missing = set(self._acls) - {each.text("networkAclId") for each in found}
        if missing:
            raise NotFound(f"{self._name}: there is no network ACL {', '.join(sorted(missing))}")
        return [_entry(acl.text("networkAclId"), each) for acl in found for each in acl.all_under("entrySet")]


def _outdoing(entries: Sequence[_Entry], acl: str, network: Network, number: int, *, egress: bool) -> _Entry | None:
    """Return a rule that lets some of a network through before a deny of this number: the first that fits counts."""
    here = (each for each in entries if (each.acl, each.egress) == (acl, egress))
    return next((each for each in here if each.outdoes(network, number)), None)


def _creation(entry: _Entry) -> _Step:
    network = entry.network
    assert network is not None
    cidr = {"CidrBlock" if network.version == 4 else "Ipv6CidrBlock": str(network)}
    deny = {"Protocol": _ALL_PROTOCOLS, "RuleAction": "deny", **cidr}
    return _Step("CreateNetworkAclEntry", {**_place(entry.acl, entry.number, egress=entry.egress), **deny})


def _place(acl: str, number: int, *, egress: bool) -> dict[str, Any]:
    return {"NetworkAclId": acl, "RuleNumber": number, "Egress": "true" if egress else "false"}


def _entry(acl: str, node: Node) -> _Entry:
    return _Entry(
        acl,
        int(node.text("ruleNumber")),
        node.text("egress") == "true",
        network_in(node.maybe("cidrBlock") or node.maybe("ipv6CidrBlock") or ""),
        allows=node.text("ruleAction") != "deny",
        whole=node.text("protocol") == _ALL_PROTOCOLS,
    )
