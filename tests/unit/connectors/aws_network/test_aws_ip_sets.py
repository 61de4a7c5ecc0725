"""What is sent to WAF, and what happens when somebody else edits the same IP set."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, Invalid, PartialFailure, Secret, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.settings import NetworkSettings

ID = "11111111-2222-4333-8444-000000000004"
ARN = f"arn:aws:wafv2:eu-central-1:123456789012:regional/ipset/blocked/{ID}"
KEYS = {"access_key_id": Secret.of_value("AKIAINVENTEDKEY00001"), "secret_access_key": Secret.of_value("invented")}
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
RANGE = Indicator(kind="cidr", value="203.0.113.0/24")
SIXTH = Indicator(kind="ipv6", value="2001:db8::9")


class Waf:
    """One IP set. `intruders` are entries that somebody else adds, each right before an update of ours."""

    def __init__(self, *addresses: str, intruders: tuple[str, ...] = (), version: str = "IPV4") -> None:
        self.addresses = list(addresses)
        self.intruders = list(intruders)
        self.version = version
        self.token = 0
        self.updates: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", "https://wafv2.eu-central-1.amazonaws.com/")
        assert request.headers["content-type"] == "application/x-amz-json-1.1"
        assert (
            "/eu-central-1/wafv2/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-target"
            in (request.headers["authorization"])
        )
        body = json.loads(request.content)
        operation = request.headers["x-amz-target"].removeprefix("AWSWAF_20190729.")
        if operation == "GetIPSet":
            shown = {"Addresses": self.addresses, "IPAddressVersion": self.version, "ARN": ARN, "Description": "ours"}
            return httpx.Response(200, json={"IPSet": shown, "LockToken": f"t{self.token}"})
        assert operation == "UpdateIPSet"
        if self.intruders:
            self.addresses.append(self.intruders.pop(0))
            self.token += 1
        if body["LockToken"] != f"t{self.token}":
            return httpx.Response(400, json={"__type": "WAFOptimisticLockException", "Message": "stale"})
        self.updates.append(body)
        self.addresses, self.token = body["Addresses"], self.token + 1
        return httpx.Response(200, json={"NextLockToken": f"t{self.token}"})


def connector(waf: Waf, **more: Any) -> AwsNetwork:
    settings = {"region": "eu-central-1", "ip_set_v4": ARN, **KEYS, **more}
    built = build(AwsNetwork, "net", settings, Redactor(), transport=httpx.MockTransport(waf))
    assert isinstance(built, AwsNetwork)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="firewall.change", intended=True)):
        assert await change is None


async def test_a_block_is_one_update_with_everybodys_entries() -> None:
    """The whole list is sent, with what others wrote, each address as a network, and the description that was there."""
    waf = Waf("192.0.2.44/32")
    await live(connector(waf).block_indicators([ADDRESS, RANGE, ADDRESS], "r", 3600))
    entries = ["192.0.2.44/32", "203.0.113.9/32", "203.0.113.0/24"]
    sent = {"Name": "blocked", "Scope": "REGIONAL", "Id": ID, "Addresses": entries, "LockToken": "t0"}
    assert waf.updates == [{**sent, "Description": "ours"}]


async def test_an_unblock_takes_out_exactly_these_entries() -> None:
    """A network that covers the address stays, and so does what others wrote."""
    waf = Waf("192.0.2.44/32", "203.0.113.9/32", "203.0.113.0/24")
    await live(connector(waf).unblock_indicators([ADDRESS], "r"))
    assert waf.addresses == ["192.0.2.44/32", "203.0.113.0/24"]


async def test_a_stale_lock_is_answered_by_reading_and_editing_anew() -> None:
    """What somebody else adds in between is kept, however often it happens within reason."""
    waf = Waf("192.0.2.44/32", intruders=("198.51.100.1/32", "198.51.100.2/32"))
    await live(connector(waf).block_indicators([ADDRESS], "r"))
    assert waf.addresses == ["192.0.2.44/32", "198.51.100.1/32", "198.51.100.2/32", "203.0.113.9/32"]


async def test_an_ip_set_that_never_rests_is_a_conflict() -> None:
    """After six tries somebody has to look; ours was never written."""
    waf = Waf(intruders=tuple(f"198.51.100.{n}/32" for n in range(50)))
    with pytest.raises(Conflict, match="WAFOptimisticLockException"):
        await live(connector(waf).block_indicators([ADDRESS], "r"))
    assert waf.updates == []


async def test_what_is_so_already_is_a_conflict() -> None:
    """Nothing is sent for a list that would not differ."""
    waf = Waf("203.0.113.9/32")
    with pytest.raises(Conflict):
        await live(connector(waf).block_indicators([ADDRESS], "r"))
    assert waf.updates == []


async def test_ipv6_entries_are_compared_as_networks() -> None:
    """WAF gives addresses back with every digit; they are the same ones."""
    waf = Waf("2001:0db8:0000:0000:0000:0000:0000:0009/128", version="IPV6")
    aws = connector(waf, ip_set_v4=None, ip_set_v6=ARN)
    assert [each.blocked for each in await aws.blocks_of([SIXTH, ADDRESS])] == [True, False]


async def test_addresses_without_an_ip_set_are_refused_and_the_others_blocked() -> None:
    """Which were refused is told by their values; alone, such an address is Unsupported."""
    waf = Waf()
    with pytest.raises(PartialFailure) as caught:
        await live(connector(waf).block_indicators([SIXTH, ADDRESS], "r"))
    assert list(caught.value.failures) == [SIXTH.value]
    assert waf.addresses == ["203.0.113.9/32"]
    with pytest.raises(Unsupported):
        await live(connector(waf).block_indicators([SIXTH], "r"))


async def test_an_ip_set_of_the_other_version_is_noticed() -> None:
    """Settings that name the wrong IP set are an error, not an empty list."""
    with pytest.raises(Invalid):
        await connector(Waf(version="IPV6")).blocks_of([ADDRESS])


def test_an_ip_set_is_in_the_instances_region() -> None:
    """Another region's IP set would not be found; it is refused when the settings are read."""
    with pytest.raises(ValidationError, match="is not an IP set in us-east-1"):
        NetworkSettings.model_validate({"region": "us-east-1", "ip_set_v4": ARN, **KEYS})
