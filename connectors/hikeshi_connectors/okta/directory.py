"""Accounts, groups and administrator roles: the entities that Okta's objects become, and the ids that may enter a path.

A role that an account holds itself is a Group with the id `role:TYPE`, or `role:ASSIGNMENT` where the type is shared
by many roles. Source: https://developer.okta.com/docs/api/openapi/okta-management/ (User, Group, RoleAssignmentAUser).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from hikeshi.capabilities import Group, User
from hikeshi.connector import Invalid, understood

__all__ = ["ROLE_PREFIX", "Role", "enabled_in", "group_of", "okta_id", "published_in", "roles_in", "user_of"]

ROLE_PREFIX: Final = "role:"
_ID: Final = re.compile(r"[A-Za-z0-9]{15,40}", re.ASCII)
# Source: the field `status` of User. The others can sign in, or get there by themselves (a lock ends, a password is
# changed), so they count as enabled.
_OUT: Final = frozenset({"STAGED", "SUSPENDED", "DEPROVISIONED"})
_IN: Final = frozenset({"ACTIVE", "LOCKED_OUT", "PASSWORD_EXPIRED", "PROVISIONED", "RECOVERY", "ACTIVATING"})
# Standard roles that are assigned by their type alone; the others also name a role and a set of resources.
_BY_TYPE: Final = frozenset(
    {
        "API_ACCESS_MANAGEMENT_ADMIN",
        "APP_ADMIN",
        "GROUP_MEMBERSHIP_ADMIN",
        "HELP_DESK_ADMIN",
        "ORG_ADMIN",
        "READ_ONLY_ADMIN",
        "REPORT_ADMIN",
        "SUPER_ADMIN",
        "USER_ADMIN",
    }
)


@dataclass(frozen=True, slots=True)
class Role:
    """One assignment of an administrator role. `group_id` is the group that has it, None if the account has it itself.

    `scoped` says that it is limited to some groups or applications.
    """

    assignment_id: str
    type: str
    label: str
    group_id: str | None
    scoped: bool

    @property
    def id(self) -> str:
        return ROLE_PREFIX + (self.type if self.type in _BY_TYPE else self.assignment_id)

    @property
    def why_fixed(self) -> str | None:
        """Return why the role is neither taken nor given here, or None."""
        if self.type not in _BY_TYPE:
            return "is a custom role with a set of resources; change it in Okta"
        if self.scoped:
            return "is limited to some groups or applications, and would come back without that limit"
        return None

    def as_group(self, connector: str) -> Group:
        fixed = self.why_fixed is not None
        return Group(connector=connector, id=self.id, name=self.label, privileged=True, dynamic=fixed)


def okta_id(text: str, of: str) -> str:
    """Return an id of Okta. Raises Invalid for anything else, before it can become part of a path."""
    if not _ID.fullmatch(text):
        raise Invalid(f"the id of the {of}, {text[:80]!r}, is not an id of Okta; nothing was sent")
    return text


def user_of(connector: str, data: Mapping[str, Any]) -> User:
    """Return the account that Okta describes. Raises Invalid if it has no id or no sign-in name."""
    with understood(f"{connector}: an account"):
        profile = data["profile"]
        names = [profile.get(key) for key in ("firstName", "lastName")]
        return User(
            connector=connector,
            id=okta_id(data["id"], "account"),
            name=profile["login"],
            display_name=profile.get("displayName") or " ".join(each for each in names if each) or None,
            email=profile.get("email"),
            department=profile.get("department"),
        )


def enabled_in(data: Mapping[str, Any]) -> bool:
    """Say whether an account may sign in. Raises Invalid for a status that is not known."""
    status = data.get("status")
    if status not in _IN | _OUT:
        raise Invalid(f"Okta gives the account a status that is not known here: {str(status)[:40]!r}")
    return status in _IN


def group_of(
    connector: str, data: Mapping[str, Any], privileged: Collection[str], fed_by_rules: Collection[str]
) -> Group:
    """Return the group that Okta describes. `privileged` are ids, and names in casefold; `fed_by_rules` are ids."""
    with understood(f"{connector}: a group"):
        found_id, name, kind = okta_id(data["id"], "group"), str(data["profile"]["name"]), str(data["type"])
    return Group(
        connector=connector,
        id=found_id,
        name=name,
        privileged=found_id in privileged or name.casefold() in privileged,
        dynamic=kind != "OKTA_GROUP" or found_id in fed_by_rules,
    )


def roles_in(entries: Sequence[Any], where: str) -> list[Role]:
    """Return the active assignments of administrator roles that Okta lists for an account. Raises Invalid."""
    with understood(where):
        return [_role(each) for each in entries if each.get("status", "ACTIVE") == "ACTIVE"]


def _role(data: Mapping[str, Any]) -> Role:
    group_id = None
    if data["assignmentType"] == "GROUP":
        group_id = okta_id(urlsplit(data["_links"]["assignee"]["href"]).path.rpartition("/")[2], "group")
    elif data["assignmentType"] != "USER":
        raise ValueError("neither a user's nor a group's")
    targets = (data.get("_embedded") or {}).get("targets") or {}
    scoped = bool(targets.get("groups") or (targets.get("catalog") or {}).get("apps"))
    kind = str(data["type"])
    return Role(okta_id(data["id"], "assignment"), kind, str(data.get("label") or kind), group_id, scoped)


def published_in(events: Sequence[Any], where: str) -> datetime | None:
    """Return the moment of the latest of some events of the System Log, or None if there are none. Raises Invalid."""
    with understood(where):
        moments = [datetime.fromisoformat(each["published"]) for each in events]
        if any(each.tzinfo is None for each in moments):
            raise ValueError("without a time zone")
        return max(moments, default=None)
