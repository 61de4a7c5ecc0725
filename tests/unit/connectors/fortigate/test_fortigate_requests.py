"""The HTTP shapes of FortiGate: what is sent for each action, what a plan shows, and what cannot be asked for."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import hikeshi_connectors.fortigate
from hikeshi.capabilities import Block, Effect, Indicator
from hikeshi.connector import Conflict, ConnectorError, Invalid, NotFound, PartialFailure, Secret, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.fortigate import FortiGate

TOKEN = "unit-test-token"
ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
ADDRESS6 = Indicator(kind="ipv6", value="2001:DB8::0:7")
NETWORK = Indicator(kind="cidr", value="198.51.100.0/24")
NETWORK6 = Indicator(kind="cidr", value="2001:db8:1::/48")
BANNED = "/api/v2/monitor/user/banned"
CMDB = "/api/v2/cmdb/firewall"


class Wire:
    """Answers as a FortiGate does, from tables by path, and keeps what was asked."""

    def __init__(self, **more: Any) -> None:
        self.requests: list[httpx.Request] = []
        self.failing: dict[str, tuple[int, int]] = {}
        self.results: dict[str, Any] = {
            BANNED: [],
            f"{CMDB}/address": [{"name": "none", "type": "ipmask", "subnet": "0.0.0.0 255.255.255.255"}],
            f"{CMDB}/address6": [],
            f"{CMDB}/addrgrp/hikeshi-blocked": [{"name": "hikeshi-blocked", "member": [{"name": "none"}]}],
            f"{CMDB}/addrgrp6/hikeshi-blocked6": [{"name": "hikeshi-blocked6", "member": [{"name": "none"}]}],
            **more,
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if f"{request.method} {path}" in self.failing:
            status, code = self.failing[f"{request.method} {path}"]
            return httpx.Response(status, json={"status": "error", "http_status": status, "error": code})
        if request.method == "GET" and path not in self.results:
            return httpx.Response(404, json={"status": "error", "http_status": 404, "error": -3})
        return httpx.Response(200, json={"status": "success", "http_status": 200, "results": self.results.get(path)})

    @property
    def changes(self) -> list[tuple[str, str, Any]]:
        found = [each for each in self.requests if each.method != "GET"]
        assert all(str(each.url.params) == "vdom=root" for each in found)
        assert all(each.headers["authorization"] == f"Bearer {TOKEN}" for each in self.requests)
        return [(each.method, each.url.path, json.loads(each.content) if each.content else None) for each in found]


def fortigate(wire: Wire, **settings: Any) -> FortiGate:
    given = {"base_url": "https://fg.example", "token": Secret.of_value(TOKEN), **settings}
    connector = build(FortiGate, "fg", given, Redactor(), transport=httpx.MockTransport(wire))
    assert isinstance(connector, FortiGate)
    return connector


def door(mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.CHANGE, action="firewall.block_indicators", intended=mode == "live")


async def block(wire: Wire, *indicators: Indicator, expires_in_s: int | None = None, **settings: Any) -> None:
    with through(door()):
        await fortigate(wire, **settings).block_indicators(list(indicators), "c2 of case 7", expires_in_s)


async def unblock(wire: Wire, *indicators: Indicator, **settings: Any) -> None:
    with through(door()):
        await fortigate(wire, **settings).unblock_indicators(list(indicators), "false alarm")


async def test_addresses_are_banned_in_one_request():
    """Both families, canonical, with the end in seconds."""
    wire = Wire()
    await block(wire, ADDRESS, ADDRESS6, Indicator(kind="cidr", value="192.0.2.9/32"), expires_in_s=3600)
    addresses = ["203.0.113.7", "2001:db8::7", "192.0.2.9"]
    assert wire.changes == [("POST", f"{BANNED}/add_users", {"ip_addresses": addresses, "expiry": 3600})]


async def test_a_ban_without_an_end_is_asked_for_with_zero():
    """FortiOS takes 0 for never, so no shorter time may become it."""
    wire = Wire()
    await block(wire, ADDRESS)
    assert wire.changes[0][2]["expiry"] == 0
    with pytest.raises(Invalid, match="cannot expire"):
        await block(Wire(), ADDRESS, expires_in_s=0)


async def test_networks_become_objects_in_the_group():
    """An object, then a member; the other members of the group are never written."""
    wire = Wire()
    await block(wire, NETWORK, NETWORK6)
    assert sorted(wire.changes, key=lambda change: "6" in change[1]) == [
        (
            "POST",
            f"{CMDB}/address",
            {
                "name": "hikeshi-198.51.100.0_24",
                "comment": "c2 of case 7",
                "type": "ipmask",
                "subnet": "198.51.100.0 255.255.255.0",
            },
        ),
        ("POST", f"{CMDB}/addrgrp/hikeshi-blocked/member", {"name": "hikeshi-198.51.100.0_24"}),
        (
            "POST",
            f"{CMDB}/address6",
            {
                "name": "hikeshi-2001:db8:1::_48",
                "comment": "c2 of case 7",
                "type": "ipprefix",
                "ip6": "2001:db8:1::/48",
            },
        ),
        ("POST", f"{CMDB}/addrgrp6/hikeshi-blocked6/member", {"name": "hikeshi-2001:db8:1::_48"}),
    ]


async def test_what_is_half_done_is_finished():
    """An object that an earlier attempt left is not made again; what is grouped already needs nothing."""
    ours = {"name": "hikeshi-198.51.100.0_24", "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"}
    wire = Wire(**{f"{CMDB}/address": [ours]})
    await block(wire, NETWORK)
    assert wire.changes == [("POST", f"{CMDB}/addrgrp/hikeshi-blocked/member", {"name": ours["name"]})]
    members = [{"name": "hikeshi-blocked", "member": [{"name": ours["name"]}]}]
    wire = Wire(**{f"{CMDB}/address": [ours], f"{CMDB}/addrgrp/hikeshi-blocked": members})
    await block(wire, NETWORK)
    assert wire.changes == []


async def test_what_people_put_into_the_group_stays_there():
    """Ours goes out and is deleted; what still means the network is named, for it is still blocked."""
    objects = [
        {"name": "hikeshi-198.51.100.0_24", "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"},
        {"name": "Bad net #1", "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"},
    ]
    for there, applied in ((objects, "maybe"), (objects[1:], "no")):
        members = [{"name": "hikeshi-blocked", "member": [{"name": each["name"]} for each in there]}]
        wire = Wire(**{f"{CMDB}/address": there, f"{CMDB}/addrgrp/hikeshi-blocked": members})
        with pytest.raises(Conflict, match="also as Bad net #1") as caught:
            await unblock(wire, NETWORK)
        assert caught.value.applied == applied
        assert [change[:2] for change in wire.changes] == [
            ("DELETE", f"{CMDB}/addrgrp/hikeshi-blocked/member/hikeshi-198.51.100.0_24"),
            ("DELETE", f"{CMDB}/address/hikeshi-198.51.100.0_24"),
        ][: 2 if there is objects else 0]


async def test_an_object_of_ours_that_means_something_else_by_now_stays():
    """Somebody changed it, so it is theirs."""
    changed = {"name": "hikeshi-198.51.100.0_24", "type": "ipmask", "subnet": "192.0.2.0 255.255.255.0"}
    members = [{"name": "hikeshi-blocked", "member": [{"name": changed["name"]}]}]
    wire = Wire(**{f"{CMDB}/address": [changed], f"{CMDB}/addrgrp/hikeshi-blocked": members})
    await unblock(wire, NETWORK)
    assert wire.changes == []


async def test_an_object_that_is_used_elsewhere_may_stay():
    """It is out of the group, and an object by itself blocks nothing."""
    ours = {"name": "hikeshi-198.51.100.0_24", "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"}
    members = [{"name": "hikeshi-blocked", "member": [{"name": ours["name"]}]}]
    wire = Wire(**{f"{CMDB}/address": [ours], f"{CMDB}/addrgrp/hikeshi-blocked": members})
    wire.failing = {f"DELETE {CMDB}/address/hikeshi-198.51.100.0_24": (424, -23)}
    await unblock(wire, NETWORK)


async def test_addresses_can_be_grouped_like_networks():
    """That blocks what is sent to them as well."""
    wire = Wire()
    await block(wire, ADDRESS, addresses="group", expires_in_s=60)
    assert [change[1] for change in wire.changes] == [f"{CMDB}/address", f"{CMDB}/addrgrp/hikeshi-blocked/member"]
    assert wire.changes[0][2]["subnet"] == "203.0.113.7 255.255.255.255"


async def test_without_the_group_networks_are_refused_and_addresses_banned():
    """A new group would be in no policy, so none is made."""
    wire = Wire()
    del wire.results[f"{CMDB}/addrgrp/hikeshi-blocked"]
    with pytest.raises(PartialFailure) as caught:
        await block(wire, ADDRESS, NETWORK)
    assert list(caught.value.failures) == ["198.51.100.0/24"]
    assert "with the member 'none'" in caught.value.failures["198.51.100.0/24"].message
    assert len(wire.changes) == 1
    with pytest.raises(NotFound, match="make the group"):
        await block(wire, NETWORK)


async def test_what_would_meet_every_request_stops_the_rest():
    """After a lost connection the other networks are not tried, and each is told so."""
    wire = Wire()
    wire.failing = {f"POST {CMDB}/address": (503, -1)}
    second = Indicator(kind="cidr", value="192.0.2.0/25")
    with pytest.raises(PartialFailure) as caught:
        await block(wire, ADDRESS, NETWORK, second)
    assert [type(error) for error in caught.value.failures.values()] == [Unavailable, Unavailable]
    assert [error.applied for error in caught.value.failures.values()] == ["maybe", "no"]
    assert len([change for change in wire.changes if change[1] == f"{CMDB}/address"]) == 1


async def test_states_are_read_with_their_ends():
    """Exact entries only; a ban tells its end, a network has none."""
    end = datetime(2026, 7, 1, 12, tzinfo=UTC)
    banned = [
        {"ip_address": "203.0.113.7", "expires": int(end.timestamp()), "created": 1, "ipv6": False},
        {"ip_address": "2001:0DB8::7", "expires": 0, "created": 1, "ipv6": True},
    ]
    objects = [{"name": "x", "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"}, {"name": "f", "type": "fqdn"}]
    members = [{"name": "hikeshi-blocked", "member": [{"name": "x"}, {"name": "f"}]}]
    wire = Wire(**{BANNED: banned, f"{CMDB}/address": objects, f"{CMDB}/addrgrp/hikeshi-blocked": members})
    inside = Indicator(kind="ipv4", value="198.51.100.1")
    found = await fortigate(wire).blocks_of([ADDRESS, ADDRESS6, NETWORK, NETWORK6, inside])
    assert found[0] == Block(connector="fg", kind="ipv4", value="203.0.113.7", blocked=True, expires_at=end)
    assert [(each.value, each.blocked, each.expires_at) for each in found[1:]] == [
        ("2001:DB8::0:7", True, None),
        ("198.51.100.0/24", True, None),
        ("2001:db8:1::/48", False, None),
        ("198.51.100.1", False, None),
    ]


@pytest.mark.parametrize("results", [None, [{}], "none", [{"ip_address": "everything", "expires": 0}]])
async def test_an_answer_without_bans_does_not_mean_not_blocked(results: Any):
    """Null is FortiOS's empty list; anything else that is not understood is an error."""
    wire = Wire(**{BANNED: results})
    if results is None:
        assert not (await fortigate(wire).blocks_of([ADDRESS]))[0].blocked
        return
    with pytest.raises(Invalid):
        await fortigate(wire).blocks_of([ADDRESS])


@pytest.mark.parametrize(
    "value", ["", "*", "all", "clear_all", "../clear_all", "0.0.0.0/0", "::/0", "10.0.0.0/8 ", "1.2.3"]
)
async def test_all_bans_cannot_be_ended_by_any_indicator(value: str):
    """What is no single address or network is refused before anything is sent."""
    wire = Wire()
    with pytest.raises(ConnectorError):
        await unblock(wire, Indicator(kind="ipv4", value=value))
    assert wire.changes == []


async def test_all_bans_cannot_be_ended_by_an_empty_list():
    """No address means no request, not one without addresses."""
    wire = Wire()
    await unblock(wire)
    await block(wire)
    assert wire.changes == []


@pytest.mark.parametrize("name", ["../../../monitor/user/banned/clear_all", "x/../clear_all", "a?b", "a%2fb", ""])
async def test_all_bans_cannot_be_ended_by_a_setting_or_a_name(name: str):
    """Neither a group's or domain's name in hikeshi.yaml nor an object's name on the firewall reaches another path."""
    for setting in ("address_group", "address_group6", "vdom"):
        with pytest.raises(ValueError, match=setting):
            fortigate(Wire(), **{setting: name})
    objects = [{"name": name, "type": "ipmask", "subnet": "198.51.100.0 255.255.255.0"}]
    members = [{"name": "hikeshi-blocked", "member": [{"name": name}]}]
    wire = Wire(**{f"{CMDB}/address": objects, f"{CMDB}/addrgrp/hikeshi-blocked": members})
    try:
        await unblock(wire, NETWORK)
    except ConnectorError:
        assert wire.changes == []
    assert all(change[1].startswith(f"{CMDB}/addrgrp/hikeshi-blocked/member/") for change in wire.changes)


def test_the_verb_that_ends_all_bans_is_nowhere_in_the_connector():
    """Only the simulator knows it."""
    folder = Path(hikeshi_connectors.fortigate.__file__).parent
    modules = [path for path in folder.glob("*.py") if path.name != "simulator.py"]
    assert modules
    assert not [path.name for path in modules if "clear_all" in path.read_text()]


async def test_a_plan_shows_everything_that_is_sent():
    """No answer to a change is looked at, so the preview is complete."""
    wire = Wire()
    opened = door("plan")
    with through(opened):
        await fortigate(wire).block_indicators([ADDRESS, NETWORK], "c2", 60)
    assert [(each.method, each.url.partition("?")[0]) for each in opened.captured] == [
        ("POST", f"https://fg.example{BANNED}/add_users"),
        ("POST", f"https://fg.example{CMDB}/address"),
        ("POST", f"https://fg.example{CMDB}/addrgrp/hikeshi-blocked/member"),
    ]
    assert wire.changes == []
