"""Rules of a project for what belongs to no instance yet: which of them an address or a name goes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from hikeshi.quick_dataclass import dataclass

__all__ = ["RoutingRule", "rule_for"]

_Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class RoutingRule:
    """What lies in one of `networks`, or has a name that one of `names` fits, goes to the instances `to` alone."""

    networks: tuple[str, ...]
    names: tuple[str, ...]
    to: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"networks": list(self.networks), "names": list(self.names), "to": list(self.to)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RoutingRule:
        return cls(tuple(data["networks"]), tuple(data["names"]), tuple(data["to"]))

    @cached_property
    def _parsed(self) -> tuple[_Network, ...]:
        return tuple(ip_network(each, strict=False) for each in self.networks)

    def fits(self, value: str) -> bool:
        """Say whether an address, a network, a name or a URL falls under this rule."""
        text = _host(value).rstrip(".").casefold()
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            return any(fnmatchcase(text, name.casefold()) for name in self.names)
        return any(network.version == own.version and network.subnet_of(own) for own in self._parsed)  # type: ignore[arg-type]  # both of one version


def rule_for(value: str, rules: Sequence[RoutingRule]) -> RoutingRule | None:
    """Return the first rule that a value falls under, or None: then it goes wherever it could go without rules."""
    return next((rule for rule in rules if rule.fits(value)), None)


def _host(value: str) -> str:
    if "://" not in value:
        return value.rpartition("@")[2]  # the domain of an e-mail address
    try:
        return urlsplit(value).hostname or value
    except ValueError:
        return value
