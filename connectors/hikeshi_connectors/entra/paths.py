"""Paths of the Graph API.

The hard rule of this file: every id that enters a path is checked here to be an object id and nothing else, and the
only paths below a group's members end in `/$ref`. Without that ending, DELETE /groups/{id}/members/{id} deletes the
account itself instead of the membership, so there is no way here to write it down.
Source: https://learn.microsoft.com/graph/api/group-delete-members (the caution).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hikeshi.connector import Invalid

__all__ = ["ROLE_PREFIX", "GroupPath", "is_object_id", "object_id", "path_of_group", "path_of_user"]

ROLE_PREFIX = "role:"
"""What the id of a directory role begins with in a Group entity; the id of a group stands alone."""

_OBJECT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def is_object_id(text: str) -> bool:
    """Say whether a text is an object id: a UUID in its usual form, without braces or a prefix."""
    return _OBJECT_ID.fullmatch(text) is not None


def object_id(text: str, of: str) -> str:
    """Return an object id in lower case. Raises Invalid for anything else, before it can become part of a path."""
    if not is_object_id(text):
        raise Invalid(f"the id of the {of}, {text[:80]!r}, is not a directory object id (a UUID); nothing was sent")
    return text.lower()


def path_of_user(user_id: str) -> str:
    """Return the path of an account. Raises Invalid if the id is no object id."""
    return f"/users/{object_id(user_id, 'account')}"


@dataclass(frozen=True, slots=True)
class GroupPath:
    """Where a group or a directory role is found, and the references to its members."""

    collection: Literal["groups", "directoryRoles"]
    id: str

    def __post_init__(self) -> None:
        object_id(self.id, "group")

    @property
    def is_role(self) -> bool:
        return self.collection == "directoryRoles"

    def __str__(self) -> str:
        return f"/{self.collection}/{self.id}"

    @property
    def member_references(self) -> str:
        """Return the path to which a reference to a new member is posted."""
        return f"{self}/members/$ref"

    def member_reference(self, user_id: str) -> str:
        """Return the path of one membership, never of the member. Raises Invalid if the id is no object id."""
        return f"{self}/members/{object_id(user_id, 'account')}/$ref"


def path_of_group(group_id: str) -> GroupPath:
    """Return where a Group entity's id points: `role:UUID` to a directory role, `UUID` to a group. Raises Invalid."""
    if group_id.startswith(ROLE_PREFIX):
        return GroupPath("directoryRoles", object_id(group_id.removeprefix(ROLE_PREFIX), "directory role"))
    return GroupPath("groups", object_id(group_id, "group"))
