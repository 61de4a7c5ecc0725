"""What is sent to IAM, and how its answers are understood."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

import httpx
import pytest

from hikeshi.capabilities import AccessKey, Effect, Group, User
from hikeshi.connector import Conflict, Invalid, NotFound, Secret, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_iam.policy import DENY_ALL, is_powerful, sessions_count_from

MEI = User(connector="aws", id="arn:aws:iam::123456789012:user/staff/mei", name="mei")
OPS = Group(connector="aws", id="arn:aws:iam::123456789012:group/ops", name="ops")
KEY = AccessKey(connector="aws", id="AKIA00000001KEY00000", name="mei")
OWN_KEY = "AKIAINVENTEDKEY00001"
GONE = "NoSuchEntity"
USER_XML = f"<User><UserName>mei</UserName><UserId>AIDA1</UserId><Arn>{MEI.id}</Arn></User>"


def policy_xml(document: str) -> str:
    return f"<PolicyDocument>{quote(document, safe='')}</PolicyDocument>"


class Iam:
    """IAM as far as a test says: results by operation, or codes of refusals. It keeps what it was sent."""

    def __init__(self, **answers: str) -> None:
        self.answers: Mapping[str, str] = {"GetUser": USER_XML, **answers}
        self.sent: list[dict[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "x-amz-target" in request.headers:
            self.sent.append({"target": request.headers["x-amz-target"], **json.loads(request.content)})
            return httpx.Response(200, text=self.answers["LookupEvents"])
        form = dict(parse_qsl(request.content.decode()))
        self.sent.append(form)
        found = self.answers.get(form["Action"], "")
        if found == GONE:
            return httpx.Response(404, text=f"<ErrorResponse><Error><Code>{GONE}</Code></Error></ErrorResponse>")
        inner = f"<{form['Action']}Result>{found}</{form['Action']}Result>"
        return httpx.Response(200, text=f"<{form['Action']}Response>{inner}</{form['Action']}Response>")

    def changes(self) -> list[dict[str, str]]:
        """Return the fields of the requests that change something."""
        asked = [each for each in self.sent if each["Action"][:3] not in ("Get", "Lis")]
        return [{key: value for key, value in each.items() if key != "Version"} for each in asked]


def connector(iam: Iam, **more: Any) -> AwsIam:
    secrets = {"access_key_id": Secret.of_value(OWN_KEY), "secret_access_key": Secret.of_value("invented")}
    built = build(AwsIam, "aws", {**secrets, **more}, Redactor(), transport=httpx.MockTransport(iam))
    assert isinstance(built, AwsIam)
    return built


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        assert await change is None


ARN = "<Arn>arn:aws:iam::123456789012:user/hikeshi</Arn>"


@pytest.mark.parametrize(
    ("change", "answers", "sent"),
    [
        (
            lambda aws: aws.disable_user(MEI, "r"),
            {"GetUserPolicy": GONE, "GetCallerIdentity": ARN},
            {"Action": "PutUserPolicy", "UserName": "mei", "PolicyName": "HikeshiDenyAll", "PolicyDocument": DENY_ALL},
        ),
        (
            lambda aws: aws.enable_user(MEI, "r"),
            {"GetUserPolicy": policy_xml(DENY_ALL)},
            {"Action": "DeleteUserPolicy", "UserName": "mei", "PolicyName": "HikeshiDenyAll"},
        ),
        (
            lambda aws: aws.remove_from_group(MEI, OPS, "r"),
            {},
            {"Action": "RemoveUserFromGroup", "GroupName": "ops", "UserName": "mei"},
        ),
        (
            lambda aws: aws.add_to_group(MEI, OPS, "r"),
            {},
            {"Action": "AddUserToGroup", "GroupName": "ops", "UserName": "mei"},
        ),
        (
            lambda aws: aws.deactivate_key(KEY, "r"),
            {},
            {"Action": "UpdateAccessKey", "UserName": "mei", "AccessKeyId": KEY.id, "Status": "Inactive"},
        ),
        (
            lambda aws: aws.activate_key(KEY, "r"),
            {},
            {"Action": "UpdateAccessKey", "UserName": "mei", "AccessKeyId": KEY.id, "Status": "Active"},
        ),
    ],
)
async def test_a_change_is_one_request(
    change: Callable[[AwsIam], Awaitable[None]], answers: Mapping[str, str], sent: Mapping[str, str]
) -> None:
    """Each change sends exactly this, and nothing else that changes anything."""
    iam = Iam(**answers)
    await live(change(connector(iam)))
    assert iam.changes() == [sent]


async def test_revoking_denies_sessions_that_began_before_now() -> None:
    """The policy is the one that AWS's console writes for roles, and reading it gives the moment back."""
    iam = Iam()
    await live(connector(iam).revoke_sessions(MEI, "r"))
    (sent,) = iam.changes()
    assert (sent["Action"], sent["PolicyName"]) == ("PutUserPolicy", "AWSRevokeOlderSessions")
    document = json.loads(sent["PolicyDocument"])
    (statement,) = document["Statement"]
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Deny", ["*"], ["*"])
    since = (await connector(Iam(GetUserPolicy=policy_xml(sent["PolicyDocument"]))).sessions_of(MEI)).valid_from
    assert since is not None
    assert since == sessions_count_from(document)


async def test_a_foreign_policy_of_hikeshis_name_is_never_overwritten() -> None:
    """Undo could not bring its content back, so it is a conflict, also when it is read."""
    iam = Iam(GetUserPolicy=policy_xml('{"Version":"2012-10-17","Statement":[]}'), GetCallerIdentity=ARN)
    for act in (connector(iam).disable_user, connector(iam).enable_user):
        with pytest.raises(Conflict):
            await live(act(MEI, "r"))
    with pytest.raises(Conflict):
        await connector(iam).account_of(MEI)
    assert iam.changes() == []


async def test_hikeshi_does_not_lock_itself_out() -> None:
    """Its own user is not disabled, and its own key not made inactive: nobody could undo either."""
    own = User(connector="aws", id="arn:aws:iam::123456789012:user/hikeshi", name="hikeshi")
    iam = Iam(GetCallerIdentity=ARN, GetUserPolicy=GONE)
    with pytest.raises(Unsupported):
        await live(connector(iam).disable_user(own, "r"))
    with pytest.raises(Unsupported):
        await live(connector(iam).deactivate_key(KEY.model_copy(update={"id": OWN_KEY}), "r"))
    assert iam.changes() == []


async def test_a_user_who_is_gone_is_no_user_without_a_policy() -> None:
    """IAM has one code for both; only where the user is there the policy is what is missing."""
    with pytest.raises(NotFound):
        await connector(Iam(GetUserPolicy=GONE, GetUser=GONE)).account_of(MEI)
    assert (await connector(Iam(GetUserPolicy=GONE, GetUser=USER_XML)).account_of(MEI)).enabled


async def test_what_is_so_already_is_a_conflict_and_a_user_who_is_gone_is_not() -> None:
    """Deleting a policy, or a membership, that is not there asks the engine to look; a missing user is an error."""
    there, gone = {"GetUserPolicy": policy_xml(DENY_ALL), "GetUser": USER_XML}, {"GetUser": GONE}
    with pytest.raises(Conflict):
        await live(connector(Iam(**there, DeleteUserPolicy=GONE)).enable_user(MEI, "r"))
    with pytest.raises(Conflict):
        await live(connector(Iam(**there, RemoveUserFromGroup=GONE)).remove_from_group(MEI, OPS, "r"))
    with pytest.raises(NotFound):
        await live(connector(Iam(**gone, RemoveUserFromGroup=GONE)).remove_from_group(MEI, OPS, "r"))


@pytest.mark.parametrize("wrong", ["mei", "arn:aws:iam::123456789012:role/mei", "arn:aws:iam::1:user/mei", "*", ""])
async def test_only_a_users_arn_is_a_users_id(wrong: str) -> None:
    """The name that a request carries comes out of the ARN, and of nothing else."""
    iam = Iam()
    with pytest.raises(Invalid):
        await connector(iam).account_of(MEI.model_copy(update={"id": wrong}))
    assert iam.sent == []


@pytest.mark.parametrize(
    "other", ["arn:aws:iam::999999999999:user/staff/mei", "arn:aws-cn:iam::123456789012:user/staff/mei",
              "arn:aws:iam::123456789012:user/mei"]
)  # fmt: skip
@pytest.mark.parametrize(
    "act",
    [
        lambda aws, user: aws.account_of(user),
        lambda aws, user: aws.sessions_of(user),
        lambda aws, user: aws.groups_of(user),
        lambda aws, user: aws.membership_of(user, OPS),
        lambda aws, user: aws.disable_user(user, "r"),
        lambda aws, user: aws.enable_user(user, "r"),
        lambda aws, user: aws.revoke_sessions(user, "r"),
        lambda aws, user: aws.remove_from_group(user, OPS, "r"),
        lambda aws, user: aws.add_to_group(user, OPS, "r"),
    ],
)
async def test_a_user_of_another_account_is_not_ours_of_the_same_name(
    act: Callable[[AwsIam, User], Awaitable[Any]], other: str
) -> None:
    """The API takes names alone, so the ARN of whoever has this name here is compared first."""
    iam = Iam(GetCallerIdentity=ARN, GetUserPolicy=policy_xml(DENY_ALL), ListGroupsForUser="<Groups/>")
    with pytest.raises(NotFound, match=MEI.id):
        await live(act(connector(iam), MEI.model_copy(update={"id": other})))
    assert iam.changes() == []


async def test_a_group_of_another_account_is_not_ours_of_the_same_name() -> None:
    """Nobody is put into or taken out of ours."""
    iam = Iam()
    other = OPS.model_copy(update={"id": "arn:aws:iam::999999999999:group/ops"})
    for act in (connector(iam).add_to_group, connector(iam).remove_from_group):
        with pytest.raises(NotFound, match="999999999999"):
            await live(act(MEI, other, "r"))
    assert iam.changes() == []


@pytest.mark.parametrize("name", ["MEI", "AIDA1", MEI.id])
async def test_a_user_is_found_by_every_name(name: str) -> None:
    """By name in any case, by unique ID and by ARN; a part of a name is none."""
    found = f"<Users><member>{USER_XML[6:-7]}</member></Users><IsTruncated>false</IsTruncated>"
    aws = connector(Iam(ListUsers=found))
    assert [each.id for each in await aws.find_users(name)] == [MEI.id]
    assert await aws.find_users("me") == []


@pytest.mark.parametrize(
    ("statement", "powerful"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": "*"}, True),
        ([{"Effect": "Allow", "Action": ["s3:Get*", "IAM:*"], "Resource": ["*"]}], True),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::one"}, False),
        ({"Effect": "Allow", "Action": ["s3:*"], "Resource": "*"}, False),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False),
        ([], False),
    ],
)
def test_power_is_everything_or_all_of_iam_on_all_resources(statement: Any, powerful: bool) -> None:
    """What allows everything, nearly everything, or to give oneself everything, makes a group privileged."""
    assert is_powerful({"Version": "2012-10-17", "Statement": statement}) is powerful


async def test_a_group_is_privileged_by_what_aws_attaches_or_the_settings_say() -> None:
    """AWS's own administrators' policies count by name, and so does a name in the settings, whatever is attached."""
    group = f"<Groups><member><GroupName>ops</GroupName><Arn>{OPS.id}</Arn></member></Groups>"
    arn = "arn:aws:iam::aws:policy/PowerUserAccess"
    attached = f"<member><PolicyName>PowerUserAccess</PolicyName><PolicyArn>{arn}</PolicyArn></member>"
    none = {"ListGroupsForUser": group, "ListGroupPolicies": "<PolicyNames/>"}
    by_aws = Iam(**none, ListAttachedGroupPolicies=f"<AttachedPolicies>{attached}</AttachedPolicies>")
    plain = Iam(**none, ListAttachedGroupPolicies="<AttachedPolicies/>")
    assert [each.privileged for each in await connector(by_aws).groups_of(MEI)] == [True]
    assert [each.privileged for each in await connector(plain).groups_of(MEI)] == [False]
    assert [each.privileged for each in await connector(plain, privileged_groups=["OPS"]).groups_of(MEI)] == [True]


async def test_calls_are_looked_up_by_key_or_by_name() -> None:
    """An access key's ID is another attribute than a name; errors and addresses come out of the event itself."""
    detail = json.dumps({"sourceIPAddress": "198.51.100.7", "errorCode": "AccessDenied"})
    event = {"EventName": "GetObject", "EventSource": "s3.amazonaws.com", "EventTime": 1.7e9, "CloudTrailEvent": detail}
    iam = Iam(LookupEvents=json.dumps({"Events": [event]}))
    (call,) = await connector(iam).search_api_calls(KEY.id, since_s=60)
    assert (call.actor, call.source, call.error) == ("", "198.51.100.7", "AccessDenied")
    await connector(iam).search_api_calls("mei")
    assert [each["LookupAttributes"] for each in iam.sent] == [  # type: ignore[comparison-overlap]
        [{"AttributeKey": "AccessKeyId", "AttributeValue": KEY.id}],
        [{"AttributeKey": "Username", "AttributeValue": "mei"}],
    ]
    assert iam.sent[0]["target"] == "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"
