"""What is sent to EC2 to cut a machine off and to put it back."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from hikeshi.capabilities import Effect, VirtualMachine
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
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

WEB = VirtualMachine(connector="net", id="i-0abc0abc0abc0abc0", name="web", account="123456789012", region="eu-west-1")
QUARANTINE = "sg-0f0f0f0f"
TAG = "<item><key>hikeshi:groups:eni-{}</key><value>sg-1 sg-2</value></item>"


def interface(number: int, *groups: str) -> str:
    shown = "".join(f"<item><groupId>{each}</groupId><groupName>x</groupName></item>" for each in groups)
    ip = f"<item><privateIpAddress>10.0.0.{number}</privateIpAddress></item>"
    parts = f"<groupSet>{shown}</groupSet><privateIpAddressesSet>{ip}</privateIpAddressesSet>"
    return f"<item><networkInterfaceId>eni-{number}</networkInterfaceId>{parts}</item>"


def instance(*interfaces: str, tags: str = "") -> str:
    name = "<item><key>Name</key><value>web</value></item>"
    inner = f"<instanceId>{WEB.id}</instanceId><instanceState><name>running</name></instanceState><vpcId>vpc-1</vpcId>"
    inner += f"<tagSet>{name}{tags}</tagSet><networkInterfaceSet>{''.join(interfaces)}</networkInterfaceSet>"
    return f"<item><ownerId>123456789012</ownerId><instancesSet><item>{inner}</item></instancesSet></item>"


RULE = "<{0}><item><ipProtocol>{1}</ipProtocol><ipRanges><item><cidrIp>{2}</cidrIp></item></ipRanges></item></{0}>"


class Ec2:
    """EC2 with one machine, or none. `rules` are those of the quarantine's group, `there` the IDs of other groups."""

    def __init__(
        self,
        *instances: str,
        rules: str = "",
        group: str = "hikeshi-quarantine",
        there: tuple[str, ...] = ("sg-1", "sg-2"),
    ) -> None:
        shown = f"<item><groupId>{QUARANTINE}</groupId><groupName>{group}</groupName>{rules}</item>"
        self.there = there
        self.answers = {
            "DescribeInstances": f"<reservationSet>{''.join(instances)}</reservationSet>",
            "DescribeSecurityGroups": f"<securityGroupInfo>{shown}</securityGroupInfo>",
        }
        self.sent: list[dict[str, str]] = []
        self.refuse: str = ""  # requests with this value among their fields
        self.refuse_after = 0  # but the first so many of them
        self.answer_unknown = False  # they are not refused, but nobody knows what became of them
        self.refuse_all_but = ""  # every change but this one

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode()))
        assert form.pop("Version") == "2016-11-15"
        self.sent.append(form)
        if self._refuses(form):
            if self.answer_unknown:
                raise httpx.ReadError("broken")
            error = "<Error><Code>InvalidParameterValue</Code><Message>no</Message></Error>"
            return httpx.Response(400, text=f"<Response><Errors>{error}</Errors></Response>")
        answer = self.answers.get(form["Action"], "<return>true</return>")
        if form.get("Filter.1.Name") == "group-id":
            wanted = [each for key, each in form.items() if key.startswith("Filter.1.Value.")]
            shown = "".join(f"<item><groupId>{each}</groupId></item>" for each in wanted if each in self.there)
            answer = f"<securityGroupInfo>{shown}</securityGroupInfo>"
        return httpx.Response(200, text=f"<{form['Action']}Response>{answer}</{form['Action']}Response>")

    def _refuses(self, form: Mapping[str, str]) -> bool:
        if self.refuse_all_but and not form["Action"].startswith(("Describe", self.refuse_all_but)):
            return True
        if form["Action"].startswith("Describe") or not self.refuse or self.refuse not in form.values():
            return False
        self.refuse_after -= 1
        return self.refuse_after < 0

    @property
    def changes(self) -> list[Mapping[str, str]]:
        return [each for each in self.sent if not each["Action"].startswith("Describe")]


def connector(ec2: Ec2, **more: Any) -> AwsNetwork:
    keys = {"access_key_id": Secret.of_value("AKIAINVENTEDKEY00001"), "secret_access_key": Secret.of_value("invented")}
    settings = {"region": "eu-west-1", **keys, **more}
    built = build(AwsNetwork, "net", settings, Redactor(), transport=httpx.MockTransport(ec2))
    assert isinstance(built, AwsNetwork)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="cloud.change", intended=True)):
        assert await change is None


async def test_a_quarantine_remembers_the_groups_before_it_replaces_them() -> None:
    """Tags first, in one request; then every interface that is not in the quarantine's group alone."""
    ec2 = Ec2(instance(interface(1, "sg-2", "sg-1"), interface(2, QUARANTINE), interface(3, "sg-1", "sg-2")))
    await live(connector(ec2).quarantine_machine(WEB, "r"))
    modify = {"Action": "ModifyNetworkInterfaceAttribute", "SecurityGroupId.1": QUARANTINE}
    assert ec2.changes == [
        {
            "Action": "CreateTags",
            "ResourceId.1": WEB.id,
            "Tag.1.Key": "hikeshi:groups:eni-1",
            "Tag.1.Value": "sg-1 sg-2",
            "Tag.2.Key": "hikeshi:groups:eni-3",
            "Tag.2.Value": "sg-1 sg-2",
        },
        {**modify, "NetworkInterfaceId": "eni-1"},
        {**modify, "NetworkInterfaceId": "eni-3"},
    ]


async def test_reconnecting_puts_back_what_the_tags_say_and_removes_them() -> None:
    """An interface that no tag is about is left alone."""
    ec2 = Ec2(instance(interface(1, QUARANTINE), interface(2, QUARANTINE), tags=TAG.format(1)))
    await live(connector(ec2).reconnect_machine(WEB, "r"))
    assert ec2.changes == [
        {
            "Action": "ModifyNetworkInterfaceAttribute",
            "NetworkInterfaceId": "eni-1",
            "SecurityGroupId.1": "sg-1",
            "SecurityGroupId.2": "sg-2",
        },
        {"Action": "DeleteTags", "ResourceId.1": WEB.id, "Tag.1.Key": "hikeshi:groups:eni-1"},
    ]


def modified(*steps: tuple[str, str]) -> list[Mapping[str, str]]:
    """Return requests that each put an interface into one group."""
    return [
        {"Action": "ModifyNetworkInterfaceAttribute", "NetworkInterfaceId": interface, "SecurityGroupId.1": group}
        for interface, group in steps
    ]


FORGOTTEN = {"Tag.1.Key": "hikeshi:groups:eni-1", "Tag.2.Key": "hikeshi:groups:eni-2"}


@pytest.mark.parametrize("refused", ["eni-1", "eni-2"])
async def test_a_quarantine_that_is_refused_leaves_nothing_behind(refused: str) -> None:
    """No interface in another group, and no tag that a later reconnect would obey."""
    ec2 = Ec2(instance(interface(1, "sg-1"), interface(2, "sg-2")))
    ec2.refuse = refused
    with pytest.raises(Invalid) as caught:
        await live(connector(ec2).quarantine_machine(WEB, "r"))
    assert caught.value.applied is Applied.NO
    tried = [("eni-1", QUARANTINE), ("eni-2", QUARANTINE), ("eni-1", "sg-1")]
    assert ec2.changes[1:-1] == modified(*tried[: 1 if refused == "eni-1" else 3])
    assert ec2.changes[-1] == {"Action": "DeleteTags", "ResourceId.1": WEB.id, **FORGOTTEN}


async def test_tags_that_cannot_be_removed_after_a_refusal_are_named() -> None:
    """A person has to, before a later quarantine by hand is ended with what they say."""
    ec2 = Ec2(instance(interface(1, "sg-1")))
    ec2.refuse_all_but = "CreateTags"
    with pytest.raises(OutcomeUnknown, match="hikeshi:groups:eni-1"):
        await live(connector(ec2).quarantine_machine(WEB, "r"))


async def test_tags_that_nobody_knows_of_are_removed() -> None:
    """No interface was touched yet."""
    ec2 = Ec2(instance(interface(1, "sg-1")))
    ec2.refuse, ec2.answer_unknown = "CreateTags", True
    with pytest.raises(ConnectorError):
        await live(connector(ec2).quarantine_machine(WEB, "r"))
    assert [each["Action"] for each in ec2.changes] == ["CreateTags", "DeleteTags"]


async def test_a_quarantine_that_nobody_knows_the_effect_of_keeps_its_tags() -> None:
    """If it had one, they are all that the undo has."""
    ec2 = Ec2(instance(interface(1, "sg-1"), interface(2, "sg-2")))
    ec2.refuse, ec2.answer_unknown = "eni-2", True
    with pytest.raises(ConnectorError) as caught:
        await live(connector(ec2).quarantine_machine(WEB, "r"))
    assert caught.value.applied is Applied.MAYBE
    assert ec2.changes[1:] == modified(("eni-1", QUARANTINE), ("eni-2", QUARANTINE))


@pytest.mark.parametrize("unknown", [False, True])
async def test_half_a_reconnect_is_taken_back(unknown: bool) -> None:
    """With one interface out, the machine would count as connected; so all of them stay cut off, and the tags too."""
    tags = "".join(f"<item><key>hikeshi:groups:eni-{n}</key><value>sg-{n}</value></item>" for n in (1, 2))
    ec2 = Ec2(instance(interface(1, QUARANTINE), interface(2, QUARANTINE), tags=tags))
    ec2.refuse, ec2.answer_unknown = "sg-2", unknown
    with pytest.raises(ConnectorError) as caught:
        await live(connector(ec2).reconnect_machine(WEB, "r"))
    assert caught.value.applied is (Applied.MAYBE if unknown else Applied.NO)
    back = [("eni-2", QUARANTINE)] if unknown else []
    assert ec2.changes == modified(("eni-1", "sg-1"), ("eni-2", "sg-2"), *back, ("eni-1", QUARANTINE))


async def test_half_a_quarantine_that_cannot_be_put_back_may_have_had_an_effect() -> None:
    """The tags stay for whoever puts it back, and the error says what is where."""
    ec2 = Ec2(instance(interface(1, "sg-1"), interface(2, "sg-2")))
    ec2.refuse, ec2.refuse_after = "ModifyNetworkInterfaceAttribute", 1
    with pytest.raises(OutcomeUnknown, match=r"eni-1 .*could not be put back into sg-1") as caught:
        await live(connector(ec2).quarantine_machine(WEB, "r"))
    assert caught.value.applied is Applied.MAYBE
    assert [each["Action"] for each in ec2.changes][-1] == "ModifyNetworkInterfaceAttribute"


@pytest.mark.parametrize(
    ("ec2", "why"),
    [
        (Ec2(instance(interface(1, QUARANTINE), interface(2, "sg-1"), tags=TAG.format(1))), "alone"),
        (Ec2(instance(interface(1, "sg-1"), tags=TAG.format(1))), "alone"),
        (Ec2(instance(interface(1, QUARANTINE), tags=TAG.format(1)), group="other"), "alone"),
        (Ec2(instance(interface(1, QUARANTINE), tags=TAG.format(1) + TAG.format(9))), "eni-9"),
        (Ec2(instance(interface(1, QUARANTINE), tags=TAG.format(1)), there=("sg-2",)), "sg-1"),
    ],
)
async def test_tags_that_do_not_belong_to_this_quarantine_are_not_obeyed(ec2: Ec2, why: str) -> None:
    """Not if the machine is not cut off, if they are about another machine's interface, or name no group there is."""
    with pytest.raises(Conflict, match=why):
        await live(connector(ec2).reconnect_machine(WEB, "r"))
    assert ec2.changes == []


@pytest.mark.parametrize(
    "ec2",
    [
        Ec2(instance(interface(1, "sg-1")), rules=RULE.format("ipPermissionsEgress", "-1", "0.0.0.0/0")),
        Ec2(instance(interface(1, "sg-1")), rules=RULE.format("ipPermissionsEgress", "-1", "128.0.0.0/1")),
        Ec2(instance(interface(1, "sg-1")), rules=RULE.format("ipPermissions", "tcp", "10.0.0.0/8")),
        Ec2(instance(interface(1, "sg-1")), group="other"),
        Ec2(instance(interface(1, *(f"sg-{n:017x}" for n in range(14))))),
    ],
)
async def test_a_quarantine_that_would_not_hold_or_not_be_undone_is_refused(ec2: Ec2) -> None:
    """A group with any rule, none at all, or more groups than a tag can remember: nothing is sent."""
    with pytest.raises(Unsupported):
        await live(connector(ec2).quarantine_machine(WEB, "r"))
    assert ec2.changes == []


async def test_what_is_so_already_is_a_conflict() -> None:
    """A machine in the quarantine's group alone, and one that no tag is about."""
    for ec2, act in (
        (Ec2(instance(interface(1, QUARANTINE))), "quarantine"),
        (Ec2(instance(interface(1, "sg-1"))), "reconnect"),
    ):
        with pytest.raises(Conflict):
            await live(getattr(connector(ec2), f"{act}_machine")(WEB, "r"))
        assert ec2.changes == []


async def test_a_machine_is_quarantined_when_every_interface_is() -> None:
    """One interface in another group is a way out."""
    half = await connector(Ec2(instance(interface(1, QUARANTINE), interface(2, "sg-1")))).network_of(WEB)
    whole = await connector(Ec2(instance(interface(1, QUARANTINE)))).network_of(WEB)
    assert (half.quarantined, half.groups) == (False, (QUARANTINE, "sg-1"))
    assert whole.quarantined


async def test_a_machine_that_is_gone_is_not_found() -> None:
    """EC2 answers with an empty list; so it does not say that the machine is not quarantined."""
    with pytest.raises(NotFound):
        await connector(Ec2()).network_of(WEB)
    with pytest.raises(Invalid):
        await connector(Ec2()).network_of(WEB.model_copy(update={"id": "*"}))


async def test_names_are_compared_here_and_ids_and_addresses_by_ec2() -> None:
    """A name never becomes a filter's pattern; what Hikeshi keeps in tags is no name of the machine."""
    ec2 = Ec2(instance(interface(1, "sg-1"), tags=TAG.format(1)))
    aws = connector(ec2)
    (machine,) = await aws.find_machines("WEB")
    assert (machine.ips, machine.tags, machine.network) == (("10.0.0.1",), ("Name=web",), "vpc-1")
    assert await aws.find_machines("w*") == []
    assert [each.id for each in await aws.find_machines("10.0.0.1")] == [WEB.id]
    await aws.find_machines(WEB.id)
    asked = [(each["Filter.1.Name"], each["Filter.1.Value.1"]) for each in ec2.sent]
    assert asked[:2] == [("tag-key", "Name")] * 2
    assert ("network-interface.addresses.private-ip-address", "10.0.0.1") in asked
    assert asked[-1] == ("instance-id", WEB.id)


async def test_the_groups_name_is_no_pattern() -> None:
    """EC2's filters have wildcards, in which a group of another name could be meant."""
    ec2 = Ec2(instance(interface(1, "sg-1")), group="a*b?")
    await live(connector(ec2, quarantine_group="a*b?").quarantine_machine(WEB, "r"))
    (asked,) = [each for each in ec2.sent if each["Action"] == "DescribeSecurityGroups"]
    assert (asked["Filter.2.Name"], asked["Filter.2.Value.1"]) == ("group-name", r"a\*b\?")
