"""What a simulated network holds: IP sets, security groups and machines, as plain JSON values."""

from __future__ import annotations

from typing import Any, TypedDict

from hikeshi.testing.estate import Estate

__all__ = [
    "IP_SET_V4",
    "IP_SET_V6",
    "NETWORK",
    "OPEN_GROUP",
    "QUARANTINE",
    "State",
    "empty_network",
    "new_machine",
    "state_of",
]

NETWORK = "vpc-0a00000000000001"
OPEN_GROUP = "sg-0a00000000000001"
QUARANTINE = "sg-0a0000000000000f"
NETWORK_ACL = "acl-0a00000000000001"
IP_SET_V4 = "11111111-2222-4333-8444-000000000004"
IP_SET_V6 = "11111111-2222-4333-8444-000000000006"


class State(TypedDict):
    """`ip_sets`, `groups` and `machines` by their IDs; the entries of network ACLs, in order, by the ACLs' IDs."""

    ip_sets: dict[str, dict[str, Any]]
    acls: dict[str, list[dict[str, Any]]]
    groups: dict[str, dict[str, Any]]
    machines: dict[str, dict[str, Any]]


def state_of(estate: Estate) -> State:
    """Return the network's state; the first time, of a network in which the estate's servers run."""
    found: Any = estate.product_state.setdefault("aws_network", {})
    if not found:
        servers = [host for host in estate.hosts.values() if host.kind == "server"]
        machines = [new_machine(n, host.name, ips=host.ips) for n, host in enumerate(servers, 1)]
        found.update(empty_network())
        found["machines"] = {each["id"]: each for each in machines}
    state: State = found
    return state


def empty_network() -> State:
    """Return a network with two IP sets, an ordinary security group and the quarantine's."""
    anything = {"number": 100, "action": "allow", "protocol": "-1", "cidr": "0.0.0.0/0"}
    ip_set = {"name": "hikeshi", "scope": "REGIONAL", "description": "blocked by Hikeshi"}
    return {
        "ip_sets": {
            IP_SET_V4: {**ip_set, "version": "IPV4", "addresses": []},
            IP_SET_V6: {**ip_set, "version": "IPV6", "addresses": []},
        },
        "acls": {NETWORK_ACL: [{**anything, "egress": False}, {**anything, "egress": True}]},
        "groups": {
            OPEN_GROUP: {"name": "default", "vpc": NETWORK, "egress": ["0.0.0.0/0"]},
            QUARANTINE: {"name": "hikeshi-quarantine", "vpc": NETWORK, "egress": []},
        },
        "machines": {},
    }


def new_machine(number: int, name: str, *, ips: list[str], groups: tuple[str, ...] = (OPEN_GROUP,)) -> dict[str, Any]:
    """Return a running machine with one network interface for each of its addresses."""
    return {
        "id": f"i-{number:017x}",
        "vpc": NETWORK,
        "state": "running",
        "tags": {"Name": name},
        "interfaces": {f"eni-{number:015x}{n:02x}": {"ip": ip, "groups": list(groups)} for n, ip in enumerate(ips)},
    }
