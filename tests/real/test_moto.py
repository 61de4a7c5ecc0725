"""The AWS connectors against moto: every change is seen by others in the account, and so is its undo.

Needs moto's server and botocore; is skipped without, and says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx
import pytest
from command_line import CommandLine
from moto_account import ACCOUNT, MotoAccount, moto_account, why_not

from hikeshi.capabilities import AccessKey, Effect, Indicator, User
from hikeshi.connector import Conflict, Connector, NotFound, Secret, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_logs import AwsLogs
from hikeshi_connectors.aws_network import AwsNetwork

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
C = TypeVar("C", bound=Connector)
OPEN = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
NARROW = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
BLOCKED = Indicator(kind="ipv4", value="203.0.113.9")


@pytest.fixture(scope="module")
def server() -> Iterator[MotoAccount]:
    with moto_account() as account:
        yield account


@pytest.fixture
def account(server: MotoAccount) -> MotoAccount:
    server.reset()
    return server


@pytest.fixture
def staffed(account: MotoAccount) -> MotoAccount:
    """An account with the user mei, who has a key, and is in an administrators' group and in another one."""
    account.form("iam", "CreateUser", UserName="mei", Path="/staff/")
    account.form("iam", "CreateAccessKey", UserName="mei")
    account.form("iam", "PutUserPolicy", UserName="mei", PolicyName="mine", PolicyDocument=NARROW)
    for group, document in (("admins", OPEN), ("readers", NARROW)):
        made = account.form("iam", "CreatePolicy", PolicyName=f"{group}-policy", PolicyDocument=document)
        account.form("iam", "CreateGroup", GroupName=group)
        arn = made.findtext(".//Arn")
        account.form("iam", "AttachGroupPolicy", GroupName=group, PolicyArn=arn)
        account.form("iam", "AddUserToGroup", GroupName=group, UserName="mei")
    return account


def connector(kind: type[C], account: MotoAccount, transport: httpx.AsyncBaseTransport | None = None, **more: Any) -> C:
    given = {**account.settings, "requests_per_minute": 60_000, **more}
    for secret in ("access_key_id", "secret_access_key"):
        given[secret] = Secret.of_value(str(given[secret]))
    built = build(kind, "aws", given, Redactor(), transport=transport)
    assert isinstance(built, kind)
    _made.append(built)
    return built


_made: list[Connector] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """Close what the test made, in its own loop."""
    yield
    while _made:
        await _made.pop().http.aclose()


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="aws.change", intended=True)):
        assert await change is None


def policies(account: MotoAccount) -> dict[str, Any]:
    """Return mei's inline policies."""
    names = account.texts("iam", "ListUserPolicies", ".//member", UserName="mei")
    shown = {
        name: account.form("iam", "GetUserPolicy", UserName="mei", PolicyName=name).findtext(".//PolicyDocument")
        for name in names
    }
    return {name: json.loads(unquote(text or "")) for name, text in shown.items()}


def groups(account: MotoAccount) -> list[str]:
    return account.texts("iam", "ListGroupsForUser", ".//GroupName", UserName="mei")


async def test_a_user_is_denied_everything_and_gets_back_what_was_there(staffed: MotoAccount) -> None:
    """One policy comes and goes; the user's own policy, keys and groups are untouched."""
    iam = connector(AwsIam, staffed)
    (mei,) = await iam.find_users("MEI")
    assert mei.id == f"arn:aws:iam::{ACCOUNT}:user/staff/mei"
    assert (await iam.account_of(mei)).enabled
    before = policies(staffed)
    await live(iam.disable_user(mei, "r"))
    assert not (await iam.account_of(mei)).enabled
    (statement,) = policies(staffed)["HikeshiDenyAll"]["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", "*", "*")
    await live(iam.disable_user(mei, "r"))  # twice does no harm
    await live(iam.enable_user(mei, "r"))
    assert (await iam.account_of(mei)).enabled
    assert policies(staffed) == before
    with pytest.raises(Conflict):
        await live(iam.enable_user(mei, "r"))


async def test_sessions_are_denied_from_a_moment_on(staffed: MotoAccount) -> None:
    """A second revocation is a later moment."""
    iam = connector(AwsIam, staffed)
    (mei,) = await iam.find_users("mei")
    assert (await iam.sessions_of(mei)).valid_from is None
    await live(iam.revoke_sessions(mei, "r"))
    first = (await iam.sessions_of(mei)).valid_from
    await asyncio.sleep(0.005)
    await live(iam.revoke_sessions(mei, "r"))
    second = (await iam.sessions_of(mei)).valid_from
    assert first is not None
    assert second is not None
    assert first < second
    condition = policies(staffed)["AWSRevokeOlderSessions"]["Statement"][0]["Condition"]
    assert set(condition["DateLessThan"]) == {"aws:TokenIssueTime"}


async def test_a_user_is_taken_out_of_a_privileged_group_and_put_back(staffed: MotoAccount) -> None:
    """The policy of the group says that it is privileged; the other group stays."""
    iam = connector(AwsIam, staffed)
    (mei,) = await iam.find_users("mei")
    found = {group.name: group for group in await iam.groups_of(mei)}
    assert {name: group.privileged for name, group in found.items()} == {"admins": True, "readers": False}
    await live(iam.remove_from_group(mei, found["admins"], "r"))
    assert groups(staffed) == ["readers"]
    assert not (await iam.membership_of(mei, found["admins"])).member
    with pytest.raises(Conflict):
        await live(iam.remove_from_group(mei, found["admins"], "r"))
    await live(iam.add_to_group(mei, found["admins"], "r"))
    assert groups(staffed) == ["admins", "readers"]
    assert (await iam.membership_of(mei, found["admins"])).member


async def test_an_access_key_is_switched_off_and_on(staffed: MotoAccount) -> None:
    """The key is found by its ID and by its user; its state is read back from the account."""
    iam = connector(AwsIam, staffed)
    (key,) = await iam.find_access_keys("mei")
    assert await iam.find_access_keys(key.id) == [key]
    await live(iam.deactivate_key(key, "r"))
    assert not (await iam.key_state_of(key)).active
    assert staffed.texts("iam", "ListAccessKeys", ".//Status", UserName="mei") == ["Inactive"]
    await live(iam.activate_key(key, "r"))
    assert (await iam.key_state_of(key)).active
    assert await iam.find_access_keys("AKIA0000000000000000") == []


async def test_what_is_not_there_is_not_found(staffed: MotoAccount) -> None:
    """A user who is gone is an error, whatever is asked of them; a search finds nothing."""
    iam = connector(AwsIam, staffed)
    gone = User(connector="aws", id=f"arn:aws:iam::{ACCOUNT}:user/gone", name="gone")
    assert await iam.find_users("gone") == []
    for asked in (iam.account_of(gone), iam.sessions_of(gone), iam.groups_of(gone)):
        with pytest.raises(NotFound):
            await asked
    with pytest.raises(NotFound):
        await iam.key_state_of(AccessKey(connector="aws", id="AKIA0000000000000000", name="mei"))
    for change in (iam.disable_user(gone, "r"), iam.enable_user(gone, "r"), iam.revoke_sessions(gone, "r")):
        with pytest.raises(NotFound):
            await live(change)


async def test_a_role_is_assumed(staffed: MotoAccount) -> None:
    """With the role's keys, which are temporary, the same calls are made."""
    iam = connector(AwsIam, staffed, role_arn=f"arn:aws:iam::{ACCOUNT}:role/hikeshi")
    assert [user.name for user in await iam.find_users("mei")] == ["mei"]


async def test_all_users_are_looked_at(account: MotoAccount) -> None:
    """moto gives a hundred users at once, as IAM does by default."""
    for n in range(120):
        account.form("iam", "CreateUser", UserName=f"u{n:03}")
    assert [user.name for user in await connector(AwsIam, account).find_users("U119")] == ["u119"]


# --- machines


def machine(account: MotoAccount) -> str:
    """Make a machine called web-1 in the default network, and a quarantine's group without rules; return its ID."""
    vpc = account.form("ec2", "DescribeVpcs").findtext(".//vpcId") or ""
    made = account.form(
        "ec2", "CreateSecurityGroup", GroupName="hikeshi-quarantine", GroupDescription="cut off", VpcId=vpc
    )
    group = made.findtext("groupId") or ""
    rule = {"IpPermissions.1.IpProtocol": "-1", "IpPermissions.1.IpRanges.1.CidrIp": "0.0.0.0/0"}
    account.form("ec2", "RevokeSecurityGroupEgress", GroupId=group, **rule)
    image = account.form("ec2", "DescribeImages", **{"Owner.1": "amazon"}).findtext(".//imageId")
    name = {"TagSpecification.1.ResourceType": "instance", "TagSpecification.1.Tag.1.Key": "Name"}
    run = account.form(
        "ec2",
        "RunInstances",
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        **name,
        **{"TagSpecification.1.Tag.1.Value": "web-1"},
    )
    return run.findtext(".//instanceId") or ""


def interfaces(account: MotoAccount, instance: str) -> list[str]:
    """Return the groups of a machine's interfaces."""
    path = ".//networkInterfaceSet/item/groupSet/item/groupName"
    return account.texts("ec2", "DescribeInstances", path, **{"InstanceId.1": instance})


async def test_a_machine_is_cut_off_and_put_back(account: MotoAccount) -> None:
    """Its groups are the quarantine's alone, then exactly the former ones, and no tag is left."""
    instance = machine(account)
    net = connector(AwsNetwork, account)
    (web,) = await net.find_machines("WEB-1")
    assert web.id == instance
    assert [each.id for each in await net.find_machines(instance)] == [instance]
    before = interfaces(account, instance)
    assert not (await net.network_of(web)).quarantined
    await live(net.quarantine_machine(web, "r"))
    assert (await net.network_of(web)).quarantined
    assert interfaces(account, instance) == ["hikeshi-quarantine"]
    with pytest.raises(Conflict):
        await live(net.quarantine_machine(web, "r"))
    await live(net.reconnect_machine(web, "r"))
    assert not (await net.network_of(web)).quarantined
    assert interfaces(account, instance) == before
    tags = account.texts(
        "ec2", "DescribeTags", ".//key", **{"Filter.1.Name": "resource-id", "Filter.1.Value.1": instance}
    )
    assert tags == ["Name"]
    with pytest.raises(Conflict):
        await live(net.reconnect_machine(web, "r"))


async def test_a_quarantine_that_lets_traffic_out_is_refused(account: MotoAccount) -> None:
    """Every new security group has a rule that does."""
    machine(account)
    vpc = account.form("ec2", "DescribeVpcs").findtext(".//vpcId")
    account.form("ec2", "CreateSecurityGroup", GroupName="leaky", GroupDescription="x", VpcId=vpc)
    net = connector(AwsNetwork, account, quarantine_group="leaky")
    (web,) = await net.find_machines("web-1")
    with pytest.raises(Unsupported, match="lets traffic out"):
        await live(net.quarantine_machine(web, "r"))


# --- IP sets


def waf(account: MotoAccount, operation: str, **body: Any) -> Any:
    return account.json("wafv2", f"AWSWAF_20190729.{operation}", {"Scope": "REGIONAL", **body})


@pytest.fixture
def ip_set(account: MotoAccount) -> dict[str, str]:
    """An IP set in which somebody has an entry already."""
    made = waf(
        account, "CreateIPSet", Name="blocked", IPAddressVersion="IPV4", Addresses=["192.0.2.44/32"], Description="all"
    )
    return dict(made["Summary"])


async def test_an_address_is_blocked_beside_those_of_others(account: MotoAccount, ip_set: dict[str, str]) -> None:
    """What somebody else wrote stays, before and after, and so does the description."""
    net = connector(AwsNetwork, account, ip_set_v4=ip_set["ARN"])
    named = {"Name": "blocked", "Id": ip_set["Id"]}
    await live(net.block_indicators([BLOCKED], "r", 3600))
    shown = waf(account, "GetIPSet", **named)["IPSet"]
    assert sorted(shown["Addresses"]) == ["192.0.2.44/32", "203.0.113.9/32"]
    assert shown["Description"] == "all"
    assert [each.blocked for each in await net.blocks_of([BLOCKED])] == [True]
    with pytest.raises(Conflict):
        await live(net.block_indicators([BLOCKED], "r"))
    await live(net.unblock_indicators([BLOCKED], "r"))
    assert waf(account, "GetIPSet", **named)["IPSet"]["Addresses"] == ["192.0.2.44/32"]


class Intruder(httpx.AsyncHTTPTransport):
    """A way to the account on which somebody else edits the IP set right before our first update of it arrives."""

    def __init__(self, account: MotoAccount, ip_set: dict[str, str]) -> None:
        super().__init__()
        self._account, self._ip_set = account, ip_set
        self.answers: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        ours = request.headers.get("x-amz-target", "").endswith(".UpdateIPSet")
        if ours and not self.answers:
            named = {"Name": "blocked", "Id": self._ip_set["Id"]}
            token = waf(self._account, "GetIPSet", **named)["LockToken"]
            entries = ["192.0.2.44/32", "198.51.100.7/32"]
            waf(self._account, "UpdateIPSet", **named, Addresses=entries, LockToken=token)
        answer = await super().handle_async_request(request)
        if ours:
            self.answers.append(answer.status_code)
        return answer


async def test_a_stale_lock_loses_nobodys_entry(account: MotoAccount, ip_set: dict[str, str]) -> None:
    """The account refuses the first update; the second one has what somebody else wrote in between."""
    way = Intruder(account, ip_set)
    net = connector(AwsNetwork, account, transport=way, ip_set_v4=ip_set["ARN"])
    await live(net.block_indicators([BLOCKED], "r"))
    assert way.answers == [400, 200]
    entries = waf(account, "GetIPSet", Name="blocked", Id=ip_set["Id"])["IPSet"]["Addresses"]
    assert sorted(entries) == ["192.0.2.44/32", "198.51.100.7/32", "203.0.113.9/32"]


async def test_an_address_is_denied_in_both_directions_and_let_through_again(account: MotoAccount) -> None:
    """The default network's ACL is as before afterwards; a number that somebody took is left to them."""
    acl = account.form("ec2", "DescribeNetworkAcls").findtext(".//networkAclId") or ""
    foreign = {"NetworkAclId": acl, "RuleNumber": 1, "Protocol": "6", "RuleAction": "allow", "Egress": "false"}
    account.form("ec2", "CreateNetworkAclEntry", **foreign, CidrBlock="192.0.2.0/24")
    before = account.texts("ec2", "DescribeNetworkAcls", ".//ruleNumber")
    net = connector(AwsNetwork, account, network_acls=[acl])
    sixth = Indicator(kind="ipv6", value="2001:db8::9")
    await live(net.block_indicators([BLOCKED, sixth], "r"))
    assert [each.blocked for each in await net.blocks_of([BLOCKED, sixth])] == [True, True]
    numbers = account.texts("ec2", "DescribeNetworkAcls", ".//ruleNumber")
    assert numbers == sorted([*before, "2", "2", "3", "3"])
    await live(net.unblock_indicators([BLOCKED, sixth], "r"))
    assert account.texts("ec2", "DescribeNetworkAcls", ".//ruleNumber") == before


# --- logs and detections


async def test_log_entries_are_found(account: MotoAccount) -> None:
    """moto knows a few commands of the query language, and no patterns."""
    logs = "Logs_20140328"
    now_ms = int(time.time() * 1000)
    account.json("logs", f"{logs}.CreateLogGroup", {"logGroupName": "/vpc/flow"})
    account.json("logs", f"{logs}.CreateLogStream", {"logGroupName": "/vpc/flow", "logStreamName": "eni-1"})
    events = [{"timestamp": now_ms - 1000 * (5 - n), "message": f"10.0.0.7 203.0.113.{n} REJECT"} for n in range(3)]
    named = {"logGroupName": "/vpc/flow", "logStreamName": "eni-1"}
    account.json("logs", f"{logs}.PutLogEvents", {**named, "logEvents": events})
    aws = connector(AwsLogs, account, log_groups=["/vpc/flow"])
    entries = await aws.search_logs("fields @timestamp, @message", since_s=600)
    assert [each.text for each in entries] == [f"10.0.0.7 203.0.113.{n} REJECT" for n in (2, 1, 0)]
    with pytest.raises(NotFound):
        await connector(AwsLogs, account, log_groups=["/gone"]).search_logs("fields @message")


async def test_findings_of_security_hub_are_listed(account: MotoAccount) -> None:
    """As they were imported by another product."""
    account.rest("securityhub", "/accounts", {})
    finding = {
        "SchemaVersion": "2018-10-08", "Id": "f-1", "ProductArn": f"arn:aws:securityhub:us-east-1:{ACCOUNT}:product/x",
        "GeneratorId": "g", "AwsAccountId": ACCOUNT, "Types": ["TTPs"], "CreatedAt": "2026-03-02T09:00:00Z",
        "UpdatedAt": "2026-03-02T09:00:00Z", "Severity": {"Label": "CRITICAL"}, "Title": "A user was phished",
        "Description": "d", "Resources": [{"Type": "AwsIamUser", "Id": f"arn:aws:iam::{ACCOUNT}:user/mei"}],
    }  # fmt: skip
    account.rest("securityhub", "/findings/import", {"Findings": [finding]})
    (alert,) = await connector(AwsLogs, account, detections=["securityhub"]).list_detections()
    assert (alert.id, alert.title, alert.severity, alert.user_name) == ("f-1", "A user was phished", "critical", "mei")


# --- the whole engine


def test_a_run_restricts_a_user_and_its_undo_gives_everything_back(staffed: MotoAccount, tmp_path: Path) -> None:
    """The playbook that ships, from the command line: planned, run and undone."""
    hikeshi = CommandLine(tmp_path)
    hikeshi.configure({"aws": {"product": "aws_iam", **staffed.settings}})
    before = policies(staffed)

    planned = hikeshi("plan", "restrict-user", "-i", "user=mei")
    assert planned.code == 0, planned.out + planned.err
    assert "HikeshiDenyAll" in planned.out
    assert policies(staffed) == before

    done = hikeshi("run", "restrict-user", "-i", "user=mei", "--json")
    assert done.code == 0, done.out + done.err
    assert sorted(policies(staffed)) == ["AWSRevokeOlderSessions", "HikeshiDenyAll", "mine"]
    assert groups(staffed) == ["readers"]

    undone = hikeshi("undo", str(done.document["run"]), "--yes")
    assert undone.code == 0, undone.out + undone.err
    left = policies(staffed)
    del left["AWSRevokeOlderSessions"]  # ended sessions can't be given back
    assert left == before
    assert groups(staffed) == ["admins", "readers"]
