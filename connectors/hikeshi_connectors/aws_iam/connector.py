"""AWS IAM: the users of one account."""

# ruff: noqa: ARG002 - IAM has no place for the reason of a change; the journal keeps it

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from pydantic import Field

from hikeshi.capabilities import Account, Group, Identity, Membership, Sessions, User
from hikeshi.connector import Conflict, ConnectorError, Invalid, NotFound, Pace, Unsupported
from hikeshi_connectors.aws.answers import Node, texts
from hikeshi_connectors.aws.service import CLOUDTRAIL, IAM, STS
from hikeshi_connectors.aws.settings import REGION, AwsSettings
from hikeshi_connectors.aws_iam.access_keys import AccessKeys
from hikeshi_connectors.aws_iam.names import account_in, group_name, user_name
from hikeshi_connectors.aws_iam.policy import (
    DENY_ALL,
    DENY_ALL_NAME,
    OLDER_SESSIONS_NAME,
    POWERFUL,
    document_in,
    is_deny_all,
    is_powerful,
    older_sessions,
    sessions_count_from,
)

__all__ = ["AwsIam"]


class AwsIam(AccessKeys, Identity, product="aws_iam"):
    """Users, groups and access keys of one account. The ID of a user or group is its ARN.

    IAM has no switch that keeps a user out. A user is disabled here by an inline policy of Hikeshi's own name that
    denies everything: it acts on every key, password and session at once, and taking it away restores exactly what was.
    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/.
    """

    class Settings(AwsSettings):
        region: str = Field(default="us-east-1", pattern=REGION)
        privileged_groups: tuple[str, ...] = ()

    settings: Settings
    services = (IAM, CLOUDTRAIL)
    pace = Pace(10, 1.0, at_once=5)
    volatile = ("PolicyDocument",)  # that which ends sessions holds the moment
    read_routes = (
        *STS.reads("AssumeRole", "GetCallerIdentity"),
        *IAM.reads("ListUsers", "GetUser", "GetUserPolicy", "ListGroupsForUser"),
        *IAM.reads("ListAttachedGroupPolicies", "ListGroupPolicies", "GetGroupPolicy", "GetPolicy", "GetPolicyVersion"),
        *IAM.reads("ListAccessKeys", "GetAccessKeyLastUsed"),
        *CLOUDTRAIL.reads("LookupEvents"),
    )
    least_privileges: ClassVar[tuple[str, ...]] = (
        "iam:ListUsers, iam:GetUser, iam:GetUserPolicy, iam:ListGroupsForUser",
        "iam:ListAttachedGroupPolicies, iam:ListGroupPolicies, iam:GetGroupPolicy, iam:GetPolicy, iam:GetPolicyVersion",
        "iam:PutUserPolicy, iam:DeleteUserPolicy",
        "iam:AddUserToGroup, iam:RemoveUserFromGroup",
        "iam:ListAccessKeys, iam:GetAccessKeyLastUsed, iam:UpdateAccessKey",
        "cloudtrail:LookupEvents",
    )

    # --- users

    async def find_users(self, name: str) -> list[User]:
        """Find users by name (any case), ARN or unique ID (AIDA…)."""
        if not name.strip() or not name.isprintable():
            raise Invalid(f"{self.name}: {name[:80]!r} names no user")
        return [self._user(each) for each in await self._users() if _goes_by(each, name)]

    def _user(self, node: Node) -> User:
        unique = node.text("UserId")
        return User(connector=self.name, id=node.text("Arn"), name=node.text("UserName"), display_name=unique)

    async def account_of(self, user: User) -> Account:
        """Read whether Hikeshi's policy denies a user everything. What others attached makes no difference."""
        return Account(connector=self.name, user_id=user.id, enabled=not await self._is_denied(user))

    async def disable_user(self, user: User, reason: str) -> None:
        """Deny a user everything. Raises Conflict if a policy of the same name says something else."""
        if (await self.aws.own_arn()).casefold() == user.id.casefold():
            raise Unsupported(f"{self.name}: {user.name} is the user that Hikeshi itself is; nobody could undo this")
        await self._is_denied(user)
        params = {"UserName": user_name(user), "PolicyName": DENY_ALL_NAME, "PolicyDocument": DENY_ALL}
        await self.aws.form(IAM, "PutUserPolicy", params)

    async def enable_user(self, user: User, reason: str) -> None:
        await self._is_denied(user)
        try:
            await self.aws.form(IAM, "DeleteUserPolicy", {"UserName": user_name(user), "PolicyName": DENY_ALL_NAME})
        except NotFound as exc:
            raise await self._explained(exc, user, "the policy is not there") from exc

    async def _is_denied(self, user: User) -> bool:
        """Say whether our policy is there. Raises Conflict for a foreign one of its name: undo could not restore it."""
        document = await self._user_policy(user, DENY_ALL_NAME)
        if document is None:
            return False
        if not is_deny_all(document):
            raise Conflict(f"{self.name}: the policy {DENY_ALL_NAME} of {user.name} is not as Hikeshi writes it")
        return True

    async def _user_policy(self, user: User, policy: str) -> dict[str, object] | None:
        params = {"UserName": user_name(user), "PolicyName": policy}
        found: Node | None
        try:
            found = await self.aws.read_form(IAM, "GetUserPolicy", params)
        except NotFound:
            found = None
        # After it: the same code stands for a user who is gone, which is no user without a policy.
        await self._check_account(user)
        if found is None:
            return None
        return dict(document_in(found.text("PolicyDocument"), f"{self.name}: {policy} of {user.name}"))

    async def _check_account(self, user: User) -> None:
        """Raise NotFound unless the user of this name here is the one meant: IAM takes names, whatever the account."""
        found = await self.aws.read_form(IAM, "GetUser", {"UserName": user_name(user)})
        own = found.under("User").text("Arn")
        if own != user.id:
            raise NotFound(f"{self.name}: there is no user {user.id} here; the one of this name is {own}")

    async def _check_both(self, user: User, group: Group) -> None:
        await self._check_account(user)
        if account_in(group) != account_in(user):
            raise NotFound(f"{self.name}: there is no group {group.id} here; it is of another account than {user.id}")

    # --- sessions

    async def sessions_of(self, user: User) -> Sessions:
        document = await self._user_policy(user, OLDER_SESSIONS_NAME)
        valid_from = None if document is None else sessions_count_from(document)
        return Sessions(connector=self.name, user_id=user.id, valid_from=valid_from)

    async def revoke_sessions(self, user: User, reason: str) -> None:
        """Deny everything to sessions that began before now: the console's, and temporary keys. Long-lived keys go on.

        Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html.
        """
        params = {"UserName": user_name(user), "PolicyName": OLDER_SESSIONS_NAME}
        document = older_sessions(datetime.now(UTC))
        await self._check_account(user)
        await self.aws.form(IAM, "PutUserPolicy", {**params, "PolicyDocument": document})

    # --- groups

    async def groups_of(self, user: User) -> list[Group]:
        return [await self._group(each) for each in await self._groups(user)]

    async def membership_of(self, user: User, group: Group) -> Membership:
        member = any(each.text("Arn") == group.id for each in await self._groups(user))
        return Membership(connector=self.name, user_id=user.id, group_id=group.id, member=member)

    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        params = {"GroupName": group_name(group), "UserName": user_name(user)}
        await self._check_both(user, group)
        try:
            await self.aws.form(IAM, "RemoveUserFromGroup", params)
        except NotFound as exc:
            raise await self._explained(exc, user, "the membership or the group is not there") from exc

    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        params = {"GroupName": group_name(group), "UserName": user_name(user)}
        await self._check_both(user, group)
        await self.aws.form(IAM, "AddUserToGroup", params)

    async def _groups(self, user: User) -> list[Node]:
        await self._check_account(user)
        return await self.aws.pages(IAM, "ListGroupsForUser", {"UserName": user_name(user)}, "Groups")

    async def _group(self, node: Node) -> Group:
        name, arn = node.text("GroupName"), node.text("Arn")
        named = {each.casefold() for each in self.settings.privileged_groups}
        privileged = bool({name.casefold(), arn.casefold()} & named) or await self._is_powerful(name)
        return Group(connector=self.name, id=arn, name=name, privileged=privileged)

    async def _is_powerful(self, group: str) -> bool:
        """Judge a group by its policies. One that can't be read is an error, not a policy that allows nothing."""
        params = {"GroupName": group}
        attached = await self.aws.pages(IAM, "ListAttachedGroupPolicies", params, "AttachedPolicies")
        if any(_is_aws_own(each.text("PolicyArn")) and each.text("PolicyName") in POWERFUL for each in attached):
            return True
        for each in attached:
            if not _is_aws_own(each.text("PolicyArn")) and await self._allows_everything(each.text("PolicyArn")):
                return True
        for name in texts(await self.aws.pages(IAM, "ListGroupPolicies", params, "PolicyNames")):
            found = await self.aws.read_form(IAM, "GetGroupPolicy", {**params, "PolicyName": name})
            if is_powerful(document_in(found.text("PolicyDocument"), f"{self.name}: {name} of {group}")):
                return True
        return False

    async def _allows_everything(self, arn: str) -> bool:
        policy = await self.aws.read_form(IAM, "GetPolicy", {"PolicyArn": arn})
        version = policy.under("Policy").text("DefaultVersionId")
        found = await self.aws.read_form(IAM, "GetPolicyVersion", {"PolicyArn": arn, "VersionId": version})
        return is_powerful(document_in(found.under("PolicyVersion").text("Document"), f"{self.name}: {arn}"))

    async def _explained(self, error: NotFound, user: User, otherwise: str) -> ConnectorError:
        """Say what is missing: IAM has one code for a user who is gone and for what the user does not have."""
        try:
            await self.aws.read_form(IAM, "GetUser", {"UserName": user_name(user)})
        except NotFound:
            return NotFound(f"{self.name}: the user {user.name} does not exist; {error.message}")
        except ConnectorError:
            pass  # what IAM said first stands
        return Conflict(f"{self.name}: {user.name}: {otherwise}; {error.message}")


def _goes_by(node: Node, name: str) -> bool:
    return name.casefold() in {node.text(each).casefold() for each in ("UserName", "Arn", "UserId")}


def _is_aws_own(arn: str) -> bool:
    return ":iam::aws:policy/" in arn
