"""A simulation of the part of IAM and of CloudTrail's event history that the connector uses.

State: `product_state["aws_iam"]`, made of the estate's people and groups unless the estate has it already. Reads here
see a write at once; IAM itself takes seconds. Sources: the API references of IAM and CloudTrail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi_connectors.aws.simulated_signature import Refusal
from hikeshi_connectors.aws.simulator import ACCOUNT, AwsSimulator, Operation
from hikeshi_connectors.aws_iam.simulated_state import State, state_of

__all__ = ["AwsIamSimulator"]

_EVENTS_MOST = 50


class AwsIamSimulator(AwsSimulator):
    """IAM, STS and CloudTrail below `/aws_iam/`."""

    product = "aws_iam"
    instance_name = "aws_iam"
    reads = frozenset(
        f"iam:{each}"
        for each in (
            "GetUser", "ListUsers", "GetUserPolicy", "ListGroupsForUser", "ListAttachedGroupPolicies",
            "ListGroupPolicies", "GetGroupPolicy", "GetPolicy", "GetPolicyVersion", "ListAccessKeys",
            "GetAccessKeyLastUsed",
        )
    ) | {"cloudtrail:LookupEvents"}  # fmt: skip

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        state_of(estate)

    def operations(self) -> Mapping[str, Mapping[str, Operation]]:
        iam: dict[str, Operation] = {
            "GetUser": lambda params: {"User": self._shown(self._user(params))},
            "ListUsers": self._list_users,
            "GetUserPolicy": self._get_user_policy,
            "PutUserPolicy": self._put_user_policy,
            "DeleteUserPolicy": self._delete_user_policy,
            "ListGroupsForUser": self._list_groups_for_user,
            "AddUserToGroup": self._add_user_to_group,
            "RemoveUserFromGroup": self._remove_user_from_group,
            "ListAttachedGroupPolicies": self._list_attached,
            "ListGroupPolicies": lambda p: self.page(sorted(self._group(p)["policies"]), p, "PolicyNames"),
            "GetGroupPolicy": self._get_group_policy,
            "GetPolicy": lambda p: {"Policy": {"Arn": self._policy(p)["arn"], "DefaultVersionId": "v1"}},
            "GetPolicyVersion": lambda p: {"PolicyVersion": {"Document": quote(self._policy(p)["document"], safe="")}},
            "ListAccessKeys": self._list_access_keys,
            "UpdateAccessKey": self._update_access_key,
            "GetAccessKeyLastUsed": self._last_used,
        }
        return {"iam": iam, "cloudtrail": {"LookupEvents": self._lookup_events}}

    def shows(self) -> dict[str, Any]:
        users = sorted(self._state["users"].items())
        return {
            "policies_of_users": {name: sorted(user["policies"]) for name, user in users if user["policies"]},
            "inactive_keys": sorted(k for _, user in users for k, key in user["keys"].items() if key != "Active"),
        }

    @property
    def _state(self) -> State:
        return state_of(self.estate)

    # --- users

    def _list_users(self, params: dict[str, Any]) -> Mapping[str, Any]:
        users = [self._shown(each) for _, each in sorted(self._state["users"].items())]
        return self.page(users, params, "Users")

    def _get_user_policy(self, params: dict[str, Any]) -> Mapping[str, Any]:
        user, name = self._user(params), params["PolicyName"]
        if name not in user["policies"]:
            raise _missing("user policy", name)
        document = quote(user["policies"][name], safe="")
        return {"UserName": user["name"], "PolicyName": name, "PolicyDocument": document}

    def _put_user_policy(self, params: dict[str, Any]) -> None:
        user, document = self._user(params), params["PolicyDocument"]
        try:
            valid = json.loads(document)["Version"] == "2012-10-17"
        except (KeyError, TypeError, ValueError):
            valid = False
        if not valid:
            raise Refusal(400, "MalformedPolicyDocument", "Syntax errors in policy.")
        policies = {**user["policies"], params["PolicyName"]: document}
        if sum(len("".join(each.split())) for each in policies.values()) > 2048:
            raise Refusal(409, "LimitExceeded", f"Maximum policy size of 2048 bytes exceeded for user {user['name']}")
        user["policies"] = dict(sorted(policies.items()))

    def _delete_user_policy(self, params: dict[str, Any]) -> None:
        user, name = self._user(params), params["PolicyName"]
        if name not in user["policies"]:
            raise _missing("user policy", name)
        del user["policies"][name]

    # --- groups

    def _list_groups_for_user(self, params: dict[str, Any]) -> Mapping[str, Any]:
        name = self._user(params)["name"]
        groups = sorted(self._state["groups"].items())
        shown = [
            {"GroupName": key, "GroupId": f"AGPA{n:017}", "Arn": _arn("group", key), "Path": "/"}
            for n, (key, group) in enumerate(groups)
            if name in group["members"]
        ]
        return self.page(shown, params, "Groups")

    def _add_user_to_group(self, params: dict[str, Any]) -> None:
        group, name = self._group(params), self._user(params)["name"]
        group["members"] = sorted({*group["members"], name})

    def _remove_user_from_group(self, params: dict[str, Any]) -> None:
        group, name = self._group(params), self._user(params)["name"]
        if name not in group["members"]:
            raise Refusal(404, "NoSuchEntity", f"User {name} is not in group {params['GroupName']}.")
        group["members"].remove(name)

    def _list_attached(self, params: dict[str, Any]) -> Mapping[str, Any]:
        arns = self._group(params)["attached"]
        shown = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in sorted(arns)]
        return self.page(shown, params, "AttachedPolicies")

    def _get_group_policy(self, params: dict[str, Any]) -> Mapping[str, Any]:
        policies, name = self._group(params)["policies"], params["PolicyName"]
        if name not in policies:
            raise _missing("group policy", name)
        return {"GroupName": params["GroupName"], "PolicyName": name, "PolicyDocument": quote(policies[name], safe="")}

    # --- access keys

    def _list_access_keys(self, params: dict[str, Any]) -> Mapping[str, Any]:
        user = self._user(params)
        shown = [
            {"UserName": user["name"], "AccessKeyId": key, "Status": status, "CreateDate": user["created"]}
            for key, status in sorted(user["keys"].items())
        ]
        return self.page(shown, params, "AccessKeyMetadata")

    def _update_access_key(self, params: dict[str, Any]) -> None:
        user, key = self._user(params), params["AccessKeyId"]
        if key not in user["keys"]:
            raise _missing("Access Key", key)
        if params["Status"] not in ("Active", "Inactive"):
            raise Refusal(400, "ValidationError", "Member must satisfy enum value set: [Active, Inactive]")
        user["keys"][key] = params["Status"]

    def _last_used(self, params: dict[str, Any]) -> Mapping[str, Any]:
        key = params["AccessKeyId"]
        owner = next((each for each in self._state["users"].values() if key in each["keys"]), None)
        if owner is None:
            raise _missing("Access Key", key)
        return {"UserName": owner["name"], "AccessKeyLastUsed": {"Region": "N/A", "ServiceName": "N/A"}}

    # --- what was called

    def _lookup_events(self, params: dict[str, Any]) -> Mapping[str, Any]:
        (attribute,) = params["LookupAttributes"]  # one, says the reference
        field = {"Username": "Username", "AccessKeyId": "AccessKeyId"}[attribute["AttributeKey"]]
        found = [each for each in self._state["events"] if each.get(field) == attribute["AttributeValue"]]
        found = [each for each in found if params["StartTime"] <= each["EventTime"] <= params["EndTime"]]
        found.sort(key=lambda each: -float(each["EventTime"]))
        start, most = int(params.get("NextToken", 0)), min(int(params.get("MaxResults", 50)), _EVENTS_MOST)
        more = {"NextToken": str(start + most)} if len(found) > start + most else {}
        return {"Events": found[start : start + most], **more}

    # --- looking things up

    def _user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        user: dict[str, Any] | None = self._state["users"].get(params.get("UserName", ""))
        if user is None:
            raise _missing("user", params.get("UserName", ""))
        return user

    def _group(self, params: Mapping[str, Any]) -> dict[str, Any]:
        group: dict[str, Any] | None = self._state["groups"].get(params.get("GroupName", ""))
        if group is None:
            raise _missing("group", params.get("GroupName", ""))
        return group

    def _policy(self, params: Mapping[str, Any]) -> dict[str, Any]:
        arn = params["PolicyArn"]
        if arn not in self._state["policies"]:
            raise Refusal(404, "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
        return {"arn": arn, "document": self._state["policies"][arn]}

    @staticmethod
    def _shown(user: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Path": "/",
            "UserName": user["name"],
            "UserId": user["id"],
            "Arn": _arn("user", user["name"]),
            "CreateDate": datetime.fromisoformat(user["created"]).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"


def _missing(kind: str, name: str) -> Refusal:
    return Refusal(404, "NoSuchEntity", f"The {kind} with name {name} cannot be found.")
