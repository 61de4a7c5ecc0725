"""A simulation of the part of EC2 and WAF that the connector uses.

State: `product_state["aws_network"]`, made of the estate's servers unless the estate has it already.
Sources: the API references of EC2 and WAFV2.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, ClassVar

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi_connectors.aws.simulated_signature import Refusal
from hikeshi_connectors.aws.simulator import ACCOUNT, AwsSimulator, Operation
from hikeshi_connectors.aws_network.simulated_ec2 import SimulatedEc2
from hikeshi_connectors.aws_network.simulated_state import IP_SET_V4, IP_SET_V6, QUARANTINE, State, state_of

__all__ = ["AwsNetworkSimulator"]

_ADDRESSES_MOST = 10_000
_ARN = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:regional/ipset/hikeshi/"


class AwsNetworkSimulator(AwsSimulator):
    """EC2, WAF and STS below `/aws_network/`.

    `somebody_else` has so many further updates of an IP set happen right before ours, each of which makes a lock stale.
    `ec2.refused_after` has operations of EC2 refused after so many further requests.
    """

    product = "aws_network"
    instance_name = "aws_network"
    demo_settings: ClassVar[Mapping[str, str]] = {
        **AwsSimulator.demo_settings,
        "ip_set_v4": f"{_ARN}{IP_SET_V4}",
        "ip_set_v6": f"{_ARN}{IP_SET_V6}",
    }
    reads = frozenset(
        {"ec2:DescribeInstances", "ec2:DescribeSecurityGroups", "ec2:DescribeNetworkAcls", "wafv2:GetIPSet"}
    )

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        self.ec2 = SimulatedEc2(lambda: self._state, lambda: self.most_on_a_page)
        super().__init__(estate, faults=faults, credentials=credentials)
        self.somebody_else = 0
        state_of(estate)

    def operations(self) -> Mapping[str, Mapping[str, Operation]]:
        return {"ec2": self.ec2.operations(), "wafv2": {"GetIPSet": self._get, "UpdateIPSet": self._update}}

    def shows(self) -> dict[str, Any]:
        machines = self._state["machines"].values()
        return {
            "blocked": sorted(entry for each in self._state["ip_sets"].values() for entry in each["addresses"]),
            "denied": sorted(
                {each["cidr"] for acl in self._state["acls"].values() for each in acl if each["action"] == "deny"}
            ),
            "quarantined": sorted(
                each["tags"].get("Name", each["id"])
                for each in machines
                if all(one["groups"] == [QUARANTINE] for one in each["interfaces"].values())
            ),
        }

    @property
    def _state(self) -> State:
        return state_of(self.estate)

    def _get(self, params: dict[str, Any]) -> Mapping[str, Any]:
        found = self._ip_set(params)
        shown = {
            "Name": found["name"],
            "Id": params["Id"],
            "ARN": f"{_ARN}{params['Id']}",
            "Description": found["description"],
            "IPAddressVersion": found["version"],
            "Addresses": found["addresses"],
        }
        return {"IPSet": shown, "LockToken": _token(found)}

    def _update(self, params: dict[str, Any]) -> Mapping[str, Any]:
        found = self._ip_set(params)
        if self.somebody_else:
            self.somebody_else -= 1
            number = 203 + len(found["addresses"]) % 50
            found["addresses"].append(
                f"198.51.100.{number}/32" if found["version"] == "IPV4" else f"2001:db8::{number}/128"
            )
        if params.get("LockToken") != _token(found):
            text = "WAF couldn’t save your changes because someone changed the resource after you started to edit it."
            raise Refusal(400, "WAFOptimisticLockException", text)
        addresses = params["Addresses"]
        if len(addresses) > _ADDRESSES_MOST:
            raise Refusal(
                400, "WAFLimitsExceededException", "Your request exceeds the limit of addresses in an IP set."
            )
        found["addresses"] = list(dict.fromkeys(_as_waf_writes(each, found["version"]) for each in addresses))
        found["description"] = params.get("Description", "")
        return {"NextLockToken": _token(found)}

    def _ip_set(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] | None = self._state["ip_sets"].get(params.get("Id", ""))
        if found is None or (found["name"], found["scope"]) != (params.get("Name"), params.get("Scope")):
            raise Refusal(400, "WAFNonexistentItemException", "WAF couldn’t perform the operation: no such resource.")
        return found


def _token(ip_set: Mapping[str, Any]) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "\n".join([ip_set["description"], *ip_set["addresses"]])))


def _as_waf_writes(entry: str, version: str) -> str:
    """Return an entry as WAF gives it back: of an IPv6 address, every digit."""
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in entry or f"IPV{network.version}" != version or network.prefixlen == 0:
        raise Refusal(
            400, "WAFInvalidParameterException", "Error reason: The parameter contains formatting that is not valid."
        )
    return network.exploded if network.version == 6 else entry
