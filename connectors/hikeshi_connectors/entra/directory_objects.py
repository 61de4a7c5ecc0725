"""Accounts, groups and roles: which of their properties are read, and the entities they become.

Graph gives an object that the app may not read as an id whose properties are all null. Such an object is an error here,
never one without privileges.
Source: https://learn.microsoft.com/graph/permissions-overview (limited information for inaccessible member objects).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from hikeshi.capabilities import Group, User
from hikeshi.connector import Forbidden, Invalid
from hikeshi_connectors.entra.paths import ROLE_PREFIX

__all__ = ["GROUP_FIELDS", "NAME_FIELDS", "USER_FIELDS", "group_of", "is_external", "moment_in", "text_in", "user_of"]

NAME_FIELDS = ("userPrincipalName", "mail", "onPremisesSamAccountName")
USER_FIELDS = ("id", *NAME_FIELDS, "displayName", "department", "userType", "creationType")
GROUP_FIELDS = ("id", "displayName", "groupTypes", "isAssignableToRole")


def user_of(connector: str, data: Mapping[str, Any]) -> User:
    """Return the account that Graph describes. Raises Invalid if it has no id or no sign-in name."""
    return User(
        connector=connector,
        id=text_in(data, "id").lower(),
        name=text_in(data, "userPrincipalName"),
        display_name=data.get("displayName"),
        email=data.get("mail"),
        department=data.get("department"),
        guest=data.get("userType") == "Guest" or is_external(data),
        logins=(data["onPremisesSamAccountName"],) if data.get("onPremisesSamAccountName") else (),
    )


def is_external(data: Mapping[str, Any]) -> bool:
    """Say whether an account signs in at another organisation: it was invited, or its name is that of one invited."""
    return data.get("creationType") == "Invitation" or "#ext#" in str(data.get("userPrincipalName")).lower()


def group_of(connector: str, data: Mapping[str, Any], privileged: Collection[str]) -> Group | None:
    """Return the group or directory role that Graph describes, or None for anything else (administrative units).

    `privileged` are names and ids in casefold. Raises Forbidden if the app may not read the object.
    """
    kind = str(data.get("@odata.type")).rpartition(".")[2]
    if kind not in ("group", "directoryRole"):
        return None
    is_role = kind == "directoryRole"
    found_id, name = text_in(data, "id").lower(), data.get("displayName")
    if not isinstance(name, str):
        lacking = "RoleManagement.Read.Directory" if is_role else "GroupMember.Read.All"
        raise Forbidden(f"{connector}: the app may not read the {kind} {found_id}; grant it {lacking}")
    assignable = data.get("isAssignableToRole") is True
    return Group(
        connector=connector,
        id=ROLE_PREFIX + found_id if is_role else found_id,
        name=name,
        privileged=is_role or assignable or not {found_id, name.casefold()}.isdisjoint(privileged),
        dynamic="DynamicMembership" in (data.get("groupTypes") or ()),
    )


def text_in(data: Mapping[str, Any], field: str) -> str:
    """Return a text that Graph always gives. Raises Invalid if it did not."""
    value = data.get(field)
    if not isinstance(value, str) or not value:
        raise Invalid(f"the answer describes a directory object without {field}")
    return value


def moment_in(data: Mapping[str, Any], field: str) -> datetime | None:
    """Return a moment with its zone, or None where Graph wrote null.

    Raises Invalid if the text is no moment, or the answer does not have the field: that is not the same as null.
    """
    if field not in data:
        raise Invalid(f"the answer has no {field}")
    value = data[field]
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid(f"the answer has a {field} that is no date and time") from None
    if found.tzinfo is None:
        raise Invalid(f"the answer has a {field} without a time zone")
    return found
