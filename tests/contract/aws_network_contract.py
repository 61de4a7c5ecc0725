"""How the contract kit calls AWS's network."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.simulated_state import (
    IP_SET_V4,
    IP_SET_V6,
    OPEN_GROUP,
    QUARANTINE,
    empty_network,
    new_machine,
)
from hikeshi_connectors.aws_network.simulator import AwsNetworkSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FOREIGN = ["192.0.2.44/32", "198.51.100.0/24"]
BOTH = [
    Indicator(kind="ipv4", value="203.0.113.9"),
    Indicator(kind="cidr", value="203.0.113.128/25"),
    Indicator(kind="ipv6", value="2001:db8::9"),
]
MACHINE = one("cloud.find_machines", name="web-1")
CHANGE = {"machine": MACHINE, "reason": "r"}


def estate() -> EstateState:
    state: Any = empty_network()
    state["ip_sets"][IP_SET_V4]["addresses"] = list(FOREIGN)
    state["groups"]["sg-0a00000000000002"] = {**state["groups"][OPEN_GROUP], "name": "web"}
    machine = new_machine(1, "web-1", ips=["10.0.0.7", "2001:db8::7"], groups=(OPEN_GROUP, "sg-0a00000000000002"))
    state["machines"][machine["id"]] = machine
    return EstateState("small", BASE, product_state={"aws_network": state})


def of(estate: Estate) -> Any:
    return estate.product_state["aws_network"]


def many(estate: Estate) -> int:
    more = [new_machine(n, "WEB-1" if n % 2 else f"db-{n}", ips=[f"10.1.{n // 200}.{n % 200}"]) for n in range(2, 302)]
    of(estate)["machines"].update({each["id"]: each for each in more})
    return 151


def groups(estate: Estate) -> set[str]:
    return {
        group
        for each in of(estate)["machines"].values()
        for one in each["interfaces"].values()
        for group in one["groups"]
    }


CONTRACT = Contract(
    connector=AwsNetwork,
    simulator=AwsNetworkSimulator,
    settings={"role_arn": "arn:aws:iam::123456789012:role/hikeshi", "requests_per_minute": 60_000},
    estate=estate,
    cases=[
        Case("firewall.blocks_of", {"indicators": BOTH}),
        Case(
            "firewall.block_indicators",
            {"indicators": BOTH, "reason": "r", "expires_in_s": 3600},
            expect=lambda e: (
                of(e)["ip_sets"][IP_SET_V4]["addresses"] == [*FOREIGN, "203.0.113.9/32", "203.0.113.128/25"]
                and len(of(e)["ip_sets"][IP_SET_V6]["addresses"]) == 1
            ),
        ),
        Case(
            "firewall.unblock_indicators",
            {"indicators": BOTH, "reason": "r"},
            after="firewall.block_indicators",
            expect=lambda e: of(e)["ip_sets"][IP_SET_V4]["addresses"] == FOREIGN,
        ),
        Case("cloud.find_machines", {"name": "Web-1"}, fill=many),
        Case("cloud.find_machines", {"name": "2001:DB8:0::7"}),
        Case("cloud.network_of", {"machine": MACHINE}),
        Case("cloud.quarantine_machine", CHANGE, expect=lambda e: groups(e) == {QUARANTINE}),
        Case(
            "cloud.reconnect_machine",
            CHANGE,
            after="cloud.quarantine_machine",
            expect=lambda e: groups(e) == {OPEN_GROUP, "sg-0a00000000000002"},
        ),
    ],
    exempt={
        "rate_limit_hint": "AWS does not say for how long to wait; that it is RateLimited has a test of its own",
        "native_expiry_ends_a_change": "an entry of an IP set has no end; the engine's own hold ends it",
        "secrets_are_never_shown": "each request has a signature of its own in a header, good for nothing else and "
        "not to be masked; that keys and tokens are shown nowhere has a test of its own",
    },
)
