"""EC2's part of the simulation: filters with wildcards, pages, security groups of interfaces, tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hikeshi_connectors.aws.simulated_signature import Refusal
from hikeshi_connectors.aws.simulator import ACCOUNT
from hikeshi_connectors.aws_network.simulated_state import State

__all__ = ["SimulatedEc2"]

_TAG_VALUE_MOST = 256
_GROUPS_MOST = 5
_ENTRIES_MOST = 20
Item = dict[str, Any]
_Operation = Callable[[Item], Mapping[str, Any]]
_FACTS: Mapping[str, Callable[[Item], Iterable[str]]] = {
    "instance-id": lambda each: [each["id"]],
    "instance-state-name": lambda each: [each["state"]],
    "tag-key": lambda each: each["tags"],
    "network-interface.addresses.private-ip-address": lambda each: _ips(each, v6=False),
    "network-interface.addresses.association.public-ip": lambda _: [],
    "network-interface.ipv6-addresses.ipv6-address": lambda each: _ips(each, v6=True),
    "vpc-id": lambda each: [each["vpc"]],
    "group-name": lambda each: [each["name"]],
    "group-id": lambda each: [each["id"]],
}


class SimulatedEc2:
    """Operations of EC2 over a state; `most` is the longest page.

    `refused_after` says after how many further requests an operation is refused, as by a policy with conditions.
    """

    def __init__(self, state: Callable[[], State], most: Callable[[], int]) -> None:
        self._state = state
        self._most = most
        self.refused_after: dict[str, int] = {}

    def operations(self) -> dict[str, _Operation]:
        found: dict[str, _Operation] = {
            "DescribeInstances": self._describe_instances,
            "DescribeSecurityGroups": self._describe_groups,
            "ModifyNetworkInterfaceAttribute": self._modify_interface,
            "DescribeNetworkAcls": self._describe_acls,
            "CreateNetworkAclEntry": self._create_entry,
            "DeleteNetworkAclEntry": self._delete_entry,
            "CreateTags": self._create_tags,
            "DeleteTags": self._delete_tags,
        }
        return {name: self._until_refused(name, each) for name, each in found.items()}

    def _until_refused(self, name: str, operation: _Operation) -> _Operation:
        def serve(params: Item) -> Mapping[str, Any]:
            left = self.refused_after.get(name)
            if left == 0:
                raise Refusal(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
            if left is not None:
                self.refused_after[name] = left - 1
            return operation(params)

        return serve

    def _describe_instances(self, params: Item) -> Mapping[str, Any]:
        found, more = self._page(_filtered(self._state()["machines"].values(), params), params)
        groups = self._state()["groups"]
        shown = [{"ownerId": ACCOUNT, "instancesSet": [_instance(each, groups)]} for each in found]
        return {"reservationSet": shown, **more}

    def _describe_groups(self, params: Item) -> Mapping[str, Any]:
        groups = [{"id": key, **group} for key, group in self._state()["groups"].items()]
        found, more = self._page(_filtered(groups, params), params)
        return {"securityGroupInfo": [_group(each) for each in found], **more}

    def _modify_interface(self, params: Item) -> Mapping[str, Any]:
        wanted: list[str] = params.get("SecurityGroupId", [])
        for each in wanted:
            if each not in self._state()["groups"]:
                raise Refusal(400, "InvalidGroup.NotFound", f"The security group '{each}' does not exist")
        if not 1 <= len(wanted) <= _GROUPS_MOST:
            raise Refusal(400, "SecurityGroupsPerInterfaceLimitExceeded", "Too many security groups for an interface.")
        for machine in self._state()["machines"].values():
            if params["NetworkInterfaceId"] in machine["interfaces"]:
                machine["interfaces"][params["NetworkInterfaceId"]]["groups"] = list(wanted)
                return {"return": True}
        text = f"The networkInterface ID '{params['NetworkInterfaceId']}' does not exist"
        raise Refusal(400, "InvalidNetworkInterfaceID.NotFound", text)

    def _describe_acls(self, params: Item) -> Mapping[str, Any]:
        wanted = params.get("NetworkAclId") or list(self._state()["acls"])
        return {
            "networkAclSet": [{"networkAclId": each, "entrySet": list(map(_shown, self._acl(each)))} for each in wanted]
        }

    def _create_entry(self, params: Item) -> Mapping[str, Any]:
        entries, number, egress = (
            self._acl(params["NetworkAclId"]),
            int(params["RuleNumber"]),
            params["Egress"] == "true",
        )
        if any((each["number"], each["egress"]) == (number, egress) for each in entries):
            text = f"The network acl entry identified by {number} already exists."
            raise Refusal(400, "NetworkAclEntryAlreadyExists", text)
        if sum(each["egress"] is egress for each in entries) >= _ENTRIES_MOST:
            raise Refusal(
                400, "NetworkAclEntryLimitExceeded", "The maximum number of network acl entries has been reached."
            )
        cidr = params.get("CidrBlock") or params["Ipv6CidrBlock"]
        made = {"number": number, "action": params["RuleAction"], "protocol": params["Protocol"], "cidr": cidr}
        entries.append({**made, "egress": egress})
        entries.sort(key=lambda each: (each["egress"], each["number"]))
        return {"return": True}

    def _delete_entry(self, params: Item) -> Mapping[str, Any]:
        entries, number, egress = (
            self._acl(params["NetworkAclId"]),
            int(params["RuleNumber"]),
            params["Egress"] == "true",
        )
        kept = [each for each in entries if (each["number"], each["egress"]) != (number, egress)]
        if len(kept) == len(entries):
            raise Refusal(400, "InvalidNetworkAclEntry.NotFound", f"The network acl entry {number} does not exist.")
        entries[:] = kept
        return {"return": True}

    def _acl(self, key: str) -> list[Item]:
        if key not in self._state()["acls"]:
            raise Refusal(400, "InvalidNetworkAclID.NotFound", f"The networkAcl ID '{key}' does not exist")
        return self._state()["acls"][key]

    def _create_tags(self, params: Item) -> Mapping[str, Any]:
        for tags in self._tags_of(params):
            for each in params["Tag"]:
                if len(each["Value"]) > _TAG_VALUE_MOST or not re.fullmatch(r"[\w .:/=+@-]*", each["Value"]):
                    raise Refusal(400, "InvalidParameterValue", f"Tag value {each['Value'][:40]} is not valid.")
                tags[each["Key"]] = each["Value"]
        return {"return": True}

    def _delete_tags(self, params: Item) -> Mapping[str, Any]:
        for tags in self._tags_of(params):
            for each in params["Tag"]:
                tags.pop(each["Key"], None)
        return {"return": True}

    def _tags_of(self, params: Item) -> list[dict[str, str]]:
        machines = self._state()["machines"]
        for each in params["ResourceId"]:
            if each not in machines:
                raise Refusal(400, "InvalidInstanceID.NotFound", f"The instance ID '{each}' does not exist")
        return [machines[each]["tags"] for each in params["ResourceId"]]

    def _page(self, items: Sequence[Item], params: Item) -> tuple[Sequence[Item], dict[str, str]]:
        most = min(int(params.get("MaxResults", 1000)), self._most())
        start = int(params.get("NextToken", 0))
        more = {"nextToken": str(start + most)} if len(items) > start + most else {}
        return items[start : start + most], more


def _filtered(items: Iterable[Item], params: Item) -> list[Item]:
    found = sorted(items, key=lambda each: str(each["id"]))
    for each in params.get("Filter", []):
        if each["Name"] not in _FACTS:
            raise Refusal(400, "InvalidParameterValue", f"The filter '{each['Name']}' is invalid")
        patterns = [_pattern(value) for value in each["Value"]]
        facts = _FACTS[each["Name"]]
        found = [item for item in found if any(one.fullmatch(fact) for fact in facts(item) for one in patterns)]
    return found


def _pattern(value: str) -> re.Pattern[str]:
    """Return what a filter's value stands for: `*` and `?` are wildcards, a backslash takes their meaning away."""
    parts = re.findall(r"\\.|\*|\?|[^*?\\]+|\\", value, re.DOTALL)
    return re.compile("".join({"*": ".*", "?": "."}.get(part) or re.escape(part.removeprefix("\\")) for part in parts))


def _instance(machine: Item, groups: Mapping[str, Any]) -> Item:
    interfaces = [
        {
            "networkInterfaceId": key,
            "groupSet": [{"groupId": each, "groupName": groups[each]["name"]} for each in interface["groups"]],
            "privateIpAddressesSet": [] if ":" in interface["ip"] else [{"privateIpAddress": interface["ip"]}],
            "ipv6AddressesSet": [{"ipv6Address": interface["ip"]}] if ":" in interface["ip"] else [],
        }
        for key, interface in sorted(machine["interfaces"].items())
    ]
    private = next(iter(_ips(machine, v6=False)), None)
    return {
        "instanceId": machine["id"],
        "instanceState": {"name": machine["state"]},
        **({"privateIpAddress": private} if private else {}),
        **({"vpcId": machine["vpc"]} if machine["state"] != "terminated" else {}),
        **(
            {"tagSet": [{"key": key, "value": value} for key, value in machine["tags"].items()]}
            if machine["tags"]
            else {}
        ),
        "networkInterfaceSet": interfaces,
    }


def _group(group: Item) -> Item:
    shown = {"groupId": group["id"], "groupName": group["name"], "vpcId": group["vpc"], "ownerId": ACCOUNT}
    ways = {"ipPermissions": group.get("ingress", []), "ipPermissionsEgress": group["egress"]}
    return {**shown, **{name: _rules(ranges) for name, ranges in ways.items()}}


def _rules(ranges: Sequence[str]) -> list[Item]:
    return [{"ipProtocol": "-1", "ipRanges": [{"cidrIp": each} for each in ranges]}] if ranges else []


def _shown(entry: Item) -> Item:
    cidr = {"ipv6CidrBlock" if ":" in entry["cidr"] else "cidrBlock": entry["cidr"]}
    shown = {"ruleNumber": entry["number"], "protocol": entry["protocol"], "ruleAction": entry["action"]}
    return {**shown, "egress": entry["egress"], **cidr}


def _ips(machine: Item, *, v6: bool) -> list[str]:
    return [each["ip"] for each in machine["interfaces"].values() if (":" in each["ip"]) is v6]
