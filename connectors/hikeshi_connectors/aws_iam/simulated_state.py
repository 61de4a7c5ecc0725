"""What a simulated account holds: users, groups, policies, keys and past calls, as plain JSON values."""

from __future__ import annotations

import re
from typing import Any, TypedDict

from hikeshi.testing.estate import Estate

__all__ = ["State", "new_group", "new_user", "state_of"]

_NOT_IN_A_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)
_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class State(TypedDict):
    """`users` and `groups` by name; `policies`, those that customers wrote, by ARN; `events` as CloudTrail has them."""

    users: dict[str, dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    policies: dict[str, str]
    events: list[dict[str, Any]]


def state_of(estate: Estate) -> State:
    """Return the account's state; the first time, of an account in which the estate's people are users."""
    found: Any = estate.product_state.setdefault("aws_iam", {})
    if not found:
        found.update(_account_of(estate))
    state: State = found
    return state


def new_user(name: str, number: int, *, created: str, keys: int = 0) -> dict[str, Any]:
    """Return a user with so many active keys and no policies."""
    ids = [f"AKIA{number:08}KEY{n:05}" for n in range(keys)]
    return {
        "name": name,
        "id": f"AIDA{number:017}",
        "created": created,
        "keys": dict.fromkeys(ids, "Active"),
        "policies": {},
    }


def new_group(*members: str, attached: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a group with managed policies attached and no policies of its own."""
    return {"members": sorted(members), "attached": list(attached), "policies": {}}


def _account_of(estate: Estate) -> State:
    created = estate.base.isoformat()
    names = {user.id: _NOT_IN_A_NAME.sub("-", user.upn)[:64] for user in estate.users.values()}
    users = {name: new_user(name, n, created=created, keys=1) for n, name in enumerate(sorted(names.values()))}
    groups = {
        _NOT_IN_A_NAME.sub("-", group.name)[:128]: new_group(
            *(names[each] for each in group.members if each in names),
            attached=(_ADMINISTRATOR,) if group.privileged or group.role else (),
        )
        for group in estate.groups.values()
    }
    return {"users": users, "groups": groups, "policies": {}, "events": []}
