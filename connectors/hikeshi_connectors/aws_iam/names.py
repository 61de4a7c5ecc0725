"""How IAM names things: an ARN says the account, the kind, a path and the name that IAM's API takes."""

from __future__ import annotations

import re

from hikeshi.capabilities import Entity
from hikeshi.connector import Invalid

__all__ = ["account_in", "group_name", "is_key_id", "key_owner", "user_name"]

_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(user|group)/(?:[\x21-\x7e]*/)?([\w+=,.@-]{1,128})", re.ASCII)
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)


def user_name(user: Entity) -> str:
    """Return the name by which the API knows a user. Raises Invalid if the ID is no user's ARN."""
    return _name_in(user, "user")


def group_name(group: Entity) -> str:
    """Return the name by which the API knows a group. Raises Invalid if the ID is no group's ARN."""
    return _name_in(group, "group")


def account_in(entity: Entity) -> str:
    """Return which account an ARN is of: all of it before the kind and the name, as a partition has its own numbers."""
    return entity.id.partition("/")[0].rpartition(":")[0]


def is_key_id(text: str) -> bool:
    """Say whether a text has the form of an access key's ID."""
    return bool(_KEY_ID.fullmatch(text))


def key_owner(key: Entity) -> str:
    """Return the name of the user whose key it is. Raises Invalid."""
    if not is_key_id(key.id) or not _NAME.fullmatch(key.name):
        raise Invalid(f"{key.connector}: {key.id[:60]!r} of {key.name[:60]!r} is no access key of a user")
    return key.name


def _name_in(entity: Entity, kind: str) -> str:
    found = _ARN.fullmatch(entity.id)
    if found is None or found[1] != kind:
        raise Invalid(f"{entity.connector}: {entity.id[:120]!r} is not the ARN of a {kind}")
    return found[2]
