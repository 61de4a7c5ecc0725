"""Virtual machines of EC2, and cutting them off by their security groups."""

# ruff: noqa: ARG002 - EC2 has no place for the reason of a change; the journal keeps it

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from hikeshi.capabilities import Cloud, InstanceNetwork, VirtualMachine
from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, NotFound, OutcomeUnknown, Unsupported
from hikeshi_connectors.aws.answers import Node
from hikeshi_connectors.aws.connector import AwsConnector
from hikeshi_connectors.aws.service import EC2
from hikeshi_connectors.aws_network.interface import (
    TAG_PREFIX,
    Interface,
    groups_in,
    interfaces_of,
    machine_of,
    remembered,
    tags_of,
)
from hikeshi_connectors.aws_network.settings import NetworkSettings

__all__ = ["Machines"]

_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{8,17}")
_LIVING: Final = ["pending", "running", "shutting-down", "stopping", "stopped"]
_PAGE: Final = 1000
_BY_HAND: Final = "set the groups by hand, then remove the tags that begin with hikeshi:groups:"
_ADDRESS_FILTERS: Final = {
    4: ("network-interface.addresses.private-ip-address", "network-interface.addresses.association.public-ip"),
    6: ("network-interface.ipv6-addresses.ipv6-address",),
}


class Machines(AwsConnector, Cloud):
    """The part of the connector that is about virtual machines.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html.
    """

    settings: NetworkSettings

    async def find_machines(self, name: str) -> list[VirtualMachine]:
        """Find machines that are not terminated by instance ID, IP address or the tag `Name` (any case)."""
        if not name.strip() or not name.isprintable():
            raise Invalid(f"{self.name}: {name[:80]!r} names no machine")
        found: dict[str, VirtualMachine] = {}
        for filters in _filters_for(name):
            for machine in await self._machines(filters):
                if any(_same(each, name) for each in machine.aliases()):
                    found[machine.id] = machine
        return list(found.values())

    async def network_of(self, machine: VirtualMachine) -> InstanceNetwork:
        node = await self._instance(machine)
        interfaces = interfaces_of(node)
        group = await self._quarantine_group(node, must=False)
        groups = {each for interface in interfaces for each in interface.groups}
        quarantined = bool(interfaces) and all(each.groups == (group,) for each in interfaces)
        return InstanceNetwork(
            connector=self.name, machine_id=machine.id, groups=tuple(sorted(groups)), quarantined=quarantined
        )

    async def quarantine_machine(self, machine: VirtualMachine, reason: str) -> None:
        """Put every network interface into the quarantine's group alone; tags of the machine remember the others.

        Raises Unsupported if there is no such group in the machine's network, or if it has rules.
        """
        node = await self._instance(machine)
        group = await self._quarantine_group(node, must=True)
        open_ones = [each for each in interfaces_of(node) if each.groups != (group,)]
        if not open_ones:
            raise Conflict(f"{self.name}: {machine.name} is in the quarantine's security group alone already")
        await self._remember(machine, open_ones)
        try:
            await self._put_into(dict.fromkeys(open_ones, (group,)), unsure_stays=True)
        except ConnectorError as exc:
            if exc.applied is Applied.NO:  # otherwise they are all that the undo has
                await self._forget_after(exc, machine, open_ones)
            raise

    async def reconnect_machine(self, machine: VirtualMachine, reason: str) -> None:
        """Put the interfaces into the groups that the machine's tags remember, and remove these tags.

        Raises Conflict if the tags cannot be those of this quarantine: the machine is not cut off, they are about
        interfaces that it does not have, or name groups that there are not.
        """
        node = await self._instance(machine)
        tags, interfaces = tags_of(node), interfaces_of(node)
        kept = {each: groups for each in interfaces if (groups := groups_in(tags, each))}
        if not kept:
            raise Conflict(f"{self.name}: no tag of {machine.name} remembers groups to put it back into")
        group = await self._quarantine_group(node, must=False)
        if any(each.groups != (group,) for each in interfaces):
            raise Conflict(f"{self.name}: {machine.name} is not in the quarantine's security group alone")
        strange = sorted({key for key in tags if key.startswith(TAG_PREFIX)} - {each.tag for each in kept})
        if strange:
            raise Conflict(f"{self.name}: {machine.name} has no such interface: {', '.join(strange)}; {_BY_HAND}")
        await self._check_groups(machine, {each for groups in kept.values() for each in groups})
        await self._put_into(kept, unsure_stays=False)
        try:
            await self._forget(machine, kept)
        except ConnectorError as exc:
            exc.applied = Applied.MAYBE
            raise

    async def _check_groups(self, machine: VirtualMachine, wanted: Set[str]) -> None:
        params = {"Filter": [{"Name": "group-id", "Value": sorted(wanted)}]}
        found = await self.aws.pages(EC2, "DescribeSecurityGroups", params, "securityGroupInfo")
        gone = sorted(wanted - {each.text("groupId") for each in found})
        if gone:
            raise Conflict(f"{self.name}: the tags of {machine.name} name {', '.join(gone)}, which is gone; {_BY_HAND}")

    async def _remember(self, machine: VirtualMachine, interfaces: list[Interface]) -> None:
        tags = [{"Key": each.tag, "Value": remembered(each)} for each in interfaces]
        try:
            await self.aws.form(EC2, "CreateTags", {"ResourceId": [machine.id], "Tag": tags})
        except ConnectorError as exc:
            if exc.applied is Applied.MAYBE:
                await self._forget_after(exc, machine, interfaces)
            raise

    async def _forget(self, machine: VirtualMachine, interfaces: Iterable[Interface]) -> None:
        params = {"ResourceId": [machine.id], "Tag": [{"Key": each.tag} for each in interfaces]}
        await self.aws.form(EC2, "DeleteTags", params)

    async def _forget_after(self, why: ConnectorError, machine: VirtualMachine, interfaces: list[Interface]) -> None:
        """Remove the tags of a quarantine that was not made. Raises OutcomeUnknown, naming them, if that fails too."""
        try:
            await self._forget(machine, interfaces)
        except ConnectorError as exc:
            keys = ", ".join(each.tag for each in interfaces)
            raise OutcomeUnknown(
                f"{why.message}; remove the tags {keys} of {machine.id}, which could not be removed: {exc.message}"
            ) from why

    async def _put_into(self, groups: Mapping[Interface, Sequence[str]], *, unsure_stays: bool) -> None:
        """Set the security groups of all interfaces. If one is refused, those before it are put back.

        `unsure_stays` says what happens where nobody knows what became of a request for one of several: it may have
        been the last one that cuts a machine off, which is left; half a way back would count as the whole.
        """
        begun: list[Interface] = []
        for interface, wanted in groups.items():
            try:
                await self._modify(interface, wanted)
            except ConnectorError as exc:
                unsure = exc.applied is Applied.MAYBE
                if not unsure or not (unsure_stays or len(groups) == 1):
                    await self._put_back([*begun, interface] if unsure else begun, exc)
                raise
            begun.append(interface)

    async def _put_back(self, interfaces: Sequence[Interface], why: ConnectorError) -> None:
        """Put interfaces back into the groups that they came from. Raises OutcomeUnknown if that fails too."""
        for each in reversed(interfaces):
            try:
                await self._modify(each, each.groups)
            except ConnectorError as exc:
                former = ", ".join(each.groups)
                raise OutcomeUnknown(
                    f"{why.message}; {each.id} was changed, and could not be put back into {former}: {exc.message}"
                ) from why

    async def _modify(self, interface: Interface, groups: Sequence[str]) -> None:
        params = {"NetworkInterfaceId": interface.id, "SecurityGroupId": list(groups)}
        await self.aws.form(EC2, "ModifyNetworkInterfaceAttribute", params)

    # --- reading

    async def _machines(self, filters: Mapping[str, Sequence[str]]) -> list[VirtualMachine]:
        region = self.settings.region
        nodes = await self._instances({**filters, "instance-state-name": _LIVING}, MaxResults=_PAGE)
        return [machine_of(self.name, region, account, each) for account, each in nodes]

    async def _instance(self, machine: VirtualMachine) -> Node:
        if not _INSTANCE_ID.fullmatch(machine.id):
            raise Invalid(f"{self.name}: {machine.id[:80]!r} is no instance's ID")
        found = await self._instances({"instance-id": [machine.id]})
        if not found:
            raise NotFound(f"{self.name}: there is no instance {machine.id} in {self.settings.region}")
        return found[0][1]

    async def _instances(self, filters: Mapping[str, Sequence[str]], **more: Any) -> list[tuple[str, Node]]:
        params = {"Filter": [{"Name": key, "Value": list(values)} for key, values in filters.items()], **more}
        reservations = await self.aws.pages(EC2, "DescribeInstances", params, "reservationSet")
        return [(each.text("ownerId"), node) for each in reservations for node in each.all_under("instancesSet")]

    async def _quarantine_group(self, node: Node, *, must: bool) -> str:
        """Return the ID of the quarantine's group in a machine's network; "" if there is none and there need not be."""
        network, name = node.maybe("vpcId"), self.settings.quarantine_group
        if network is None:
            raise Unsupported(f"{self.name}: {node.text('instanceId')} is in no VPC (is it terminated?)")
        filters = [{"Name": "vpc-id", "Value": [network]}, {"Name": "group-name", "Value": [_literal(name)]}]
        found = await self.aws.pages(EC2, "DescribeSecurityGroups", {"Filter": filters}, "securityGroupInfo")
        groups = [each for each in found if each.text("groupName") == name]
        if not must:
            return groups[0].text("groupId") if groups else ""
        if not groups:
            raise Unsupported(f"{self.name}: {network} has no security group {name!r}; create it there, without rules")
        for rules, way in (("ipPermissionsEgress", "out"), ("ipPermissions", "in")):
            if groups[0].all_maybe(rules):
                raise Unsupported(f"{self.name}: {name!r} in {network} lets traffic {way}; remove all of its rules")
        return groups[0].text("groupId")


def _filters_for(name: str) -> list[dict[str, list[str]]]:
    """Return the searches that find a machine of this name. EC2's own comparison of names knows case, so ours is it."""
    if _INSTANCE_ID.fullmatch(name.casefold()):
        return [{"instance-id": [name.casefold()]}]
    try:
        address = ip_address(name)
    except ValueError:
        return [{"tag-key": ["Name"]}]
    return [{key: [str(address)]} for key in _ADDRESS_FILTERS[address.version]]


def _same(alias: str, name: str) -> bool:
    return alias.casefold() == name.casefold() or (_address(alias) is not None and _address(alias) == _address(name))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _literal(text: str) -> str:
    """Return a filter's value that stands for this very text: `*` and `?` would stand for others."""
    return re.sub(r"([*?\\])", r"\\\1", text)
