"""Virtual machines as EC2 describes them, and what is remembered of their network interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hikeshi.capabilities import VirtualMachine
from hikeshi.connector import Unsupported
from hikeshi_connectors.aws.answers import Node

__all__ = ["TAG_PREFIX", "Interface", "groups_in", "interfaces_of", "machine_of", "remembered", "tags_of"]

TAG_PREFIX: Final = "hikeshi:groups:"
_OWN_TAGS: Final = "hikeshi:"
_TAG_VALUE_MOST: Final = 256  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface of a machine, and the security groups that it is in."""

    id: str
    groups: tuple[str, ...]

    @property
    def tag(self) -> str:
        """The key of the machine's tag that remembers this interface's groups."""
        return f"{TAG_PREFIX}{self.id}"


def machine_of(connector: str, region: str, account: str, node: Node) -> VirtualMachine:
    """Return the machine that EC2 describes. Tags are `key=value`, without those that Hikeshi keeps there."""
    tags = tags_of(node)
    return VirtualMachine(
        connector=connector,
        id=node.text("instanceId"),
        name=tags.get("Name") or node.text("instanceId"),
        account=account,
        region=region,
        state=node.under("instanceState").text("name"),
        ips=tuple(dict.fromkeys(_addresses(node))),
        network=node.maybe("vpcId"),
        tags=tuple(f"{key}={tags[key]}" for key in sorted(tags) if not key.startswith(_OWN_TAGS)),
    )


def interfaces_of(node: Node) -> list[Interface]:
    """Return the network interfaces of a machine, by ID."""
    found = [
        Interface(
            each.text("networkInterfaceId"), tuple(sorted(one.text("groupId") for one in each.all_under("groupSet")))
        )
        for each in node.all_under("networkInterfaceSet")
    ]
    return sorted(found, key=lambda interface: interface.id)


def tags_of(node: Node) -> dict[str, str]:
    return {each.text("key"): each.maybe("value") or "" for each in node.all_maybe("tagSet")}


def remembered(interface: Interface) -> str:
    """Return the tag's value that remembers an interface's groups. Raises Unsupported if it has too many for a tag."""
    value = " ".join(interface.groups)
    if len(value) > _TAG_VALUE_MOST:
        raise Unsupported(f"{interface.id} is in more security groups than a tag can remember for the undo")
    return value


def groups_in(tags: Mapping[str, str], interface: Interface) -> tuple[str, ...]:
    """Return the groups that a machine's tags remember for an interface; nothing if they don't."""
    return tuple(tags.get(interface.tag, "").split())


def _addresses(node: Node) -> Iterable[str]:
    yield from filter(None, (node.maybe("privateIpAddress"), node.maybe("ipAddress")))
    for interface in node.all_under("networkInterfaceSet"):
        for each in interface.all_maybe("privateIpAddressesSet"):
            association = each.child("association")
            public = association.maybe("publicIp") if association is not None else None
            yield from filter(None, (each.maybe("privateIpAddress"), public))
        yield from filter(None, (each.maybe("ipv6Address") for each in interface.all_maybe("ipv6AddressesSet")))
