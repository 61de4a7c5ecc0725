"""Access keys of IAM users, and what was called with them."""

# ruff: noqa: ARG002 - IAM has no place for the reason of a change; the journal keeps it

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.capabilities import AccessKey, ApiCall, Cloud, KeyState
from hikeshi.connector import Invalid, NotFound, Unsupported, all_pages, understood
from hikeshi_connectors.aws.answers import Node
from hikeshi_connectors.aws.connector import AwsConnector
from hikeshi_connectors.aws.service import CLOUDTRAIL, IAM
from hikeshi_connectors.aws.settings import AwsSettings
from hikeshi_connectors.aws_iam.names import is_key_id, key_owner

__all__ = ["AccessKeys"]

# Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html (two a second).
_BETWEEN_LOOKUPS_S: Final = 0.5
_EVENTS_ON_A_PAGE: Final = 50


class AccessKeys(AwsConnector, Cloud):
    """The part of the connector that is about access keys."""

    settings: AwsSettings

    async def find_access_keys(self, name: str) -> list[AccessKey]:
        """Find access keys by ID, or all of the users of this name (any case)."""
        if is_key_id(name):
            return [each for owner in await self._owner_of(name) for each in await self._keys(owner) if each.id == name]
        owners = [each.text("UserName") for each in await self._users() if _same(each.text("UserName"), name)]
        return [key for owner in owners for key in await self._keys(owner)]

    async def key_state_of(self, key: AccessKey) -> KeyState:
        for each in await self._key_nodes(key_owner(key)):
            if each.text("AccessKeyId") == key.id:
                return KeyState(connector=self.name, key_id=key.id, active=each.text("Status") == "Active")
        raise NotFound(f"{self.name}: {key.name} has no access key {key.id} any more")

    async def deactivate_key(self, key: AccessKey, reason: str) -> None:
        if key.id == self.reveal(self.settings.access_key_id):
            raise Unsupported(f"{self.name}: this is the key that Hikeshi itself works with; nobody could undo this")
        await self._set_status(key, "Inactive")

    async def activate_key(self, key: AccessKey, reason: str) -> None:
        await self._set_status(key, "Active")

    async def _set_status(self, key: AccessKey, status: str) -> None:
        params = {"UserName": key_owner(key), "AccessKeyId": key.id, "Status": status}
        await self.aws.form(IAM, "UpdateAccessKey", params)

    async def _users(self) -> list[Node]:
        return await self.aws.pages(IAM, "ListUsers", {"MaxItems": 1000}, "Users")

    async def _key_nodes(self, owner: str) -> list[Node]:
        return await self.aws.pages(IAM, "ListAccessKeys", {"UserName": owner}, "AccessKeyMetadata")

    async def _keys(self, owner: str) -> list[AccessKey]:
        nodes = await self._key_nodes(owner)
        with understood(f"{self.name}: the access keys of {owner}"):
            return [
                AccessKey(
                    connector=self.name,
                    id=each.text("AccessKeyId"),
                    name=each.text("UserName"),
                    created_at=datetime.fromisoformat(each.text("CreateDate")),
                )
                for each in nodes
            ]

    async def _owner_of(self, key_id: str) -> list[str]:
        """Return the user whose key it is; nothing if there is no such key."""
        try:
            found = await self.aws.read_form(IAM, "GetAccessKeyLastUsed", {"AccessKeyId": key_id})
        except NotFound:
            return []
        owner = found.maybe("UserName")
        return [owner] if owner else []

    # --- what was called

    async def search_api_calls(self, name: str, since_s: int = 86400) -> list[ApiCall]:
        """Find calls by a user's name or an access key's ID in the region's event history, newest first.

        It holds management events of the last 90 days. Those of IAM itself are in us-east-1.
        """
        if not name.strip() or not name.isprintable() or len(name) > 2000:
            raise Invalid(f"{self.name}: {name[:80]!r} names no user and no access key")
        attribute = {"AttributeKey": "AccessKeyId" if is_key_id(name) else "Username", "AttributeValue": name}
        now = time.time()
        body = {
            "LookupAttributes": [attribute],
            "StartTime": now - since_s,
            "EndTime": now,
            "MaxResults": _EVENTS_ON_A_PAGE,
        }

        async def page(mark: str | None) -> tuple[Sequence[ApiCall], str | None]:
            if mark:
                await asyncio.sleep(_BETWEEN_LOOKUPS_S)
            answer = await self.aws.read_json(
                CLOUDTRAIL, "LookupEvents", {**body, **({"NextToken": mark} if mark else {})}
            )
            with understood(f"{self.name}: LookupEvents"):
                return [self._call(each) for each in answer["Events"]], answer.get("NextToken")

        return sorted(await all_pages(page, f"{self.name}: LookupEvents"), key=lambda call: call.at, reverse=True)

    def _call(self, event: dict[str, Any]) -> ApiCall:
        detail = json.loads(event.get("CloudTrailEvent") or "{}")
        return ApiCall(
            connector=self.name,
            at=datetime.fromtimestamp(float(event["EventTime"]), UTC),
            name=event["EventName"],
            service=event["EventSource"],
            actor=event.get("Username") or event.get("AccessKeyId") or "",
            source=detail.get("sourceIPAddress"),
            error=detail.get("errorCode"),
        )


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
