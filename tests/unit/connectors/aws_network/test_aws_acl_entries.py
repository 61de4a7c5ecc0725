"""What is sent to EC2 to block addresses by network ACLs, and which rule numbers are taken."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Secret,
    Unsupported,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.settings import NetworkSettings

ONE, TWO = "acl-0aaaaaaa", "acl-0bbbbbbb"
KEYS = {"access_key_id": Secret.of_value("AKIAINVENTEDKEY00001"), "secret_access_key": Secret.of_value("invented")}
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
SIXTH = Indicator(kind="ipv6", value="2001:db8::9")
Entry = tuple[int, bool, str, str]  # number, whether it is about what leaves, action, network
ANYTHING: list[Entry] = [(100, way, "allow", "0.0.0.0/0") for way in (False, True)]


class Acls:
    """Network ACLs, each with its entries; `meanwhile` is an entry that somebody else adds before ours arrives."""

    def __init__(self, *entries: Entry, acls: tuple[str, ...] = (ONE,), meanwhile: Entry | None = None) -> None:
        self.entries: dict[str, list[Entry]] = {acl: [*ANYTHING, *entries] for acl in acls}
        self.meanwhile = meanwhile
        self.gone: Entry | None = None  # what somebody else deletes before ours arrives
        self.refuse: tuple[str, str] | None = None  # in which ACL, and with which code
        self.refuse_after: dict[str, int] = {}  # how many more requests of an action are not refused
        self.lose_after: int | None = None  # after so many further changes the connection breaks
        self.sent: list[tuple[str, str, int, bool]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        if form["Action"] == "DescribeNetworkAcls":
            return self._answer(
                form["Action"], f"<networkAclSet>{''.join(map(self._acl, self.entries))}</networkAclSet>"
            )
        acl, number, egress = form["NetworkAclId"], int(form["RuleNumber"]), form["Egress"] == "true"
        if self.meanwhile:
            self.entries[acl].append(self.meanwhile)
            self.meanwhile = None
        if self.gone:
            self.entries[acl].remove(self.gone)
            self.gone = None
        if self.lose_after == 0:
            raise httpx.ReadError("broken")
        if self.lose_after is not None:
            self.lose_after -= 1
        if self.refuse and self.refuse[0] == acl:
            return self._refusal(self.refuse[1])
        if self.refuse_after.get(form["Action"]) == 0:
            return self._refusal("UnauthorizedOperation")
        if form["Action"] in self.refuse_after:
            self.refuse_after[form["Action"]] -= 1
        there = [each for each in self.entries[acl] if each[:2] == (number, egress)]
        self.sent.append((form["Action"][:6], acl, number, egress))
        if form["Action"] == "DeleteNetworkAclEntry":
            if not there:
                return self._refusal("InvalidNetworkAclEntry.NotFound")
            self.entries[acl].remove(there[0])
        else:
            assert (form["Protocol"], form["RuleAction"]) == ("-1", "deny")
            if there:
                return self._refusal("NetworkAclEntryAlreadyExists")
            network = form["Ipv6CidrBlock" if "Ipv6CidrBlock" in form else "CidrBlock"]
            self.entries[acl].append((number, egress, "deny", network))
        return self._answer(form["Action"], "<return>true</return>")

    def denied(self, acl: str = ONE) -> list[tuple[int, bool, str]]:
        return sorted((n, way, network) for n, way, action, network in self.entries[acl] if action == "deny")

    def _acl(self, acl: str) -> str:
        shown = "".join(
            f"<item><ruleNumber>{n}</ruleNumber><protocol>-1</protocol><ruleAction>{action}</ruleAction>"
            f"<egress>{str(way).lower()}</egress><{'ipv6CidrBlock' if ':' in net else 'cidrBlock'}>{net}"
            f"</{'ipv6CidrBlock' if ':' in net else 'cidrBlock'}></item>"
            for n, way, action, net in self.entries[acl]
        )
        return f"<item><networkAclId>{acl}</networkAclId><entrySet>{shown}</entrySet></item>"

    @staticmethod
    def _answer(action: str, text: str) -> httpx.Response:
        return httpx.Response(200, text=f"<{action}Response>{text}</{action}Response>")

    @staticmethod
    def _refusal(code: str) -> httpx.Response:
        return httpx.Response(400, text=f"<Response><Errors><Error><Code>{code}</Code></Error></Errors></Response>")


def connector(acls: Acls, **more: Any) -> AwsNetwork:
    settings = {
        "region": "eu-central-1",
        "network_acls": list(acls.entries),
        "acl_rule_numbers": [1, 4],
        **KEYS,
        **more,
    }
    built = build(AwsNetwork, "net", settings, Redactor(), transport=httpx.MockTransport(acls))
    assert isinstance(built, AwsNetwork)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="firewall.change", intended=True)):
        assert await change is None


async def test_a_block_denies_both_directions_in_every_acl() -> None:
    """One number for both directions, out of Hikeshi's range; numbers of others there are left alone."""
    acls = Acls((1, True, "allow", "192.0.2.0/24"), acls=(ONE, TWO))
    net = connector(acls)
    await live(net.block_indicators([ADDRESS, SIXTH], "r", 60))
    both = [(n, way, each) for n, each in ((2, "203.0.113.9/32"), (3, "2001:db8::9/128")) for way in (False, True)]
    assert acls.denied(ONE) == acls.denied(TWO) == both
    assert [each.blocked for each in await net.blocks_of([SIXTH, ADDRESS])] == [True, True]


async def test_an_unblock_deletes_what_is_in_hikeshis_range_alone() -> None:
    """A deny of the same network under another number is somebody else's."""
    mine, foreign = [(2, way, "deny", "203.0.113.9/32") for way in (False, True)], (50, False, "deny", "203.0.113.9/32")
    acls = Acls(*mine, foreign)
    await live(connector(acls).unblock_indicators([ADDRESS], "r"))
    assert acls.sent == [("Delete", ONE, 2, False), ("Delete", ONE, 2, True)]
    assert acls.denied() == [(50, False, "203.0.113.9/32")]


async def test_half_a_block_is_neither_a_block_nor_none() -> None:
    """What leaves still gets through: whoever reads it is told what stands, and gets no answer."""
    acls = Acls((2, False, "deny", "203.0.113.9/32"))
    net = connector(acls)
    with pytest.raises(Conflict, match=rf"203\.0\.113\.9/32.*{ONE} number 2 \(in\)"):
        await net.blocks_of([ADDRESS])
    assert [each.blocked for each in await net.blocks_of([SIXTH])] == [False]
    await live(net.block_indicators([ADDRESS], "r"))
    assert acls.sent == [("Create", ONE, 1, True)]
    assert [each.blocked for each in await net.blocks_of([ADDRESS])] == [True]


async def test_a_number_that_somebody_took_is_not_fought_for() -> None:
    """AWS notices; another number is taken, and the entry of the other one stays."""
    acls = Acls(meanwhile=(1, True, "allow", "192.0.2.0/24"))
    net = connector(acls)
    await live(net.block_indicators([ADDRESS], "r"))
    assert [each.blocked for each in await net.blocks_of([ADDRESS])] == [True]
    assert (1, True, "allow", "192.0.2.0/24") in acls.entries[ONE]


async def test_a_full_range_says_so_before_anything_is_sent() -> None:
    """The error names the range."""
    acls = Acls(*((n, False, "deny", f"192.0.2.{n}/32") for n in range(1, 5)))
    with pytest.raises(Unsupported, match="no free rule number from 1 to 4"):
        await live(connector(acls).block_indicators([ADDRESS], "r"))
    assert acls.sent == []


@pytest.mark.parametrize("acl", [ONE, TWO])
async def test_a_block_that_is_refused_in_part_is_taken_back(acl: str) -> None:
    """Nothing was changed then, whichever ACL refused; what stood there before still stands."""
    acls = Acls((4, False, "deny", "203.0.113.9/32"), acls=(ONE, TWO))
    acls.refuse = (acl, "NetworkAclEntryLimitExceeded")
    before = {each: list(entries) for each, entries in acls.entries.items()}
    with pytest.raises(Invalid) as caught:
        await live(connector(acls).block_indicators([SIXTH, ADDRESS], "r"))
    assert caught.value.applied is Applied.NO
    assert acls.entries == before


async def test_an_unblock_that_is_refused_in_part_is_taken_back() -> None:
    """The address is denied in both directions as before, so that the hold on it still has something to lift."""
    acls = Acls(*((2, way, "deny", "203.0.113.9/32") for way in (False, True)))
    acls.refuse_after = {"DeleteNetworkAclEntry": 1}
    net = connector(acls)
    with pytest.raises(Forbidden) as caught:
        await live(net.unblock_indicators([ADDRESS], "r"))
    assert caught.value.applied is Applied.NO
    assert acls.denied() == [(2, way, "203.0.113.9/32") for way in (False, True)]
    assert [each.blocked for each in await net.blocks_of([ADDRESS])] == [True]


@pytest.mark.parametrize("blocked", [True, False])
async def test_what_cannot_be_taken_back_is_never_called_blocked_or_lifted(blocked: bool) -> None:
    """The error says that it may have had an effect, and there is no answer to whether it is blocked."""
    there = [] if blocked else [(2, way, "deny", "203.0.113.9/32") for way in (False, True)]
    acls = Acls(*there)
    acls.refuse_after = {"CreateNetworkAclEntry": int(blocked), "DeleteNetworkAclEntry": int(not blocked)}
    net = connector(acls)
    with pytest.raises(OutcomeUnknown, match="could not be taken back") as caught:
        await live((net.block_indicators if blocked else net.unblock_indicators)([ADDRESS], "r"))
    assert caught.value.applied is Applied.MAYBE
    with pytest.raises(Conflict, match="in part"):
        await net.blocks_of([ADDRESS])


async def test_a_change_that_nobody_knows_the_effect_of_is_left_to_be_read() -> None:
    """The lost request may have been the last one that was needed."""
    acls = Acls()
    acls.lose_after = 1
    net = connector(acls)
    with pytest.raises(ConnectorError) as caught:
        await live(net.block_indicators([ADDRESS], "r"))
    assert caught.value.applied is Applied.MAYBE
    assert acls.denied() == [(1, False, "203.0.113.9/32")]


@pytest.mark.parametrize("allowed", ["0.0.0.0/0", "203.0.113.9/32"])
async def test_a_rule_that_allows_before_a_deny_makes_it_void(allowed: str) -> None:
    """EC2 obeys the first rule that fits, so nothing is sent that would have no effect, and the rule is named."""
    acls = Acls((5, True, "allow", allowed))
    net = connector(acls, acl_rule_numbers=[6, 9])
    assert [each.blocked for each in await net.blocks_of([ADDRESS])] == [False]
    with pytest.raises(Conflict, match=rf"{ONE} number 5 \(out\).*allows.*{allowed}"):
        await live(net.block_indicators([ADDRESS], "r"))
    assert acls.sent == []


async def test_a_block_that_somebody_overruled_since_is_neither_a_block_nor_none() -> None:
    """Were it none, a hold on it would end without its entries being deleted."""
    acls = Acls(*((6, way, "deny", "203.0.113.9/32") for way in (False, True)), (5, False, "allow", "203.0.113.0/24"))
    net = connector(acls, acl_rule_numbers=[6, 9])
    with pytest.raises(Conflict, match=rf"{ONE} number 5 \(in\)"):
        await net.blocks_of([ADDRESS])


async def test_a_number_before_the_rule_that_allows_is_taken() -> None:
    """A rule of others within the range, and one for other addresses, are no obstacle."""
    acls = Acls((3, False, "allow", "0.0.0.0/0"), (1, True, "allow", "192.0.2.0/24"))
    net = connector(acls)
    await live(net.block_indicators([ADDRESS], "r"))
    assert acls.denied() == [(2, way, "203.0.113.9/32") for way in (False, True)]
    assert [each.blocked for each in await net.blocks_of([ADDRESS])] == [True]


async def test_a_network_with_bits_of_a_host_is_refused() -> None:
    """Nobody who writes an address means all of its network."""
    acls = Acls()
    net = connector(acls)
    with pytest.raises(Invalid, match=r"192\.0\.2\.5/24"):
        await live(net.block_indicators([Indicator(kind="cidr", value="192.0.2.5/24")], "r"))
    with pytest.raises(Invalid):
        await net.blocks_of([Indicator(kind="cidr", value="192.0.2.5/24")])
    assert acls.sent == []


async def test_an_entry_that_somebody_deleted_is_no_error() -> None:
    """The ACL is read anew, and the rest deleted."""
    acls = Acls(*((2, way, "deny", "203.0.113.9/32") for way in (False, True)))
    acls.gone = (2, False, "deny", "203.0.113.9/32")
    await live(connector(acls).unblock_indicators([ADDRESS], "r"))
    assert acls.denied() == []
    assert acls.sent == [("Delete", ONE, 2, False), ("Delete", ONE, 2, True)]


async def test_what_is_so_already_is_a_conflict() -> None:
    """Nothing is sent."""
    acls = Acls()
    with pytest.raises(Conflict):
        await live(connector(acls).unblock_indicators([ADDRESS], "r"))
    assert acls.sent == []


async def test_an_acl_that_is_gone_is_not_found() -> None:
    """Half of the ACLs say nothing about the others."""
    with pytest.raises(NotFound, match=TWO):
        await connector(Acls(), network_acls=[ONE, TWO]).blocks_of([ADDRESS])


def test_an_instance_blocks_by_one_means() -> None:
    """With both, an undo could not tell which of them had blocked something before."""
    arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/ipset/b/11111111-2222-4333-8444-000000000004"
    with pytest.raises(ValidationError, match="by IP sets or by network_acls"):
        NetworkSettings.model_validate({"region": "eu-central-1", "ip_set_v4": arn, "network_acls": [ONE], **KEYS})
